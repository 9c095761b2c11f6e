"""Which records go to which file, and when a conversion is the same as one before."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elasticdl_like.data_readers.conversion.plan import (
    ConversionPlan,
    planned_before,
    records_per_file_of_size,
)
from elasticdl_like.errors import DataError
from elasticdl_like.tasks import Shard

SHARDS = (Shard("a", 0, 10, "v1"), Shard("b", 5, 3, "v1"), Shard("c", 0, 7))
SETTINGS = {"--to": "recordio", "params": {"columns": ["x"]}}


@given(st.integers(1, 25))
def test_the_files_are_the_data_set_in_its_order(records_per_file: int) -> None:
    plan = ConversionPlan(SETTINGS, SHARDS, records_per_file)
    files = list(plan.files())
    assert len(files) == plan.num_files == len(plan.file_names(".x"))
    sizes = [sum(task.size for task in file) for file in files]
    assert sizes[:-1] == [records_per_file] * (len(files) - 1)
    assert 0 < sizes[-1] <= records_per_file
    found = [
        (task.shard_name, task.version, index)
        for file in files
        for task in file
        for index in range(task.start, task.end)
    ]
    assert found == [
        (shard.name, shard.version, index)
        for shard in SHARDS
        for index in range(shard.first, shard.end)
    ]


def test_file_names_sort_in_order() -> None:
    assert ConversionPlan({}, SHARDS, 9).file_names(".recordio") == [
        f"data-0000{number}-of-00003.recordio" for number in range(3)
    ]
    names = ConversionPlan({}, (Shard("a", 0, 123_456),), 1).file_names("")
    assert names == sorted(names)
    assert names[0] == "data-000000-of-123456"


@given(st.integers(1, 10**9), st.floats(0, 1e6), st.integers(1, 10**9))
def test_files_of_a_size_are_even(num_records: int, record_bytes: float, file_bytes: int) -> None:
    records = records_per_file_of_size(num_records, record_bytes, file_bytes)
    assert 1 <= records <= num_records
    assert records == 1 or records * record_bytes <= file_bytes * (1 + 1e-9)
    num_files = -(-num_records // records)
    assert num_files * records - num_records < num_files


def test_the_same_conversion_goes_on_with_its_plan() -> None:
    text = ConversionPlan(SETTINGS, SHARDS, 9).to_json()
    assert planned_before(text, SETTINGS, SHARDS) == 9


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (SETTINGS | {"--to": "parquet"}, "--to was 'recordio' and is 'parquet' now"),
        (SETTINGS | {"params": {}}, r"params was \{'columns': \['x'\]\} and is \{\} now"),
        (SETTINGS | {"new": 1}, "new was None and is 1 now"),
    ],
)
def test_other_settings_are_told(settings: dict[str, Any], words: str) -> None:
    text = ConversionPlan(SETTINGS, SHARDS, 9).to_json()
    with pytest.raises(DataError, match=words):
        planned_before(text, settings, SHARDS)


@pytest.mark.parametrize(
    ("shards", "words"),
    [
        (SHARDS[:2], "shard 'c' is gone"),
        ((*SHARDS, Shard("d", 0, 1)), "it has shard 'd' now"),
        ((SHARDS[0], *SHARDS[2:]), "it has shard 'c' now"),
        (
            (dataclasses.replace(SHARDS[0], count=11), *SHARDS[1:]),
            "shard 'a' had 10 records from 0 on, now 11 from 0",
        ),
        (
            (dataclasses.replace(SHARDS[0], version="v2"), *SHARDS[1:]),
            "shard 'a' was v1, and is v2 now",
        ),
    ],
)
def test_a_changed_source_is_told(shards: tuple[Shard, ...], words: str) -> None:
    text = ConversionPlan(SETTINGS, SHARDS, 9).to_json()
    with pytest.raises(DataError, match=f"the source has changed: {words}"):
        planned_before(text, SETTINGS, shards)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 2, "records_per_file": 1, "settings": {}, "shards": []}']
)
def test_a_plan_that_cannot_be_read(text: str) -> None:
    with pytest.raises(DataError, match=r"cannot be read|another version"):
        planned_before(text, SETTINGS, SHARDS)
