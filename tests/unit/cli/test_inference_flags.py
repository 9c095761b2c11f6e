"""From words on the command line to the configuration of a job that evaluates or predicts."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest

from elasticdl_like.cli.inference_options import make_inference_config
from elasticdl_like.cli.main import elasticdl
from elasticdl_like.config import DistributionStrategy, InferenceConfig, JobConfig, JobKind
from elasticdl_like.errors import ConfigError, ModelDefinitionError

MODEL = ("--model_zoo", "zoo", "--model_def", "model.make")


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with a model definition file, a trained model and checkpoints."""
    monkeypatch.chdir(tmp_path)
    Path("zoo").mkdir()
    Path("zoo", "model.py").write_text("def make(): ...\n")
    Path("zoo", "processing.py").write_text("class PredictionOutputsProcessor: ...\n")
    Path("trained.keras").touch()
    for step in (7, 20):
        checkpoint(tmp_path / "checkpoints", step)
    return tmp_path


def checkpoint(place: Path, step: int) -> Path:
    path = place / f"checkpoint-{step:09}"
    path.mkdir(parents=True)
    (path / "manifest.json").touch()
    return path


def parse(*words: str) -> dict[str, Any]:
    command = elasticdl.commands[words[0]]
    return command.make_context(words[0], list(words[1:])).params


def evaluation(*words: str, model: tuple[str, ...] = MODEL) -> JobConfig:
    flags = parse("evaluate", "--validation_data", "data", *model, *words)
    return make_inference_config(flags, JobKind.EVALUATION)


def prediction(*words: str, model: tuple[str, ...] = MODEL) -> JobConfig:
    trained = ("--model_path", "trained.keras")
    flags = parse("predict", "--prediction_data", "data", *trained, *model, *words)
    return make_inference_config(flags, JobKind.PREDICTION)


def test_an_evaluation(directory: Path) -> None:
    config = evaluation("--model_path", "trained.keras", "--num_workers", "3")
    assert config.kind is JobKind.EVALUATION
    assert config.name == "evaluate-model"
    assert config.index_dir == str(directory / "jobs" / "evaluate-model" / "index")
    assert config.data_origin == "data"
    assert config.inference == InferenceConfig(model_path=str(directory / "trained.keras"))
    assert config.workers.num_workers == 3
    # They do not train one model together.
    assert config.distribution_strategy is DistributionStrategy.LOCAL
    assert not config.training.shuffle
    assert config.splits_tasks


def test_a_prediction(directory: Path) -> None:
    config = prediction("--prediction_output", "out", "--keep_columns", "a, b")
    assert config.kind is JobKind.PREDICTION
    assert config.name == "predict-model"
    assert config.data_origin == "data"
    assert config.inference == InferenceConfig(
        model_path=str(directory / "trained.keras"),
        output=str(directory / "out"),
        output_format="parquet",
        keep_columns=("a", "b"),
    )
    assert JobConfig.from_json(config.to_json()) == config


def test_the_names_in_the_model_file_that_matter() -> None:
    words = ("--model_path", "trained.keras", "--loss", "l", "--eval_metrics_fn", "m")
    model = evaluation(*words, "--feed_batch", "f", "--model_params", "k=3").model
    assert model is not None
    assert (model.loss, model.eval_metrics_fn, model.feed_batch) == ("l", "m", "f")
    assert model.params == {"k": 3}


@pytest.mark.parametrize("flag", ["--checkpoint_dir", "--checkpoint_dir_for_init"])
def test_the_newest_checkpoint_of_a_directory(directory: Path, flag: str) -> None:
    newest = directory / "checkpoints" / "checkpoint-000000020"
    assert evaluation(flag, "checkpoints").inference == InferenceConfig(checkpoint=str(newest))
    (directory / "checkpoints" / "checkpoint-000000030").mkdir()  # not finished
    assert evaluation(flag, "checkpoints").inference.checkpoint == str(newest)
    other = directory / "checkpoints" / "checkpoint-000000007"
    assert evaluation(flag, str(other)).inference.checkpoint == str(other)


