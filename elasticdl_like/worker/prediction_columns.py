"""Predictions as named columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from elasticdl_like.errors import ConfigError, ModelDefinitionError
from elasticdl_like.worker.blocks import Piece

PREDICTION_COLUMN = "prediction"
SHARD_COLUMN = "shard"
INDEX_COLUMN = "index"


def check_predictions(predictions: Any, pieces: Sequence[Piece]) -> None:
    """Compares the number of predictions with that of the records they are for.

    Raises:
        ModelDefinitionError: there are more or fewer, or they are no dense tensors.
    """
    records = sum(piece.interval.size for piece in pieces)
    for tensor in tf.nest.flatten(predictions):
        if isinstance(tensor, tf.RaggedTensor | tf.SparseTensor):
            raise ModelDefinitionError(
                f"the model returned a {type(tensor).__name__}; predictions are dense tensors, so "
                "let its last layer make one"
            )
        shape = tuple(tensor.shape)
        found = shape[0] if shape else 1
        if not shape or found != records:
            raise ModelDefinitionError(
                f"there are {found} predictions (shape {shape}) for {records} records, "
                f"{' and '.join(map(str, pieces))}; for mode 'prediction', feed and feed_batch "
                "must keep one element for each record, in their order, and the model one "
                "prediction for each element"
            )


def prediction_columns(
    predictions: Any, output_names: Sequence[str] = ()
) -> dict[str, NDArray[Any]]:
    """Returns predictions as arrays, by the name of their column.

    One tensor is the column `prediction`; those of a dict have its names, and those of a list or
    tuple the names of the model's outputs.

    Args:
        predictions: what the model returned.
        output_names: the names of the model's outputs, as far as it has any.
    """
    return {name: as_array(each) for name, each in _named(predictions, output_names)}


def as_array(tensor: Any) -> NDArray[Any]:
    """Returns a tensor as an array, of a type that not only TensorFlow knows."""
    array: NDArray[Any] = np.asarray(tensor)
    # bfloat16, and shorter floats.
    return array.astype(np.float32) if array.dtype.kind == "V" else array


def with_places(
    pieces: Sequence[Piece],
    kept: Mapping[str, NDArray[Any]],
    predictions: Mapping[str, NDArray[Any]],
) -> dict[str, NDArray[Any]]:
    """Returns the columns of an output: where each record is, kept ones, predictions.

    Args:
        pieces: the records.
        kept: columns of the input.
        predictions: columns of predictions.

    Raises:
        ConfigError: two columns have one name.
    """
    names = np.array([piece.lease.task.shard_name for piece in pieces], object)
    starts = [piece.lease.task.start + piece.start_position for piece in pieces]
    sizes = [piece.interval.size for piece in pieces]
    ranges = [
        np.arange(start, start + size, dtype=np.int64)
        for start, size in zip(starts, sizes, strict=True)
    ]
    columns = {SHARD_COLUMN: np.repeat(names, sizes), INDEX_COLUMN: np.concatenate(ranges)}
    for more in (kept, predictions):
        for name, column in more.items():
            if name in columns:
                raise ConfigError(
                    f"the output would have two columns {name!r}: it has {', '.join(columns)} "
                    "before; leave that one out of --keep_columns, or name the model's output "
                    "otherwise"
                )
            columns[name] = column
    return columns


def joined(pieces: Sequence[Piece]) -> list[Piece]:
    """Returns the same positions in as few pieces as they need."""
    runs: list[Piece] = []
    for piece in pieces:
        last = runs[-1] if runs else None
        if (
            last is not None
            and last.lease.token == piece.lease.token
            and last.end_position == piece.start_position
        ):
            runs[-1] = Piece(last.lease, last.start_position, piece.end_position)
        else:
            runs.append(piece)
    return runs


def _named(predictions: Any, output_names: Sequence[str], path: str = "") -> Iterator[Any]:
    if isinstance(predictions, Mapping):
        for name, each in predictions.items():
            yield from _named(each, (), f"{path}.{name}" if path else str(name))
    elif isinstance(predictions, list | tuple):
        names = output_names if len(output_names) == len(predictions) else range(len(predictions))
        for name, each in zip(names, predictions, strict=True):
            unnamed = f"{path or PREDICTION_COLUMN}_{name}"
            yield from _named(each, (), name if isinstance(name, str) else unnamed)
    else:
        yield path or PREDICTION_COLUMN, predictions
