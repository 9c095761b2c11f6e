"""Turns records into arrays of the types that a reader declares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from elasticdl_like.data_readers.base import RecordBatch
from elasticdl_like.data_readers.equal_records import EqualRecords
from elasticdl_like.errors import ModelDefinitionError, ReaderError

Structure = Any
"""A value, or tuples and dicts of values: of `tf.TensorSpec`, or of arrays."""


def record_spec(reader: Any) -> Structure:
    """Returns the `tf.TensorSpec` of one record, or a tuple or dict of them.

    Args:
        reader: a data reader; its `output_signature`, or `records_output_types`, is a dtype, its
            name, a `tf.TensorSpec`, or a tuple, list or dict of them. A NumPy dtype may have a
            shape.

    Raises:
        ModelDefinitionError: it is something else.
    """
    signature = getattr(reader, "records_output_types", None)
    if signature is None:
        signature = getattr(reader, "output_signature", "string")
    return _spec(signature, type(reader).__name__)


def _spec(signature: Any, reader_name: str) -> Structure:
    if isinstance(signature, Mapping):
        return {name: _spec(each, reader_name) for name, each in signature.items()}
    if isinstance(signature, tuple | list):
        return tuple(_spec(each, reader_name) for each in signature)
    if isinstance(signature, tf.TensorSpec):
        return signature
    shape = ()
    if isinstance(signature, np.dtype):
        signature, shape = signature.base, signature.shape
    try:
        return tf.TensorSpec(shape, tf.as_dtype(signature))
    except TypeError:
        raise ModelDefinitionError(
            f"{reader_name}.output_signature is {signature!r}; it must be a dtype, its name, a "
            "tf.TensorSpec, or a tuple or dict of them"
        ) from None


def to_arrays(records: RecordBatch, spec: Structure, reader_name: str) -> Structure:
    """Returns the records as arrays, the first axis of each being the records.

    Args:
        records: a batch of columns, whose names are those of `spec`, or a list of records.
        spec: what `record_spec` returned.
        reader_name: the reader's class, for the error message.

    Raises:
        ReaderError: a record is not of the declared type.
    """
    try:
        if isinstance(records, dict):
            return {name: _array(records[name], each) for name, each in spec.items()}
        return _columns(records, spec)
    except (TypeError, ValueError, KeyError, IndexError) as error:
        raise misfit(reader_name, spec, error) from error


def misfit(reader_name: str, spec: Structure, error: Exception) -> ReaderError:
    """Returns the error for records that are not of the type that the reader declares."""
    return ReaderError(
        f"{reader_name} yielded records that do not fit its output_signature {spec}: "
        f"{type(error).__name__}: {error}"
    )


def _columns(records: Sequence[Any], spec: Structure) -> Structure:
    if isinstance(spec, dict):
        return {
            name: _columns([record[name] for record in records], each)
            for name, each in spec.items()
        }
    if isinstance(spec, tuple):
        for record in records:
            if len(record) != len(spec):
                raise ValueError(f"a record of {len(record)} values instead of {len(spec)}")
        return tuple(
            _columns([record[index] for record in records], each) for index, each in enumerate(spec)
        )
    return _array(records, spec)


def _array(values: Any, spec: tf.TensorSpec) -> Any:
    if spec.dtype != tf.string:
        array = np.asarray(values, dtype=spec.dtype.as_numpy_dtype)
    elif spec.shape.rank:
        array = np.asarray(values, dtype=object)
    else:
        # NumPy would look into each value for a nested sequence, or strip trailing zero bytes.
        if isinstance(values, EqualRecords):
            values = values.to_list()
        array = np.empty(len(values), dtype=object)
        array[:] = values
        # All of them: what TensorFlow cannot take would be lost together with its whole block.
        for found in set(map(type, values)):
            if not issubclass(found, bytes | str):
                raise TypeError(f"expected bytes, found {found.__name__}")
    if not spec.shape.is_compatible_with(array.shape[1:]):
        raise ValueError(f"values of shape {array.shape[1:]} instead of {spec.shape}")
    return array
