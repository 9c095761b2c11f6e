from __future__ import annotations

from pathlib import Path

import pytest

from elasticdl_like.errors import JobDirectoryError
from elasticdl_like.job_directory import JobDirectory, JobState


def leave_a_job(path: Path, state: JobState) -> None:
    directory = JobDirectory(path)
    with directory.own(overwrite=False):
        directory.save_job({"state": state, "config": {}})
        directory.save_ledger({"epochs": []})
        (directory.logs / "worker-0.log").write_text("hello")
        directory.checkpoints.mkdir()
        (directory.checkpoints / "checkpoint-1").write_text("weights")


def contents(path: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }


def test_a_new_directory_is_made_with_its_parents(tmp_path: Path) -> None:
    directory = JobDirectory(tmp_path / "a" / "b")
    with directory.own(overwrite=False):
        assert directory.logs.is_dir()
        assert directory.in_use()
    assert not directory.in_use()


def test_a_second_owner_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    with JobDirectory(tmp_path).own(overwrite=False):
        for overwrite in (False, True):
            with (
                pytest.raises(JobDirectoryError, match="in use by a running job"),
                JobDirectory(tmp_path).own(overwrite),
            ):
                pytest.fail("two owners")
        assert JobDirectory(tmp_path).in_use()
    with JobDirectory(tmp_path).own(overwrite=False):
        pass


def test_an_owner_that_fails_lets_go(tmp_path: Path) -> None:
    directory = JobDirectory(tmp_path)

    def fail() -> None:
        with directory.own(overwrite=False):
            directory.save_endpoint("host:1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not directory.in_use()
    assert not (tmp_path / "endpoint").exists()


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (JobState.FINISHED, "has finished"),
        (JobState.FAILED, "holds a job that failed"),
        (JobState.INTERRUPTED, "was interrupted"),
        (JobState.RUNNING, "was cut off"),
    ],
)
def test_an_earlier_job_is_refused_and_not_touched(
    tmp_path: Path, state: JobState, words: str
) -> None:
    leave_a_job(tmp_path, state)
    before = contents(tmp_path)
    with (
        pytest.raises(JobDirectoryError, match=words) as caught,
        JobDirectory(tmp_path).own(overwrite=False),
    ):
        pytest.fail("an earlier job is overwritten")
    assert "--overwrite" in str(caught.value)
    assert contents(tmp_path) == before


def test_overwrite_starts_anew_and_leaves_other_files_alone(tmp_path: Path) -> None:
    leave_a_job(tmp_path, JobState.FINISHED)
    (tmp_path / "notes.txt").write_text("mine")
    directory = JobDirectory(tmp_path)
    before = contents(tmp_path)
    with directory.own(overwrite=True):
        # Until the new job is known to be able to start, the old one stays.
        assert contents(tmp_path) == before
        directory.clear()
        assert contents(tmp_path) == {"lock": b"", "notes.txt": b"mine"}
        assert directory.logs.is_dir()
        with pytest.raises(JobDirectoryError, match=r"no job\.json"):
            directory.load_job()


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe", b"[1]"])
def test_a_damaged_job_is_refused_in_words_and_can_be_overwritten(
    tmp_path: Path, damage: bytes
) -> None:
    leave_a_job(tmp_path, JobState.FINISHED)
    (tmp_path / "job.json").write_bytes(damage)
    directory = JobDirectory(tmp_path)
    with pytest.raises(JobDirectoryError, match=r"job\.json cannot be read"):
        directory.load_job()
    with (
        pytest.raises(JobDirectoryError, match=r"job\.json cannot be read"),
        directory.own(overwrite=False),
    ):
        pytest.fail("a damaged job is taken over")
    with directory.own(overwrite=True):
        directory.save_job({"state": "running"})
    assert directory.load_job() == {"state": "running"}


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    directory = JobDirectory(tmp_path)
    with directory.own(overwrite=False):
        directory.save_job({"state": "running", "name": "Jöb"})
        directory.save_job({"state": "finished", "name": "Jöb"})
        directory.save_ledger({"epochs": [{"records": 3}]})
    assert directory.load_job() == {"state": "finished", "name": "Jöb"}
    assert directory.load_ledger() == {"epochs": [{"records": 3}]}
    assert sorted(contents(tmp_path)) == ["job.json", "ledger.json", "lock"]


def test_no_job_no_ledger(tmp_path: Path) -> None:
    with pytest.raises(JobDirectoryError, match=r"not a job directory: no job\.json"):
        JobDirectory(tmp_path).load_job()
    with pytest.raises(JobDirectoryError, match=r"no ledger\.json"):
        JobDirectory(tmp_path / "nowhere").load_ledger()


def test_the_endpoint_is_that_of_a_live_master(tmp_path: Path) -> None:
    directory = JobDirectory(tmp_path)
    assert directory.endpoint() is None
    with directory.own(overwrite=False):
        assert directory.endpoint() is None
        directory.save_endpoint("host:1234")
        assert JobDirectory(tmp_path).endpoint() == "host:1234"
    assert directory.endpoint() is None
    # Killed: nobody removed the file.
    directory.save_endpoint("host:1234")
    assert directory.endpoint() is None


def test_a_path_that_cannot_be_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(JobDirectoryError, match="cannot be written to"),
        JobDirectory(tmp_path / "file" / "job").own(overwrite=False),
    ):
        pytest.fail("a directory inside a file")
