"""Strings on their way to TensorFlow, as the bytes of a `TensorProto`.

Handing over a NumPy array of Python objects takes the interpreter 0.1 µs for each of them, in which
no other thread of Python can run. A message is handed over as one string, and TensorFlow parses it
in a thread of its own.

The source of the format is TensorFlow's `tensor.proto`, `tensor_shape.proto` and `types.proto`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from elasticdl_like.data_readers.equal_records import EqualRecords

_DT_STRING = b"\x08\x07"  # TensorProto.dtype
_SHAPE = b"\x12"  # TensorProto.tensor_shape
_DIMENSION = b"\x12"  # TensorShapeProto.dim
_SIZE = b"\x08"  # TensorShapeProto.Dim.size
_STRING_VALUE = b"\x42"  # TensorProto.string_val


def encode_strings(records: Sequence[Any], shape: Sequence[int]) -> bytes:
    """Returns records as a message that `tf.io.parse_tensor(…, tf.string)` understands.

    Args:
        records: `bytes` or `str`, at least one; as many as `shape` has places.
        shape: of the tensor.

    Raises:
        TypeError: a record is neither `bytes` nor `str`.
    """
    dimensions = b"".join(_DIMENSION + _sized(_SIZE + _varint(size)) for size in shape)
    header = _DT_STRING + _SHAPE + _sized(dimensions)
    if isinstance(records, EqualRecords):
        return header + _encode_rows(records)
    values = _checked(records)
    prefixes = map(_prefix, map(len, values))
    return header + b"".join(chain.from_iterable(zip(prefixes, values, strict=True)))


def _checked(records: Sequence[Any]) -> Sequence[bytes]:
    # Any other buffer, an array for instance, would be joined as something else than it is.
    types = set(map(type, records))
    for found in types:
        if not issubclass(found, bytes | str):
            raise TypeError(f"expected bytes, found {found.__name__}")
    if any(issubclass(found, str) for found in types):
        return [each.encode() if isinstance(each, str) else each for each in records]
    return records


def _encode_rows(records: EqualRecords) -> bytes:
    prefix = _prefix(records.length_bytes)
    row = np.dtype([("prefix", f"V{len(prefix)}"), ("record", records.rows.dtype)])
    rows = np.empty(len(records), row)
    rows["prefix"] = np.void(prefix)
    rows["record"] = records.rows
    return rows.tobytes()


# Lengths come again and again.
@functools.lru_cache(1 << 14)
def _prefix(length: int) -> bytes:
    return _STRING_VALUE + _varint(length)


def _sized(message: bytes) -> bytes:
    return _varint(len(message)) + message


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
