"""Jobs that use a trained model, from the command line to what the cluster is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from elasticdl_like.cli.main import elasticdl
from elasticdl_like.config import InferenceConfig, JobConfig, JobKind
from elasticdl_like.errors import ConfigError

PODS = ("--platform", "kubernetes", "--image_name", "elasticdl:dev")
ZOO = ("--model_zoo", "zoo", "--model_def", "digits.cnn.make")
VOLUME = ("--volume", "claim_name=models,mount_path=/models,read_only=true")
OUTPUT = ("--volume", "claim_name=c,mount_path=/models;claim_name=out,mount_path=/out")
MODEL = ("--model_path", "/models/model.keras")


@pytest.fixture(autouse=True)
def _in_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("zoo", "digits").mkdir(parents=True)
    Path("zoo", "digits", "cnn.py").write_text("make = 1\n")
    Path("zoo", "digits", "own.py").write_text("class PredictionOutputsProcessor: ...\n")


def run(command: str, *words: str) -> None:
    data = {"evaluate": "--validation_data", "predict": "--prediction_data"}[command]
    words = (command, *PODS, *ZOO, data, "/data/digits", *words, "--dry_run")
    elasticdl.main(list(words), standalone_mode=False)


def job(capsys: pytest.CaptureFixture[str], command: str, *words: str) -> tuple[str, JobConfig]:
    """Returns the name of a job in the cluster, and its configuration."""
    run(command, *words)
    made = {each["kind"]: each for each in yaml.safe_load_all(capsys.readouterr().out)}
    text = made["ConfigMap"]["data"]["job.json"]
    return made["Job"]["metadata"]["name"], JobConfig.from_json(text)


def test_an_evaluation(capsys: pytest.CaptureFixture[str]) -> None:
    name, config = job(capsys, "evaluate", *VOLUME, *MODEL, "--num_workers", "3")
    assert (name, config.name, config.kind) == (
        *("evaluate-cnn", "evaluate-cnn"),
        JobKind.EVALUATION,
    )
    assert config.data.validation_data == "/data/digits"
    assert config.inference == InferenceConfig(model_path="/models/model.keras")
    assert config.workers.num_workers == 3
    assert config.model is not None
    assert config.model.model_zoo == "/elasticdl/model_zoo"
    assert config.index_dir == "/elasticdl/jobs/evaluate-cnn/index"


def test_a_directory_of_checkpoints_is_for_the_master_to_look_at(
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = "/elasticdl/jobs/digits/checkpoints"
    words = ("--checkpoint_dir", place, "--job_volume", "claim_name=jobs")
    assert job(capsys, "evaluate", *words)[1].inference == InferenceConfig(checkpoint=place)
    # It is only read, which a checkpoint directory of `train` is not.
    assert job(capsys, "evaluate", *VOLUME, "--checkpoint_dir", "/models/points")


def test_a_prediction(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--job_name", "Daily", "--prediction_output", "/out/a", "--keep_columns", "a,b")
    name, config = job(capsys, "predict", *OUTPUT, *MODEL, *words)
    assert (name, config.name, config.kind) == ("daily", "Daily", JobKind.PREDICTION)
    assert config.inference == InferenceConfig(
        model_path="/models/model.keras",
        output="/out/a",
        output_format="parquet",
        keep_columns=("a", "b"),
    )


@pytest.mark.parametrize(
    ("output", "place"),
    [("s3://bucket/out", "s3://bucket/out"), ("file:///out/a", "/out/a")],
)
def test_predictions_may_go_to_a_store(
    capsys: pytest.CaptureFixture[str], output: str, place: str
) -> None:
    _, config = job(capsys, "predict", *OUTPUT, *MODEL, "--prediction_output", output)
    assert config.inference.output == place


def test_a_processor_of_a_model_zoo_that_is_sent(capsys: pytest.CaptureFixture[str]) -> None:
    own = ("--model_def", "digits.own.make")
    assert not job(capsys, "predict", *VOLUME, *MODEL, *own)[1].inference.output
    with pytest.raises(ConfigError, match="both take the predictions"):
        run("predict", *OUTPUT, *MODEL, *own, "--prediction_output", "/out/a")
    with pytest.raises(ConfigError, match="has no PredictionOutputsProcessor"):
        run("predict", *VOLUME, *MODEL)


@pytest.mark.parametrize("zoo", ["/image/zoo", "/models/zoo"])
def test_a_model_zoo_that_only_the_pods_see(capsys: pytest.CaptureFixture[str], zoo: str) -> None:
    words = ("predict", *OUTPUT, *MODEL, "--model_zoo", zoo)
    assert not job(capsys, *words)[1].inference.output
    name, config = job(capsys, *words, "--prediction_output", "/out/a")
    assert (name, config.inference.output) == ("predict-cnn", "/out/a")
    with pytest.raises(ConfigError, match=r"digits\.cnn\.make has no PredictionOutputsProcessor"):
        run(*words, "--prediction_outputs_processor", "")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (VOLUME, "--model_path is missing"),
        (("--model_path", "m.keras"), r"--model_path m\.keras is in no --volume"),
        (("--model_path", "s3://b/m.keras"), r"--model_path s3://b/m\.keras is in no --volume"),
        ((*VOLUME, "--model_path", "/models/dir"), "is not a .keras file"),
        (("--checkpoint_dir", "/c"), "--checkpoint_dir /c is in no --volume"),
        ((*VOLUME, *MODEL, "--prediction_output", "out"), "--prediction_output out is in no"),
        (
            (*VOLUME, *MODEL, "--prediction_output", "/models/out"),
            "--prediction_output /models/out is in a --volume with read_only=true",
        ),
        ((*VOLUME, *MODEL, "--prediction_data", "zoo"), "--prediction_data zoo is on this machine"),
        ((*VOLUME, *MODEL, "--job_dir", "x"), "--job_dir is for a job on this machine"),
        ((*VOLUME, *MODEL, "--image_name", ""), "--image_name is missing"),
        ((*VOLUME, *MODEL, "--output", "/out"), "--output is not supported. No model is trained"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_created(
    words: tuple[str, ...], problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        run("predict", *words)


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_a_job_of_this_machine_has_no_flags_of_kubernetes(command: str) -> None:
    Path("m.keras").touch()
    with pytest.raises(ConfigError, match="--dry_run is for Kubernetes"):
        run(command, "--platform", "local", "--image_name", "", "--model_path", "m.keras")
