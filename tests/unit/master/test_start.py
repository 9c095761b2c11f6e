"""How a master begins a job, goes on with it, and refuses to: with real data and real files."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from job_parts import Record, Worker, account, records_of, training, whole

from elasticdl_command import eventually
from elasticdl_like.config import (
    CheckpointConfig,
    DataConfig,
    InferenceConfig,
    JobConfig,
    JobKind,
    ModelConfig,
)
from elasticdl_like.config import TrainingConfig as Training
from elasticdl_like.data_readers.recordio.writer import RecordIOWriter
from elasticdl_like.errors import (
    ConfigError,
    DataChangedError,
    DataError,
    JobDirectoryError,
    JournalError,
)
from elasticdl_like.job_directory import JobDirectory, JobState
from elasticdl_like.master.core_codec import core_to_plain
from elasticdl_like.master.journal import Journal
from elasticdl_like.master.main import MasterConfig, run_master
from elasticdl_like.master.recovery import recover
from elasticdl_like.master.reports import load_ledger, load_status, verify_ledger
from elasticdl_like.master.start import begin
from elasticdl_like.tasks import Answer, Commit, EpochKey, Lease, TaskType


def write_shard(path: Path, number: int) -> None:
    path.parent.mkdir(exist_ok=True)
    with RecordIOWriter(path) as writer:
        for index in range(number):
            writer.write(b"%d" % index)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two shards, of 6 and 4 records."""
    write_shard(tmp_path / "data" / "a.recordio", 6)
    write_shard(tmp_path / "data" / "b.recordio", 4)
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "m.py").write_text("")
    return tmp_path / "data"


def config(data: Path, resume_from: str = "", **flags: Any) -> JobConfig:
    return JobConfig(
        "job",
        DataConfig(str(data)),
        ModelConfig(str(data.parent / "zoo"), "m.model"),
        Training(
            **{
                "minibatch_size": 2,
                "num_minibatches_per_task": 1,
                "shuffle": False,
                "num_epochs": 2,
            }
            | flags
        ),
        CheckpointConfig(
            directory=str(data.parent / "job" / "checkpoints"), resume_from=resume_from
        ),
    )


def master(data: Path, **flags: Any) -> MasterConfig:
    return MasterConfig(data.parent / "job", **flags)


def mark(worker: Worker, step: int, number: int) -> list[Record]:
    """Uses some tasks, and publishes the checkpoint of that step."""
    leases: list[Lease] = list(worker.call(max_leases=number).leases)
    worker.call([whole(step, leases), Commit(step, [], mark=True)], 0)
    directory = Path(worker.job.config.checkpoint.directory)
    written = directory / f".checkpoint-{step}.w"
    written.mkdir(parents=True)
    worker.job.publications.publish_checkpoint(worker.caller, written, step, {})
    return [record for lease in leases for record in records_of(lease)]


def cut_off(data: Path, number: int = 2) -> list[Record]:
    """Leaves a job whose master and worker were killed after a checkpoint. Returns its records."""
    copy = data.parent / "copy"
    with run_master(config(data), master(data)) as one:
        used = mark(Worker(one.job), 1, number)
        one.job.flush()
        # What a kill leaves: no end in the journal.
        shutil.copytree(one.directory.path, copy)
    shutil.rmtree(data.parent / "job")
    shutil.move(copy, data.parent / "job")
    return used


def rest_of_epoch(worker: Worker) -> list[Record]:
    leases = worker.call(max_leases=99).leases
    worker.call([whole(9, leases)], 0)
    return [record for lease in leases for record in records_of(lease)]


def finish(data: Path) -> None:
    with run_master(config(data), master(data)) as one:
        worker = Worker(one.job)
        for epoch in (0, 1):
            leases = worker.call(max_leases=99, key=training(epoch)).leases
            worker.call([whole(epoch + 1, leases)], 0, training(epoch))
        worker.leave()
        assert one.job.state is JobState.FINISHED


