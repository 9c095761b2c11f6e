"""What readers yield, as bytes or as columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from elasticdl_like.data_readers.conversion.rows import (
    as_bytes_or_columns,
    as_records,
    column_names_of,
    column_values,
)
from elasticdl_like.errors import DataError


def test_bytes_stay_what_they_are() -> None:
    records = [b"", b"a\0"]
    assert as_records(records, ()) is records
    assert as_bytes_or_columns(records, ("x",)) is records


def test_columns_stay_columns() -> None:
    columns = {"x": np.arange(3)}
    assert as_bytes_or_columns(columns, ()) is columns
    assert len(as_records(columns, ())) == 3


@pytest.mark.parametrize(
    ("batch", "names"),
    [
        ([{"x": 1, "s": b"a\0"}, {"s": b"", "x": 2}], ()),
        ([(1, b"a\0"), (2, b"")], ("x", "s")),
    ],
)
def test_rows_with_names_become_columns(batch: list[Any], names: tuple[str, ...]) -> None:
    columns = as_bytes_or_columns(batch, names)
    assert isinstance(columns, dict)
    assert columns["x"].dtype == np.int64
    assert columns["x"].tolist() == [1, 2]
    assert columns["s"].dtype == object
    assert columns["s"].tolist() == [b"a\0", b""]
    assert column_values(batch, names).keys() == {"x", "s"}


def test_arrays_of_one_shape_are_stacked_and_others_are_not() -> None:
    rows = [{"a": np.zeros((2, 2)), "r": [1]}, {"a": np.ones((2, 2)), "r": [1, 2]}]
    columns = as_bytes_or_columns(rows, ())
    assert isinstance(columns, dict)
    assert columns["a"].shape == (2, 2, 2)
    assert columns["r"].tolist() == [[1], [1, 2]]


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        ([1, 2], "of type int, which has no names for columns"),
        ([(1, 2)], "of type tuple"),
        (["text"], "of type str"),
        ([{"x": 1}, {"y": 1}], "dicts that differ in their keys"),
        ([b"bytes", "text"], "of type bytes"),
    ],
)
def test_what_has_no_columns_is_refused_in_words(batch: list[Any], words: str) -> None:
    for convert in (as_records, as_bytes_or_columns):
        with pytest.raises(DataError, match=words):
            convert(batch, ("a", "b", "c"))
    assert column_values(batch, ()) == {}


def test_column_names_of_any_object() -> None:
    assert column_names_of(object()) == ()
