"""What a job that evaluates or predicts needs of its model file, and where its model comes from."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from elasticdl_like.config import DataConfig, InferenceConfig, JobConfig, JobKind, ModelConfig
from elasticdl_like.errors import ConfigError, CorruptDataError, DataError, ModelDefinitionError
from elasticdl_like.worker.inference_model import (
    InferenceSpec,
    load_checkpoint,
    load_inference_spec,
)
from elasticdl_like.worker.variable_file import copy_variables, write_variables

MODEL = """
import keras
import tensorflow as tf


class Doubled(keras.layers.Layer):
    def call(self, inputs):
        return 2 * inputs


class Lazy(keras.Model):
    def __init__(self, units=1):
        super().__init__()
        self.dense = keras.layers.Dense(units)

    def call(self, inputs):
        return self.dense(inputs)


def feed_batch(records, mode, metadata):
    return records
"""
LOSS = """
def loss(labels, predictions):
    return tf.square(labels - predictions)


def eval_metrics_fn():
    return {"mse": keras.metrics.MeanSquaredError()}
"""

Load = Callable[..., tuple[JobConfig, InferenceSpec]]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads a model file of the given text, and the model of the job's inference."""
    monkeypatch.setattr(sys, "path", list(sys.path))

    def load_text(
        text: str = MODEL, kind: JobKind = JobKind.PREDICTION, make: str = "Lazy", **inference: Any
    ) -> tuple[JobConfig, InferenceSpec]:
        name = f"inferring_{uuid.uuid4().hex}"  # no module is imported twice
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        job = JobConfig(
            "job",
            DataConfig("", "data", "data"),
            ModelConfig(str(tmp_path), f"{name}.{make}"),
            kind=kind,
            inference=InferenceConfig(**inference),
        )
        return job, load_inference_spec(job)

    return load_text


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.set_weights([np.array([[1.0], [2.0]]), np.array([3.0])])
    path = tmp_path / "model.keras"
    model.save(path)
    return path


def write_checkpoint(directory: Path, model: keras.Model) -> Path:
    """Writes as much of a checkpoint as evaluating needs."""
    directory.mkdir()
    path = directory / "model.npz"
    sha256 = write_variables(path, copy_variables(model.variables), lambda: None)
    files = {"model.npz": {"size_bytes": path.stat().st_size, "sha256": sha256}}
    (directory / "manifest.json").write_text(json.dumps({"files": files}))
    return directory


def test_a_prediction_needs_neither_loss_nor_optimizer_nor_the_function_of_the_model(
    load: Load, saved: Path
) -> None:
    _, spec = load(make="no_such", model_path=str(saved))
    assert spec.model(tf.constant([[10.0, 100.0]])).numpy().tolist() == [[213.0]]
    assert (spec.loss, spec.feed, spec.eval_metrics) == (None, None, {})
    assert spec.feed_batch is not None


def test_an_evaluation_needs_a_loss(load: Load, saved: Path) -> None:
    _, spec = load(MODEL + LOSS, JobKind.EVALUATION, model_path=str(saved))
    assert spec.loss is not None
    assert list(spec.eval_metrics) == ["mse"]
    with pytest.raises(ModelDefinitionError, match="has no 'loss'"):
        load(MODEL, JobKind.EVALUATION, model_path=str(saved))


def test_a_prediction_needs_a_feed(load: Load, saved: Path) -> None:
    with pytest.raises(ModelDefinitionError, match="neither 'feed_batch' nor 'feed'"):
        load(MODEL.replace("feed_batch", "other"), model_path=str(saved))


def test_layers_of_the_model_file_are_found(load: Load, tmp_path: Path) -> None:
    class Doubled(keras.layers.Layer):
        def call(self, inputs: Any) -> Any:
            return 2 * inputs

    path = tmp_path / "own.keras"
    keras.Sequential([keras.Input((1,)), Doubled()]).save(path)
    _, spec = load(model_path=str(path))
    assert type(spec.model.layers[-1]) is not Doubled
    assert spec.model(tf.constant([[4.0]])).numpy().tolist() == [[8.0]]
    with pytest.raises(ModelDefinitionError, match=r"own.keras cannot be loaded: .*Doubled"):
        load(MODEL.replace("Doubled", "Other"), model_path=str(path))


def test_the_weights_of_a_checkpoint(load: Load, tmp_path: Path) -> None:
    _, trained = load(checkpoint="not read yet")
    features = tf.constant([[1.0, 2.0]])
    expected = trained.model(features).numpy().tolist()
    checkpoint = write_checkpoint(tmp_path / "checkpoint", trained.model)
    job, spec = load(checkpoint=str(checkpoint))
    load_checkpoint(spec, job, tf.zeros([1, 2]))
    assert spec.model(features).numpy().tolist() == expected
    (checkpoint / "model.npz").write_bytes(b"damaged")
    with pytest.raises(CorruptDataError, match="7 bytes instead of"):
        load_checkpoint(spec, job, tf.zeros([1, 2]))


def test_a_checkpoint_of_another_model_is_refused(load: Load, saved: Path, tmp_path: Path) -> None:
    model = keras.models.load_model(saved)
    checkpoint = write_checkpoint(tmp_path / "checkpoint", model)
    job, spec = load(checkpoint=str(checkpoint))
    with pytest.raises(ModelDefinitionError, match="is of another model"):
        load_checkpoint(spec, job, tf.zeros([1, 5]))


def test_files_that_are_no_model(load: Load, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"--model_path: there is no file .*absent\.keras"):
        load(model_path=str(tmp_path / "absent.keras"))
    path = tmp_path / "text.keras"
    path.write_text("no model")
    with pytest.raises(ModelDefinitionError, match=r"text\.keras cannot be loaded: .*\.keras") as e:
        load(model_path=str(path))
    assert "\n" not in str(e.value)


def test_without_any_model(load: Load) -> None:
    with pytest.raises(ConfigError, match="give --model_path or --checkpoint_dir"):
        load()
