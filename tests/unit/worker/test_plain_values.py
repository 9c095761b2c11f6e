"""JSON and arrays as bytes."""

import numpy as np
import pytest

from elasticdl_like.errors import CorruptDataError
from elasticdl_like.worker.plain_values import decode_value, encode_value


def test_a_value_comes_back():
    value = {
        "text": "ä",
        "numbers": [1, 2.5, None, True, float("inf")],
        "array": np.arange(6, dtype=np.int16).reshape(2, 3),
        "deep": {"dict": {"array": 3}, "empty": {}, "of numpy": np.float32(0.5)},
    }
    found = decode_value(encode_value(value))
    assert found["array"].dtype == np.int16
    np.testing.assert_array_equal(found.pop("array"), value.pop("array"))
    assert found == value


def test_something_else_is_refused():
    with pytest.raises(TypeError):
        encode_value([object()])
    with pytest.raises(ValueError, match="Object arrays"):
        encode_value(np.array([object()]))


@pytest.mark.parametrize("damaged", [b"", b"PK", encode_value([1])[:-30], encode_value([1])[10:]])
def test_damage_is_told(damaged):
    with pytest.raises(CorruptDataError, match="the states"):
        decode_value(damaged, "the states")


@pytest.mark.parametrize(("offset", "value"), [(6, 64), (8, 1)], ids=["version", "encrypted"])
def test_an_entry_that_claims_to_be_something_else_is_damage(offset, value):
    damaged = bytearray(encode_value([1]))
    damaged[damaged.index(b"PK\x01\x02") + offset] = value
    with pytest.raises(CorruptDataError, match="the states"):
        decode_value(bytes(damaged), "the states")