def test_a_job_that_was_cut_off_goes_on_where_its_checkpoint_is(data: Path) -> None:
    used = cut_off(data)
    assert load_status(data.parent / "job")["state"] == "running"
    with run_master(config(data), master(data)) as one:
        assert one.goes_on
        one.job.lose(0, "its process is gone")
        worker = Worker(one.job, "second")
        assert (worker.start.step, len(used)) == (1, 4)
        assert len({*used, *rest_of_epoch(worker)}) == 10
        assert account(one.job)["missing"] == 0


def test_without_a_configuration_it_is_the_one_it_had(data: Path) -> None:
    cut_off(data)
    with run_master(None, master(data, resume=True)) as one:
        assert one.job.config.training.num_epochs == 2
        assert account(one.job)["committed"] == 4


def test_there_must_be_a_job_to_go_on_with(data: Path) -> None:
    for asked in (None, config(data)):
        with (
            pytest.raises(JobDirectoryError, match="holds no job to go on with"),
            run_master(asked, master(data, resume=True)),
        ):
            pytest.fail("a job out of nothing")


@pytest.mark.parametrize(
    ("flags", "words"), [({"seed": 5}, r"\(seed\)"), ({"shuffle": True}, r"\(shuffle\)")]
)
def test_other_flags_are_refused(data: Path, flags: dict[str, Any], words: str) -> None:
    cut_off(data)
    before = load_ledger(data.parent / "job")
    with (
        pytest.raises(JobDirectoryError, match=f"other flags {words}.*--overwrite"),
        run_master(config(data, **flags), master(data)),
    ):
        pytest.fail("another job")
    assert load_ledger(data.parent / "job") == before


def test_more_epochs_are_not_another_job(data: Path) -> None:
    cut_off(data)
    with run_master(config(data, num_epochs=5), master(data)) as one:
        assert one.job.status().num_epochs == 5
        # The worker of the old configuration has to begin again.
        assert Worker(one.job, "second").start.step == 1


def test_a_finished_job_is_refused_and_can_be_overwritten(data: Path) -> None:
    finish(data)
    before = load_ledger(data.parent / "job")
    with (
        pytest.raises(JobDirectoryError, match=r"has finished; nothing was changed.*--overwrite"),
        run_master(config(data), master(data)),
    ):
        pytest.fail("a finished job goes on")
    assert load_ledger(data.parent / "job") == before
    with run_master(config(data, seed=9), master(data, overwrite=True)) as one:
        assert not one.goes_on
        assert account(one.job)["committed"] == 0


def test_overwriting_needs_a_job_that_can_start(data: Path) -> None:
    finish(data)
    before = load_ledger(data.parent / "job")
    shutil.rmtree(data)
    with pytest.raises(DataError), run_master(config(data), master(data, overwrite=True)):
        pytest.fail("no data")
    assert load_ledger(data.parent / "job") == before


def test_a_second_master_is_refused(data: Path) -> None:
    with (
        run_master(config(data), master(data)) as one,
        pytest.raises(JobDirectoryError, match="in use by a running job"),
        run_master(config(data), master(data, overwrite=True)),
    ):
        pytest.fail(f"beside {one.address}")


def test_a_damaged_journal_is_refused(data: Path) -> None:
    cut_off(data)
    (data.parent / "job" / "journal.sqlite").write_bytes(b"torn")
    with pytest.raises(JournalError, match="is damaged"), run_master(config(data), master(data)):
        pytest.fail("no work left")


def test_what_is_quarantined_is_written_down_as_it_grows(data: Path) -> None:
    with run_master(config(data, max_quarantined_records=9), master(data)) as one:
        worker = Worker(one.job)
        sizes = []
        for _ in range(8):
            worker.call([whole(1, worker.call(max_leases=1).leases, "torn")], 0)
            one.save()
            text = one.directory.path / "quarantine.jsonl"
            lines = text.read_text().splitlines() if text.exists() else []
            sizes.append([json.loads(line)["end"] - json.loads(line)["start"] for line in lines])
        assert [2] in sizes  # one range, that grew
        assert [1] in sizes


