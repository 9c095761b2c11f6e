"""The state of Keras callbacks, as it is saved, and given to whoever goes on with training.

Keras itself does not save what `EarlyStopping` and its like have counted.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from elasticdl_like.errors import ModelDefinitionError
from elasticdl_like.worker.user_code import explained

_logger = logging.getLogger(__name__)

# The attributes that change while a model is trained. How an improvement is told
# (`monitor_op`, and the sign of `min_delta`) each callback finds out anew.
_ATTRIBUTES: Mapping[type[keras.callbacks.Callback], Sequence[str]] = {
    keras.callbacks.EarlyStopping: ("wait", "stopped_epoch", "best", "best_epoch", "best_weights"),
    keras.callbacks.History: ("epoch", "history"),
    keras.callbacks.ModelCheckpoint: (
        "best",
        "_batches_seen_since_last_saving",
        "_last_batch_seen",
    ),
    keras.callbacks.ReduceLROnPlateau: ("wait", "best", "cooldown_counter"),
    keras.callbacks.SwapEMAWeights: ("_ema_weights_in_model",),
    keras.callbacks.TensorBoard: ("_global_train_batch", "_global_test_batch"),
}
# Those of Keras that need to know nothing of what was before. Classes derived from them may.
_STATELESS = frozenset(
    {
        keras.callbacks.BackupAndRestore,
        keras.callbacks.LambdaCallback,
        keras.callbacks.LearningRateScheduler,
        keras.callbacks.ProgbarLogger,
        keras.callbacks.RemoteMonitor,
        keras.callbacks.TerminateOnNaN,
    }
)
_OF_EVERY_CALLBACK = frozenset(vars(keras.callbacks.Callback()))


def capture_states(callbacks: Sequence[keras.callbacks.Callback]) -> dict[str, Any]:
    """Returns the state of the callbacks that have one.

    These are Keras' own, and those with `get_state()` and `set_state(state)`.

    Returns:
        `{class name: [the state of each callback of that class]}`, made of what JSON knows and of
        NumPy arrays.

    Raises:
        ModelDefinitionError: a `get_state` failed, or returned something else.
    """
    states: dict[str, Any] = {}
    for callback in callbacks:
        state: dict[str, Any] = {}
        what = type(callback).__name__
        attributes = {
            name: getattr(callback, name)
            for name in _attributes(callback)
            if hasattr(callback, name)
        }
        if attributes:
            state["attributes"] = _plain(attributes, what)
        if _has_own_state(callback):
            with explained(f"{what}.get_state()"):
                own = callback.get_state()
            # A copy: it is written while the callback may go on with the array.
            state["own"] = _plain(own, f"{what}.get_state()", copies=True)
        if state:
            states.setdefault(what, []).append(state)
    return states


def restore_states(
    callbacks: Sequence[keras.callbacks.Callback], captured: Mapping[str, Any]
) -> None:
    """Gives callbacks the states that others had, after `on_train_begin`, which resets some.

    A callback gets that of the callback of its class that had its place among those of this class.
    What does not fit is logged, and left out.

    Args:
        callbacks: the callbacks.
        captured: what `capture_states` returned.

    Raises:
        ModelDefinitionError: a `set_state` failed.
    """
    rest = {name: list(states) for name, states in captured.items()}
    for callback in callbacks:
        name = type(callback).__name__
        if not (_attributes(callback) or _has_own_state(callback)):
            continue
        states = rest.get(name)
        if not states:
            _logger.warning("nothing was saved of a callback %s: its state starts anew", name)
            continue
        _restore(callback, name, states.pop(0))
    for name, states in rest.items():
        if states:
            _logger.warning(
                "the state of %d callbacks %s was saved, which callbacks() does not return any "
                "more: it is left out",
                len(states),
                name,
            )


def without_state(callbacks: Sequence[keras.callbacks.Callback]) -> list[str]:
    """Returns the class names of the callbacks whose state cannot be known, and so starts anew.

    They have attributes of their own, which may or may not change, and no `get_state`. So has a
    `CSVLogger` that does not append: it begins its file anew.
    """
    return [type(callback).__name__ for callback in callbacks if _starts_anew(callback)]


def _starts_anew(callback: keras.callbacks.Callback) -> bool:
    if type(callback) is keras.callbacks.CSVLogger:
        return not callback.append
    if type(callback) in _STATELESS or _attributes(callback) or _has_own_state(callback):
        return False
    return not vars(callback).keys() <= _OF_EVERY_CALLBACK


def _attributes(callback: keras.callbacks.Callback) -> Sequence[str]:
    for kind, names in _ATTRIBUTES.items():
        if isinstance(callback, kind):
            return names
    return ()


def _has_own_state(callback: keras.callbacks.Callback) -> bool:
    methods = (getattr(callback, name, None) for name in ("get_state", "set_state"))
    return all(map(callable, methods))


def _restore(callback: keras.callbacks.Callback, name: str, state: Mapping[str, Any]) -> None:
    attributes, names = state.get("attributes", {}), _attributes(callback)
    for unknown in sorted(attributes.keys() - set(names)):
        _logger.warning("%s has no %s any more, whose value was saved: left out", name, unknown)
    for known in names:
        if known in attributes:
            setattr(callback, known, attributes[known])
    if "own" in state and _has_own_state(callback):
        with explained(f"{name}.set_state(state)"):
            callback.set_state(state["own"])
    elif "own" in state or _has_own_state(callback):
        _logger.warning("%s has got or lost get_state() since it was saved: left out", name)


def _plain(value: Any, what: str, copies: bool = False) -> Any:
    """Returns a value with Python's numbers and lists for NumPy's numbers and for tuples."""
    if isinstance(value, np.ndarray) and _is_of_numbers(value.dtype):
        return value.copy() if copies else value
    if isinstance(value, np.generic) and _is_of_numbers(value.dtype):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(each, what, copies) for each in value]
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return {name: _plain(each, what, copies) for name, each in value.items()}
    found = type(value).__name__
    if isinstance(value, Mapping):
        found = "dict whose keys are not all strings"
    elif isinstance(value, np.ndarray | np.generic):
        found = f"{found} of type {value.dtype}"
    raise ModelDefinitionError(
        f"the state of {what} has a {found} in it, which cannot be saved; it may be made of None, "
        "truth values, numbers, strings, arrays of numbers, lists, and dicts with strings as keys"
    )


def _is_of_numbers(dtype: np.dtype[Any]) -> bool:
    is_of_ml_dtypes = dtype.kind == "V" and dtype.isbuiltin == 2  # as bfloat16
    return dtype.kind in "biuf" or is_of_ml_dtypes
