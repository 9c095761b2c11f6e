"""Columns as serialised `tf.train.Example` messages, without TensorFlow.

Integers and bools become an `int64_list`, floats a `float_list` (of 32 bits, as the message has no
other), bytes and strings a `bytes_list`. An array gives all its values in one list, row by row;
None gives a feature without a value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elasticdl_like.errors import DataError

# The tags of fields whose values are bytes with their length before them: field number * 8 + 2.
_FIELD_1, _FIELD_2, _FIELD_3 = b"\x0a", b"\x12", b"\x1a"


def encode_examples(columns: Mapping[str, NDArray[Any] | Sequence[Any]]) -> list[bytes]:
    """Returns one serialised `tf.train.Example` for each row of equally long columns.

    Raises:
        DataError: a column has values that no feature can hold.
    """
    features = [_features(name, column) for name, column in columns.items()]
    return [_delimited(_FIELD_1, b"".join(row)) for row in zip(*features, strict=True)]


def _features(name: str, column: NDArray[Any] | Sequence[Any]) -> list[bytes]:
    """Returns the entry of each row in the map of features."""
    key = _delimited(_FIELD_1, name.encode())
    try:
        return [
            _delimited(_FIELD_1, key + _delimited(_FIELD_2, feature))
            for feature in _encoded(column)
        ]
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"column {name!r} cannot be a feature of tf.train.Example: {error}; convert to "
            "parquet, or write a reader that yields other types"
        ) from error


def _encoded(column: NDArray[Any] | Sequence[Any]) -> Iterable[bytes]:
    if isinstance(column, np.ndarray) and column.dtype.kind in "fbiu":
        rows = column.reshape(len(column), -1)
        return map(_number_encoder(rows), rows)
    return map(_encode_value, column)


def _number_encoder(values: NDArray[Any]) -> Callable[[NDArray[Any]], bytes]:
    """Returns what encodes numbers of the type of these, which have values that fit."""
    if values.dtype.kind == "f":
        return _encode_floats
    if values.dtype == np.uint64 and values.size and values.max() >= 1 << 63:
        raise OverflowError(f"{values.max()} is more than 64 bits with a sign can hold")
    return _encode_integers


def _encode_value(value: Any) -> bytes:
    if value is None:
        return b""
    if isinstance(value, bytes | str):
        return _encode_bytes([value])
    array = np.asarray(value)
    if array.dtype.kind in "fbiu":
        return _number_encoder(array)(array.reshape(-1))
    if array.dtype.kind in "SUO":
        # Not the array, in which bytes of one length lose the zeros at their ends.
        return _encode_bytes(value if isinstance(value, list | tuple) else array.reshape(-1))
    raise TypeError(f"values of type {type(value).__name__} ({array.dtype})")


def _encode_bytes(values: Iterable[Any]) -> bytes:
    encoded = []
    for value in values:
        if not isinstance(value, bytes | str):
            raise TypeError(f"values of type {type(value).__name__} in a list")
        encoded.append(_delimited(_FIELD_1, value.encode() if isinstance(value, str) else value))
    return _delimited(_FIELD_1, b"".join(encoded))


def _encode_floats(values: NDArray[Any]) -> bytes:
    return _delimited(_FIELD_2, _delimited(_FIELD_1, values.astype("<f4").tobytes()))


def _encode_integers(values: NDArray[Any]) -> bytes:
    # A negative number is its two's complement in 64 bits.
    packed = b"".join(_varint(value & 0xFFFF_FFFF_FFFF_FFFF) for value in values.tolist())
    return _delimited(_FIELD_3, _delimited(_FIELD_1, packed))


def _delimited(tag: bytes, body: bytes) -> bytes:
    return tag + _varint(len(body)) + body


def _varint(value: int) -> bytes:
    if value < 0x80:
        return bytes((value,))
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
