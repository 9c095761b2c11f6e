"""Columns of the input that are passed through."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np
import pytest

from elasticdl_like.data_readers.base import Metadata
from elasticdl_like.data_readers.equal_records import EqualRecords
from elasticdl_like.errors import ConfigError
from elasticdl_like.worker.kept_columns import KeptColumns

Reader = namedtuple("Reader", "metadata")
UNKNOWN = Reader(Metadata())
NAMED = Reader(Metadata(("id", "x")))


@pytest.mark.parametrize(
    ("records", "reader"),
    [
        ({"id": np.array([1, 2]), "x": np.array([0.5, 1.5])}, UNKNOWN),
        ({"id": np.array([1, 2]), "x": np.array([0.5, 1.5])}, NAMED),
        ([{"id": 1, "x": 0.5}, {"id": 2, "x": 1.5}], UNKNOWN),
        ([(1, 0.5), (2, 1.5)], NAMED),
    ],
)
def test_columns_are_found_in_records_of_any_kind(records: Any, reader: Any) -> None:
    kept = KeptColumns(["x"], reader).of(records)
    assert {name: column.tolist() for name, column in kept.items()} == {"x": [0.5, 1.5]}


@pytest.mark.parametrize(
    "records", [[b"one", b"two"], EqualRecords(np.array([b"one", b"two"]).view("V3"))]
)
def test_records_without_columns_are_kept_whole(records: Any) -> None:
    kept = KeptColumns(["record"], UNKNOWN).of(records)
    assert kept["record"].tolist() == [b"one", b"two"]


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ({"id": np.zeros(1), "x": np.zeros(1)}, "no column 'y'; it has id, x"),
        ([b"one"], "no column 'y'; it has record"),
        ([1], "no column 'y'; it has records without names for columns"),
        ([(1, 2)], "no column 'y'; it has records without names for columns"),
    ],
)
def test_a_column_that_is_not_there_is_refused_with_those_that_are(
    records: Any, words: str
) -> None:
    kept = KeptColumns(["y"], UNKNOWN)
    with pytest.raises(ConfigError, match=words):
        kept.of(records)


def test_it_is_refused_at_once_where_the_reader_knows_its_columns() -> None:
    with pytest.raises(ConfigError, match="no column 'y'; it has id, x"):
        KeptColumns(["x", "y"], NAMED)