def test_a_job_that_evaluates_has_one_epoch_in_the_natural_order(data: Path) -> None:
    flags = config(data, shuffle=True, num_epochs=2)
    evaluates = dataclasses.replace(
        flags,
        data=DataConfig("", validation_data=str(data)),
        kind=JobKind.EVALUATION,
        inference=InferenceConfig(model_path="/a.keras"),
    )
    with run_master(evaluates, master(data)) as one:
        worker, key = Worker(one.job), EpochKey(TaskType.EVALUATION, 0)
        leases = worker.call(max_leases=99, key=key).leases
        assert [record for lease in leases for record in records_of(lease)] == [
            *((str(data / "a.recordio"), index) for index in range(6)),
            *((str(data / "b.recordio"), index) for index in range(4)),
        ]
        worker.call([whole(1, leases)], 0, key)
        assert (one.job.status().num_epochs, one.job.status().total_records) == (1, 10)
        one.job.flush()
    # Half of the records by one model and half by another would be of no use.
    other = dataclasses.replace(evaluates, inference=InferenceConfig(model_path="/b.keras"))
    with (
        pytest.raises(JobDirectoryError, match=r"other flags \(inference\)"),
        run_master(other, master(data)),
    ):
        pytest.fail("another model")
    with run_master(evaluates, master(data)) as one:
        one.job.lose(worker.worker_id, "its process is gone")
        assert one.job.state is JobState.RUNNING  # it has no result
        worker = Worker(one.job, "again")
        assert worker.call(key=key).answer is Answer.EPOCH_ENDED
        one.job.finishing.report_evaluation(worker.caller, key, {"loss": 0.5})
        worker.leave()
        assert one.job.state is JobState.FINISHED
    assert verify_ledger(data.parent / "job") == []
    write_shard(data / "a.recordio", 7)
    (difference,) = verify_ledger(data.parent / "job")
    assert difference.startswith("the evaluation data has changed: ")


def test_what_is_to_be_predicted_is_named_when_it_is_not_there(data: Path) -> None:
    predicts = dataclasses.replace(
        config(data),
        data=DataConfig("", prediction_data=str(data / "nothing")),
        kind=JobKind.PREDICTION,
    )
    with (
        pytest.raises(DataError, match=r"--prediction_data: .*nothing"),
        run_master(predicts, master(data)),
    ):
        pytest.fail("no data")


# Other data.


def test_changed_data_stops_the_job_in_words(data: Path) -> None:
    cut_off(data)
    write_shard(data / "a.recordio", 7)
    differences = verify_ledger(data.parent / "job")
    assert len(differences) == 1
    assert "records 0 to 6 then, 0 to 7 now" in differences[0]
    with run_master(config(data), master(data)) as one:
        eventually(lambda: one.job.state is JobState.FAILED, timeout=30)
        assert "0 to 7 now" in one.job.status().reason
        assert "--allow_changed_data" in one.job.status().reason


def test_changed_data_is_left_out_if_that_is_allowed(data: Path) -> None:
    used = cut_off(data)
    (data / "b.recordio").unlink()
    write_shard(data / "c.recordio", 3)
    with run_master(config(data), master(data, allow_changed_data=True)) as one:
        one.job.lose(0, "its process is gone")
        worker = Worker(one.job, "second")
        assert worker.start.step == 1
        rest = rest_of_epoch(worker)
        assert len(used) == 4
        assert len({*used, *rest}) == 6  # all of a, nothing of b
        worker.call(max_leases=1)
        assert (account(one.job)["quarantined"], account(one.job)["missing"]) == (4, 0)
        assert len(records_of(worker.call(max_leases=1, key=training(1)).leases[0])) == 2
        assert account(one.job, 1)["records"] == 9
        one.job.flush()
    assert verify_ledger(data.parent / "job") == []


