"""How a block of records gets from Python into `tf.data`."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from elasticdl_like.data_readers.equal_records import LONG_RECORD_BYTES
from elasticdl_like.data_readers.reading import batch_bytes, batch_size
from elasticdl_like.worker.blocks import Block
from elasticdl_like.worker.columns import Structure, misfit, to_arrays
from elasticdl_like.worker.string_tensor import FIELD_NAME, MESSAGE_TYPE, encode_strings


class BlockCoding(Protocol):
    """Turns blocks into what a generator of `tf.data` may yield, and that into tensors."""

    @property
    def signature(self) -> Structure:
        """What `encode` returns, as `tf.TensorSpec`."""

    def encode(self, block: Block) -> Any:
        """Returns a block as the generator yields it.

        Raises:
            ReaderError: a record is not of the declared type.
        """

    def decode(self, encoded: Any) -> Any:
        """Returns the tensors, of shape (batches, records in each, …); runs in TensorFlow."""


def block_coding(spec: Structure, reader_name: str) -> BlockCoding:
    """Returns the coding for records of a type.

    Args:
        spec: the type, as `record_spec` returns it.
        reader_name: the reader's class, for the error message.
    """
    if isinstance(spec, tf.TensorSpec) and spec.dtype == tf.string and spec.shape.rank == 0:
        return _StringCoding(spec, reader_name)
    return _ArrayCoding(spec, reader_name)


class _ArrayCoding:
    """As NumPy arrays."""

    def __init__(self, spec: Structure, reader_name: str) -> None:
        self._spec = spec
        self._reader_name = reader_name

    @property
    def signature(self) -> Structure:
        return tf.nest.map_structure(
            lambda spec: tf.TensorSpec([None, None, *spec.shape], spec.dtype), self._spec
        )

    def encode(self, block: Block) -> Any:
        arrays = to_arrays(block.records, self._spec, self._reader_name)
        return tf.nest.map_structure(block.reshape, arrays)

    def decode(self, encoded: Any) -> Any:
        return encoded


class _StringCoding:
    """When a record is nothing but a string: as a message, or as an array when strings are long.

    A message is copied once more, in a thread of TensorFlow: for long strings that costs more than
    it saves. Beside a message there is an array of as many batches without strings.
    """

    signature = (tf.TensorSpec([], tf.string), tf.TensorSpec([None, None], tf.string))

    def __init__(self, spec: tf.TensorSpec, reader_name: str) -> None:
        self._spec = spec
        self._reader_name = reader_name

    def encode(self, block: Block) -> Any:
        records = block.records
        if batch_bytes(records) > LONG_RECORD_BYTES * batch_size(records):
            return b"", block.reshape(to_arrays(records, self._spec, self._reader_name))
        try:
            if isinstance(records, dict):
                raise TypeError(f"expected bytes, found columns {list(records)}")
            return encode_strings(records), np.empty((len(block.plans), 0), object)
        except TypeError as error:
            raise misfit(self._reader_name, self._spec, error) from error

    def decode(self, encoded: Any) -> Any:
        message, array = encoded

        def parsed() -> Any:
            decoded = tf.io.decode_proto(message, MESSAGE_TYPE, [FIELD_NAME], [tf.string])
            return tf.reshape(decoded.values[0], [tf.shape(array)[0], -1])

        strings = tf.cond(tf.equal(message, b""), lambda: array, parsed)
        return tf.ensure_shape(strings, [None, None])
