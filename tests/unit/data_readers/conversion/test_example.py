"""`tf.train.Example` messages, compared with those of TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from elasticdl_like.data_readers.conversion.example import encode_examples
from elasticdl_like.errors import DataError


def decoded(message: bytes) -> dict[str, list[Any]]:
    features = tf.train.Example.FromString(message).features.feature
    found: dict[str, list[Any]] = {}
    for name, feature in features.items():
        kind = feature.WhichOneof("kind")
        found[name] = list(getattr(feature, kind).value) if kind else []
    return found


def test_each_type_becomes_its_list() -> None:
    columns = {
        "float": np.array([1.5, -2.0], np.float64),
        "half": np.array([0.5, 0.25], np.float16),
        "int": np.array([-1, 2**40]),
        "uint": np.array([2**63 - 1, 0], np.uint64),
        "bool": np.array([True, False]),
        "matrix": np.arange(8, dtype=np.int32).reshape(2, 2, 2),
        "bytes": np.array([b"a\0", b""], object),
        "text": np.array(["é", "x" * 300]),
        "fixed": np.array([b"ab", b"c"]),
        "lists": [[1, 2, 3], []],
        "names": [["a", b"b\0"], []],
        "none": [None, 1.0],
    }
    first, second = map(decoded, encode_examples(columns))
    assert first == {
        "float": [1.5],
        "half": [0.5],
        "int": [-1],
        "uint": [2**63 - 1],
        "bool": [1],
        "matrix": [0, 1, 2, 3],
        "bytes": [b"a\0"],
        "text": ["é".encode()],
        "fixed": [b"ab"],
        "lists": [1, 2, 3],
        "names": [b"a", b"b\0"],
        "none": [],
    }
    assert second["int"] == [2**40]
    assert second["matrix"] == [4, 5, 6, 7]
    assert second["text"] == [b"x" * 300]
    assert second["none"] == [1.0]


@given(
    st.lists(
        st.tuples(
            st.integers(-(2**63), 2**63 - 1), st.floats(width=32, allow_nan=False), st.binary()
        ),
        min_size=1,
    )
)
def test_any_values_come_back(rows: list[tuple[int, float, bytes]]) -> None:
    numbers, floats, strings = zip(*rows, strict=True)
    messages = encode_examples({"i": np.array(numbers), "f": np.array(floats), "b": strings})
    assert [decoded(each) for each in messages] == [
        {"i": [number], "f": [value], "b": [text]} for number, value, text in rows
    ]


@pytest.mark.parametrize(
    "column",
    [
        np.array([2**63], np.uint64),
        np.array(["2026-01-01"], "datetime64[s]"),
        [object()],
        [{"a": 1}],
        [["a", 1]],
        np.array([1j]),
    ],
)
def test_what_no_feature_can_hold(column: Any) -> None:
    with pytest.raises(DataError, match=r"column 'x' cannot be a feature of tf.train.Example"):
        encode_examples({"x": column})