def test_a_job_that_goes_on_keeps_its_checkpoint(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--checkpoint_dir", "checkpoints")
    before = evaluation(*words)
    newer = checkpoint(directory / "checkpoints", 30)
    monkeypatch.setattr("elasticdl_like.job_directory.JobDirectory.has_job", lambda _: True)
    monkeypatch.setattr(
        "elasticdl_like.master.trained_model.load_core", lambda _: SimpleNamespace(config=before)
    )
    assert evaluation(*words) == before
    assert evaluation(*words, "--overwrite").inference.checkpoint == str(newer)
    assert evaluation("--checkpoint_dir", str(newer)).inference.checkpoint == str(newer)
    # It has been removed: the master says that another model is asked for.
    shutil.rmtree(before.inference.checkpoint)
    assert evaluation(*words).inference.checkpoint == str(newer)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("", "--model_path is missing"),
        ("--model_path trained.keras --checkpoint_dir checkpoints", "both name a trained model"),
        ("--model_path nowhere.keras", "there is no file .*nowhere.keras"),
        ("--model_path zoo", "is not a .keras file"),
        ("--checkpoint_dir nowhere", "--checkpoint_dir: there is no directory .*nowhere"),
        ("--checkpoint_dir zoo", "--checkpoint_dir: there is no checkpoint in .*zoo"),
        ("--model_path trained.keras --output x", "--output is not supported. No model is trained"),
    ],
)
def test_a_trained_model_is_needed_and_just_one(words: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        evaluation(*words.split())


def test_a_model_definition_is_needed() -> None:
    with pytest.raises(ConfigError, match="--model_zoo and --model_def are missing"):
        evaluation("--model_path", "trained.keras", model=())
    with pytest.raises(ModelDefinitionError, match="there is no file"):
        evaluation("--model_path", "trained.keras", "--model_def", "other.make")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("", "--prediction_output is missing, and .*model.py has no PredictionOutputsProcessor"),
        ("--prediction_outputs_processor Mine", "model.py has no Mine"),
        ("--prediction_format csv", "--prediction_format csv is for files"),
        ("--keep_columns a", "--keep_columns a is for files"),
        ("--prediction_output out --keep_columns a,,b", "has an empty name"),
        ("--prediction_output out --keep_columns a,a", "names 'a' twice"),
        ("--prediction_output out --keep_columns index", "has a column 'index' already"),
        ("--prediction_output nosuch://a/b", "nosuch"),
        (
            "--prediction_output out --model_def processing.make",
            "both take the predictions",
        ),
    ],
)
def test_predictions_have_one_place_to_go_to(words: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        prediction(*words.split())


def test_a_processor_takes_the_predictions(directory: Path) -> None:
    config = prediction("--model_def", "processing.make")
    assert config.inference == InferenceConfig(model_path=str(directory / "trained.keras"))
    # It may be about to get whole tasks.
    assert not config.splits_tasks
    aside = ("--prediction_outputs_processor", "", "--prediction_output", "out")
    assert prediction("--model_def", "processing.make", *aside).inference.output


def test_formats_are_known() -> None:
    output = ("--prediction_output", "out", "--prediction_format")
    for name in ("parquet", "jsonl", "csv", "recordio"):
        assert prediction(*output, name).inference.output_format == name
    with pytest.raises(click.BadParameter, match="'orc' is not one of"):
        prediction(*output, "orc")


def test_urls_stay_urls(directory: Path) -> None:
    assert prediction("--prediction_output", "memory://a/b").inference.output == "memory://a/b"
    local = prediction("--prediction_output", f"file://{directory}/out").inference.output
    assert local == str(directory / "out")


def test_parquet_needs_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"writing Parquet needs .*elasticdl-like\[arrow\]"):
        prediction("--prediction_output", "out")
    assert prediction("--prediction_output", "out", "--prediction_format", "jsonl")


def test_flags_of_elasticdl_that_only_training_has_use_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    trained = ("--model_path", "trained.keras")
    assert evaluation(*trained, "--optimizer", "adam", "--distribution_strategy", "Local")
    shown = capsys.readouterr().err
    assert "warning: --optimizer has no effect. Nothing is trained." in shown
    assert "warning: --distribution_strategy has no effect." in shown
    assert prediction("--prediction_output", "out", "--loss", "loss")
    assert "warning: --loss has no effect." in capsys.readouterr().err


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_flags_of_training_alone_are_not_there(command: str) -> None:
    data = {"evaluate": "--validation_data", "predict": "--prediction_data"}[command]
    for flag in ("--num_epochs", "--resume_from", "--min_workers"):
        with pytest.raises(click.NoSuchOption):
            parse(command, data, "data", flag, "1")
    with pytest.raises(click.MissingParameter):
        parse(command)
