"""From words on the command line to the configuration of a job, a master and a worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest

from elasticdl_like.cli.connection import given_token, tls_config
from elasticdl_like.cli.main import elasticdl
from elasticdl_like.cli.options import make_job_config
from elasticdl_like.config import DistributionStrategy, JobConfig, TlsConfig, WorkersConfig
from elasticdl_like.errors import ConfigError
from elasticdl_like.worker import main as worker_main
from elasticdl_like.worker.main import WorkerConfig


@pytest.fixture(autouse=True)
def _in_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def parse(*words: str) -> dict[str, Any]:
    """Returns the flags of a command, as it gets them."""
    command = elasticdl.commands[words[0]]
    return command.make_context(words[0], list(words[1:])).params


def data_job(*words: str) -> JobConfig:
    return make_job_config(parse("master", "--training_data", "data", *words), data_only=True)


def job(*words: str) -> JobConfig:
    """Returns a job that trains a model, whose file only has to be there."""
    Path("zoo").mkdir(exist_ok=True)
    Path("zoo", "model.py").touch()
    model = ("--model_zoo", "zoo", "--model_def", "model.make")
    return make_job_config(parse("train", "--training_data", "data", *model, *words))


def sizes(*words: str) -> tuple[int, int]:
    training = job(*words).training
    return training.minibatch_size, training.global_batch_size


def run(*words: str) -> None:
    elasticdl.main(list(words), standalone_mode=False)


def test_checkpoints_come_by_time_unless_asked_otherwise() -> None:
    checkpoint = data_job().checkpoint
    assert (checkpoint.steps, checkpoint.interval_s, checkpoint.resume_from) == (0, 600.0, "")
    assert data_job("--checkpoint_minutes", "0.5").checkpoint.interval_s == 30.0
    assert data_job("--checkpoint_minutes", "0").checkpoint.interval_s == 0.0
    assert data_job("--checkpoint_steps", "7").checkpoint.steps == 7


def test_resume_from_becomes_an_absolute_path(tmp_path: Path) -> None:
    checkpoint = data_job("--resume_from", "old/checkpoints").checkpoint
    assert checkpoint.resume_from == str(tmp_path / "old" / "checkpoints")
    with pytest.raises(ConfigError, match="--resume_from and --checkpoint_dir_for_init"):
        data_job("--resume_from", "a", "--checkpoint_dir_for_init", "b")


def test_indexes_are_kept_in_the_job_directory_unless_asked_otherwise(tmp_path: Path) -> None:
    assert data_job("--job_dir", "here").index_dir == str(tmp_path / "here" / "index")
    assert data_job("--index_dir", "shared").index_dir == str(tmp_path / "shared")


def test_quarantine_is_off_unless_asked_for() -> None:
    assert data_job().training.max_quarantined_records == 0
    quarantining = data_job("--max_quarantined_records", "5")
    assert quarantining.training.max_quarantined_records == 5


def test_one_worker_trains_alone_unless_there_can_be_more() -> None:
    assert data_job().distribution_strategy is DistributionStrategy.LOCAL
    assert data_job().workers == WorkersConfig()
    together = job("--num_workers", "3", "--min_workers", "2", "--max_workers", "4")
    assert together.distribution_strategy is DistributionStrategy.ALL_REDUCE
    assert together.workers == WorkersConfig(num_workers=3, min_workers=2, max_workers=4)
    assert job("--max_workers", "2").distribution_strategy is DistributionStrategy.ALL_REDUCE
    for name in ("AllReduce", "AllreduceStrategy"):
        alone = job("--distribution_strategy", name)
        assert alone.distribution_strategy is DistributionStrategy.ALL_REDUCE
        assert alone.workers.num_workers == 1


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("--num_workers 2 --min_workers 3", "--min_workers 3 is more than --num_workers 2"),
        ("--num_workers 5 --max_workers 4", "--num_workers 5 is more than --max_workers 4"),
        ("--num_workers 2 --distribution_strategy Local", "does not go with --num_workers 2"),
        ("--max_workers 2 --distribution_strategy local", "does not go with --max_workers 2"),
        ("--distribution_strategy Horovod", "'Horovod' is not known; there is Local and AllReduce"),
        ("--distribution_strategy ParameterServerStrategy", "no parameter servers"),
        ("--global_batch_size 8 --minibatch_size 4", "--minibatch_size 4 both say"),
        ("--global_batch_size 2 --num_workers 3", "less than --num_workers 3"),
        ("--global_batch_size 2 --max_workers 3", "less than --max_workers 3"),
    ],
)
def test_what_contradicts_itself_about_workers_is_refused(words: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        job(*words.split())


def test_a_job_without_a_model_takes_any_number_of_workers() -> None:
    with pytest.raises(ConfigError, match="any number of workers can take part"):
        data_job("--num_workers", "2")


def test_records_in_a_step() -> None:
    assert sizes() == (64, 0)
    assert sizes("--minibatch_size", "5", "--num_workers", "3") == (5, 0)
    # Tasks have the size that they have for the workers of the beginning.
    assert sizes("--global_batch_size", "100", "--num_workers", "3") == (33, 100)
    assert sizes("--global_batch_size", "100") == (100, 100)


def test_training_needs_data() -> None:
    with pytest.raises(click.MissingParameter, match="training_data"):
        parse("train")
    with pytest.raises(click.UsageError, match="Missing option '--training_data'; only --resume"):
        run("master", "--job_dir", "job")


def test_resume_needs_a_job() -> None:
    with pytest.raises(click.UsageError, match="--resume needs --job_dir"):
        run("master", "--resume")
    with pytest.raises(click.UsageError, match="--overwrite would remove"):
        run("master", "--resume", "--job_dir", "job", "--overwrite")


def test_defaults_of_train() -> None:
    flags = parse("train", "--training_data", "data")
    assert flags["max_worker_restarts"] == 3
    assert flags["master_timeout"] == 600.0
    assert flags["journal_sync"] == "normal"
    assert flags["allow_changed_data"] is False


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[WorkerConfig]:
    """The workers that were started, of which none runs."""
    configs: list[WorkerConfig] = []
    monkeypatch.setattr(worker_main, "run_worker", configs.append)
    monkeypatch.setattr("elasticdl_like.worker.logs.configure_worker_logging", lambda *_: None)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    return configs


def test_a_worker_of_a_job_directory(started: list[WorkerConfig], tmp_path: Path) -> None:
    run("worker", "--job_dir", "job", "--worker_id", "3", "--incarnation", "abc")
    (config,) = started
    assert config.locator.job_directory == tmp_path / "job"
    assert (config.worker_id, config.incarnation) == (3, "abc")
    assert config.master_timeout_s == 600.0


def test_a_worker_of_an_address(started: list[WorkerConfig], tmp_path: Path) -> None:
    (tmp_path / "my-token").write_text("secret\n")
    run(
        *("worker", "--master_addr", "host:1", "--token_file", "my-token", "--tls_ca_file", "ca"),
        *("--master_timeout", "5", "--tls_workers_name", "workers.example"),
    )
    (config,) = started
    assert config.locator.fixed is not None
    assert (config.locator.fixed.address, config.locator.fixed.token) == ("host:1", "secret")
    assert config.locator.tls == TlsConfig(ca_file="ca", workers_name="workers.example")
    assert (config.worker_id, config.incarnation) == (None, None)
    assert config.master_timeout_s == 5.0


@pytest.mark.parametrize("words", [[], ["--job_dir", "job", "--master_addr", "host:1"]])
def test_a_worker_has_one_way_to_its_master(started: list[WorkerConfig], words: list[str]) -> None:
    with pytest.raises(click.UsageError, match="either --job_dir or --master_addr"):
        run("worker", *words)
    assert started == []


def test_the_token_is_in_a_file_or_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ELASTICDL_JOB_TOKEN", raising=False)
    with pytest.raises(ConfigError, match=r"--token_file is missing.*JOB_DIR/token"):
        given_token("")
    monkeypatch.setenv("ELASTICDL_JOB_TOKEN", "from-environment")
    assert given_token("") == "from-environment"
    (tmp_path / "token").write_text("from-file\n")
    assert given_token(str(tmp_path / "token")) == "from-file"


def test_a_token_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--token_file .*nowhere cannot be read"):
        given_token(str(tmp_path / "nowhere"))
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(ConfigError, match="is empty"):
        given_token(str(tmp_path / "empty"))


def test_no_tls_unless_asked_for() -> None:
    assert tls_config(parse("master", "--training_data", "data")) == TlsConfig()
    assert tls_config(
        parse("status", "job", "--tls_cert_file", "cert", "--tls_key_file", "key")
    ) == TlsConfig(cert_file="cert", key_file="key")
