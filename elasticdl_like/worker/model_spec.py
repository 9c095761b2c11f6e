"""The model definition file of a job: finds each name and checks that it is as agreed."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import keras

from elasticdl_like.config import ModelConfig
from elasticdl_like.errors import ModelDefinitionError
from elasticdl_like.model_file import find_name, load_model_file

# Names of ElasticDL's model files that mean nothing here.
_OLD_NAMES = {
    "learning_rate_scheduler": "give optimizer() a Keras schedule, or return a "
    "keras.callbacks.LearningRateScheduler from callbacks()",
    "input_fn": "write feed(dataset, mode, metadata)",
}


@dataclass(frozen=True)
class ModelSpec:
    """What a model definition file defines.

    Attributes:
        model: the Keras model.
        optimizer: the Keras optimizer.
        loss: `(labels, predictions)` -> a scalar mean, or one value for each example.
        feed: `(dataset, mode, metadata)` -> dataset of one element for each record, or None.
        feed_batch: `(records, mode, metadata)` -> a batch, or None. One of the two is there.
        eval_metrics: `{name: Keras metric or function}`.
        callbacks: Keras callbacks.
    """

    model: keras.Model
    optimizer: keras.optimizers.Optimizer
    loss: Callable[..., Any]
    feed: Callable[..., Any] | None
    feed_batch: Callable[..., Any] | None
    eval_metrics: Mapping[str, Any]
    callbacks: list[keras.callbacks.Callback]


def load_model_spec(config: ModelConfig) -> ModelSpec:
    """Loads the model definition file and makes what it defines.

    Raises:
        ModelDefinitionError: the file cannot be imported, lacks a name, or something in it is not
            as agreed.
    """
    module = load_model_file(config)
    for name, instead in _OLD_NAMES.items():
        if callable(getattr(module, name, None)):
            raise ModelDefinitionError(
                f"{module.__file__}: {name!r} would be ignored; {instead}, and remove it"
            )
    feed, feed_batch = find_feeds(module, config)
    optimizer = _call(module, config.optimizer, {})
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise ModelDefinitionError(
            f"{module.__file__}: {config.optimizer}() returned {type(optimizer).__name__}, not a "
            "Keras optimizer"
        )
    metrics = make_metrics(module, config)
    callbacks = []
    if hasattr(module, config.callbacks):
        callbacks = _call(module, config.callbacks, {})
    if not isinstance(callbacks, list | tuple) or not all(
        isinstance(each, keras.callbacks.Callback) for each in callbacks
    ):
        raise ModelDefinitionError(
            f"{module.__file__}: {config.callbacks}() must return a list of Keras callbacks"
        )
    _check_tensorboard(module, config, callbacks)
    return ModelSpec(
        model=make_model(module, config),
        optimizer=optimizer,
        loss=required_function(module, config.loss),
        feed=feed,
        feed_batch=feed_batch,
        eval_metrics=metrics,
        callbacks=list(callbacks),
    )


def _check_tensorboard(
    module: ModuleType, config: ModelConfig, callbacks: Sequence[keras.callbacks.Callback]
) -> None:
    """Makes sure that Keras' callback can write, which it finds out in the middle of a step."""
    is_used = any(isinstance(each, keras.callbacks.TensorBoard) for each in callbacks)
    if is_used and importlib.util.find_spec("tensorboard") is None:
        raise ModelDefinitionError(
            f"{module.__file__}: {config.callbacks}() returns a keras.callbacks.TensorBoard, which "
            "needs the package tensorboard; install it, or remove the callback and give "
            "--tensorboard_dir, which does without"
        )


def find_feeds(
    module: ModuleType, config: ModelConfig
) -> tuple[Callable[..., Any] | None, Callable[..., Any] | None]:
    """Returns `feed` and `feed_batch` of a model definition file, of which one may be None.

    Raises:
        ModelDefinitionError: it has neither.
    """
    feed = find_name(module, [config.feed, "dataset_fn"])
    feed_batch = getattr(module, config.feed_batch, None)
    if feed is None and feed_batch is None:
        raise ModelDefinitionError(
            f"{module.__file__} has neither {config.feed_batch!r} nor {config.feed!r}; write "
            "feed_batch(records, mode, metadata), or feed(dataset, mode, metadata)"
        )
    return feed, feed_batch


def make_metrics(module: ModuleType, config: ModelConfig) -> dict[str, Any]:
    """Makes the metrics of a model definition file; `{}` if it has none.

    Raises:
        ModelDefinitionError: they are not as agreed.
    """
    metrics = {}
    if hasattr(module, config.eval_metrics_fn):
        metrics = _call(module, config.eval_metrics_fn, {})
    if not isinstance(metrics, Mapping) or not all(callable(each) for each in metrics.values()):
        raise ModelDefinitionError(
            f"{module.__file__}: {config.eval_metrics_fn}() must return "
            "{name: Keras metric or function}"
        )
    return dict(metrics)


def make_model(module: ModuleType, config: ModelConfig) -> keras.Model:
    """Makes the model of a model definition file, with new weights.

    Raises:
        ModelDefinitionError: it is none, or has a training step of its own.
    """
    attribute = config.model_def.rpartition(".")[2]
    model = _call(module, attribute, config.params)
    if not isinstance(model, keras.Model):
        raise ModelDefinitionError(
            f"{module.__file__}: {attribute}() returned {type(model).__name__}, not a Keras model"
        )
    for method in ("train_step", "test_step"):
        defined_in = next(each for each in type(model).__mro__ if method in vars(each))
        if not defined_in.__module__.startswith("keras."):
            raise ModelDefinitionError(
                f"{module.__file__}: {type(model).__name__} has a {method} of its own, which would "
                "be ignored: elasticdl runs the step itself, to know which records it used; "
                "define loss(labels, predictions) and optimizer() instead"
            )
    return model


def required_function(module: ModuleType, name: str) -> Callable[..., Any]:
    """Returns what a model definition file has under a name.

    Raises:
        ModelDefinitionError: it has no such name, or nothing that can be called.
    """
    value = getattr(module, name, None)
    if not callable(value):
        raise ModelDefinitionError(
            f"{module.__file__} has no {name!r}"
            + ("" if value is None else " that can be called")
            + "; see docs/from_elasticdl.md for what a model definition file has"
        )
    function: Callable[..., Any] = value
    return function


def _call(module: ModuleType, name: str, arguments: Mapping[str, Any]) -> Any:
    function = required_function(module, name)
    try:
        inspect.signature(function).bind(**arguments)
    except TypeError as error:
        raise ModelDefinitionError(
            f"{module.__file__}: {name} cannot be called with "
            f"{', '.join(arguments) or 'no arguments'}: {error}; "
            "--model_params gives arguments to the model"
        ) from error
    try:
        return function(**arguments)
    except Exception as error:
        raise ModelDefinitionError(
            f"{module.__file__}: {name}() raised {type(error).__name__}: {error}"
        ) from error
