"""Strings on their way to TensorFlow, as the bytes of a `BytesList`.

Handing over a NumPy array of Python objects takes the interpreter 0.1 µs for each of them, in which
no other thread of Python can run. A message is handed over as one string, and TensorFlow parses it
in a thread of its own.

The source of the format is TensorFlow's `feature.proto`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from elasticdl_like.data_readers.equal_records import EqualRecords

MESSAGE_TYPE = "tensorflow.BytesList"
FIELD_NAME = "value"
_VALUE = b"\x0a"  # BytesList.value


def encode_strings(records: Sequence[Any]) -> bytes:
    """Returns records as a message that `tf.io.decode_proto` understands.

    Args:
        records: `bytes` or `str`, at least one.

    Raises:
        TypeError: a record is neither `bytes` nor `str`.
    """
    if isinstance(records, EqualRecords):
        return _encode_rows(records)
    values = _checked(records)
    prefixes = map(_prefix, map(len, values))
    return b"".join(chain.from_iterable(zip(prefixes, values, strict=True)))


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
    encoded = bytearray(_VALUE)
    while length >= 0x80:
        encoded.append(length & 0x7F | 0x80)
        length >>= 7
    encoded.append(length)
    return bytes(encoded)
