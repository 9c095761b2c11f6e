from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from elasticdl_like.data_readers.equal_records import EqualRecords
from elasticdl_like.worker.string_tensor import FIELD_NAME, MESSAGE_TYPE, encode_strings


def parsed(encoded: bytes) -> list[bytes]:
    decoded = tf.io.decode_proto(encoded, MESSAGE_TYPE, [FIELD_NAME], [tf.string])
    records: list[bytes] = decoded.values[0].numpy().tolist()
    return records


def rows_of(records: list[bytes]) -> EqualRecords:
    length = len(records[0])
    # With other bytes between them, as they are in a file.
    framed = b"".join(b"\xff\xff" + record for record in records)
    dtype = np.dtype([("frame", "V2"), ("record", f"V{length}")])
    return EqualRecords(np.frombuffer(framed, dtype)["record"])


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=20))
def test_tensorflow_reads_what_was_written(records: list[bytes]) -> None:
    assert parsed(encode_strings(records)) == records


@pytest.mark.parametrize("length", [1, 89, 127, 128, 16_383, 16_384, 2_100_000])
def test_any_length(length: int) -> None:
    records = [bytes([number % 256]) * (length - 1) + b"\0" for number in range(6)]
    for given_as in (records, rows_of(records)):
        assert parsed(encode_strings(given_as)) == records


def test_it_is_what_tensorflow_would_write() -> None:
    records = [b"a", b"", b"ccc"]
    assert encode_strings(records) == tf.train.BytesList(value=records).SerializeToString()


def test_text_is_utf_8() -> None:
    assert parsed(encode_strings(["ä", b"b"])) == ["ä".encode(), b"b"]


@pytest.mark.parametrize("wrong", [1.5, None, np.array([1, 2]), bytearray(b"x")])
def test_other_values_are_refused(wrong: object) -> None:
    with pytest.raises(TypeError, match=f"expected bytes, found {type(wrong).__name__}"):
        encode_strings([b"a", wrong])  # type: ignore[list-item]