def saved_checkpoint(data: Path) -> tuple[Path, list[Record]]:
    used = cut_off(data)
    saved = data.parent / "saved"
    shutil.move(data.parent / "job" / "checkpoints", saved)
    shutil.rmtree(data.parent / "job")
    return saved, used


def test_a_new_job_from_a_checkpoint_with_another_task_size(data: Path) -> None:
    saved, used = saved_checkpoint(data)
    asked = config(data, str(saved), num_minibatches_per_task=3)
    with run_master(asked, master(data)) as one:
        worker = Worker(one.job)
        assert (worker.start.step, worker.start.checkpoint) == (
            1,
            str(saved / "checkpoint-000000001"),
        )
        rest = rest_of_epoch(worker)
        assert len(used) + len(rest) == len({*used, *rest}) == 10
        leases = worker.call(max_leases=9, key=training(1)).leases
        assert [lease.size for lease in leases] == [6, 4]


def test_a_new_job_from_a_checkpoint_of_other_data(data: Path) -> None:
    saved, used = saved_checkpoint(data)
    write_shard(data / "b.recordio", 5)
    directory = JobDirectory(data.parent / "job")
    with directory.own():
        with pytest.raises(DataChangedError, match=r"0 to 5 now.*--allow_changed_data"):
            begin(config(data, str(saved)), directory, allow_changed_data=False)
        tables, queue = begin(config(data, str(saved)), directory, allow_changed_data=True)
    assert [sum(shard.count for shard in table) for table in tables] == [11, 10]
    assert queue.last_step == 1
    with run_master(config(data, str(saved)), master(data, allow_changed_data=True)) as one:
        worker = Worker(one.job)
        assert len({*used, *rest_of_epoch(worker)}) == 6
        worker.call()
        assert account(one.job)["quarantined"] == 4
        one.job.lose(0, "gone")
        assert len({*used, *rest_of_epoch(Worker(one.job, "second"))}) == 6


def test_places_that_are_not_there(data: Path) -> None:
    for asked, words in (
        (config(data, "/nowhere"), "--resume_from: there is no directory /nowhere"),
        (dataclasses.replace(config(data), output="/dev/null/x"), "--output /dev/null/x cannot be"),
    ):
        with pytest.raises(ConfigError, match=words), run_master(asked, master(data)):
            pytest.fail("a job that cannot be saved")
    with pytest.raises(DataError, match="there is no checkpoint in"):
        begin(config(data, str(data)), JobDirectory(data.parent / "job"), False)


# The check of the ledger.


def test_a_good_job_is_verified(data: Path) -> None:
    finish(data)
    assert verify_ledger(data.parent / "job") == []
    assert [entry["missing"] for entry in load_ledger(data.parent / "job")["epochs"]] == [0, 0]


@pytest.mark.parametrize("gone", [True, False])
def test_data_that_was_tampered_with(data: Path, gone: bool) -> None:
    finish(data)
    if gone:
        shutil.rmtree(data)
        (difference,) = verify_ledger(data.parent / "job")
        assert difference.startswith("the shards cannot be listed again")
    else:
        (data / "a.recordio").unlink()
        (difference,) = verify_ledger(data.parent / "job")
        assert "1 removed" in difference


def test_a_state_that_was_tampered_with(data: Path) -> None:
    finish(data)
    journal = Journal(data.parent / "job" / "journal.sqlite", create=False)
    state = core_to_plain(recover(journal))
    # One record instead of another: the number is right.
    state["queue"]["epochs"][0]["state"]["committed"][1] += 1
    journal.save_snapshot(state)
    journal.close()
    (difference,) = verify_ledger(data.parent / "job")
    assert "the ledger of training epoch 0 does not add up" in difference
