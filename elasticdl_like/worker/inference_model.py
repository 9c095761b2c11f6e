"""The trained model of a job that evaluates or predicts, with what its model file says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import keras

from elasticdl_like.config import JobConfig, JobKind
from elasticdl_like.errors import ConfigError, DataError, ModelDefinitionError
from elasticdl_like.model_file import load_model_file
from elasticdl_like.worker.checkpoint_reader import load_weights
from elasticdl_like.worker.model_spec import find_feeds, make_metrics, make_model, required_function
from elasticdl_like.worker.user_code import explained


@dataclass(frozen=True)
class InferenceSpec:
    """What evaluates or predicts.

    Attributes:
        model: the Keras model. Where it comes from a checkpoint, `load_checkpoint` gives it its
            weights.
        loss: `(labels, predictions)` -> a scalar mean, or one value for each example; None for a
            prediction.
        feed: `(dataset, mode, metadata)` -> dataset of one element for each record, or None.
        feed_batch: `(records, mode, metadata)` -> a batch, or None. One of the two is there.
        eval_metrics: `{name: Keras metric or function}`; none for a prediction.
    """

    model: keras.Model
    loss: Callable[..., Any] | None
    feed: Callable[..., Any] | None
    feed_batch: Callable[..., Any] | None
    eval_metrics: Mapping[str, Any]


def load_inference_spec(job: JobConfig) -> InferenceSpec:
    """Loads the model definition file of a job that evaluates or predicts, and the model.

    The model definition file needs no optimizer, and the function that makes the model only where
    its weights come from a checkpoint. The loss and the metrics are for an evaluation.

    Raises:
        ConfigError: the job has no model definition, or no trained model.
        DataError: there is no such file of a model.
        ModelDefinitionError: the model definition file cannot be imported, lacks a name, or
            something in it is not as agreed; or the model cannot be loaded.
    """
    if job.model is None:
        raise ConfigError(f"a job of {job.kind} needs a model definition; give --model_def")
    module = load_model_file(job.model)
    feed, feed_batch = find_feeds(module, job.model)
    loss, metrics = None, {}
    if job.kind is JobKind.EVALUATION:
        loss = required_function(module, job.model.loss)
        metrics = make_metrics(module, job.model)
    if job.inference.model_path:
        model = _load_model(Path(job.inference.model_path), module)
    elif job.inference.checkpoint:
        model = make_model(module, job.model)
    else:
        raise ConfigError(
            f"a job of {job.kind} needs a trained model; give --model_path or --checkpoint_dir"
        )
    return InferenceSpec(model, loss, feed, feed_batch, metrics)


def load_checkpoint(spec: InferenceSpec, job: JobConfig, features: Any) -> None:
    """Gives the model the weights of the job's checkpoint, if that is where they come from.

    Args:
        spec: what `load_inference_spec` returned.
        job: the job.
        features: an input of the model, to make its variables with; zeros will do.

    Raises:
        DataError: there is no such checkpoint.
        CorruptDataError: a file of it is not as it was written.
        ModelDefinitionError: it is a checkpoint of another model.
    """
    if job.inference.model_path:
        return
    if not spec.model.built:
        with explained("the model"):
            spec.model(features, training=False)
    load_weights(spec.model, Path(job.inference.checkpoint))


def _load_model(path: Path, module: ModuleType) -> keras.Model:
    if not path.exists():
        raise DataError(f"--model_path: there is no file {path}")
    # A class that was registered, or whose module can be imported, is found by Keras. These are
    # for a model that was trained with a copy of the file under another name.
    own = {
        name: each
        for name, each in vars(module).items()
        if callable(each) and getattr(each, "__module__", None) == module.__name__
    }
    try:
        model = keras.models.load_model(path, custom_objects=own, compile=False)
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ModelDefinitionError(
            f"--model_path {path} cannot be loaded: {reason}; it has to be a file that "
            f"model.save() wrote as .keras, and layers of your own have to be in {module.__file__} "
            "or be imported by it"
        ) from error
    if not isinstance(model, keras.Model):
        raise ModelDefinitionError(
            f"--model_path {path} holds a {type(model).__name__}, not a Keras model"
        )
    return model
