from __future__ import annotations

from typing import Any

import pytest

from elasticdl_like.data_readers.odps.partitions import (
    check_partition_columns,
    chosen_partitions,
    parse_partitions,
)
from elasticdl_like.errors import ConfigError, DataError

EXISTING = [{"ds": day, "hh": hour} for day in ("20260101", "20260102") for hour in ("00", "01")]


def test_one_several_or_no_partition() -> None:
    assert parse_partitions("") == ()
    assert parse_partitions("ds=20260101, hh='01'") == ({"ds": "20260101", "hh": "01"},)
    assert parse_partitions(["ds=1/hh=2", "ds=3"]) == ({"ds": "1", "hh": "2"}, {"ds": "3"})


@pytest.mark.parametrize("given", ["ds", "=1", "ds=", "ds=1,ds=2", 7, ["ds=1", 7], {"ds": "1"}])
def test_anything_else_is_an_error(given: Any) -> None:
    with pytest.raises(ConfigError, match="the reader parameter partition is"):
        parse_partitions(given)


def test_a_prefix_stands_for_all_that_begin_with_it() -> None:
    assert chosen_partitions(EXISTING, [], "t") == EXISTING
    assert chosen_partitions(EXISTING, [{"ds": "20260102"}], "t") == EXISTING[2:]
    overlapping = [{"ds": "20260102", "hh": "01"}, {"hh": "01"}]
    assert chosen_partitions(EXISTING, overlapping, "t") == [EXISTING[1], EXISTING[3]]


def test_a_partition_that_is_not_there_is_an_error_with_the_nearest_ones() -> None:
    with pytest.raises(DataError, match=r"no partition ds=20260103; there is ds=2026010[12], ds"):
        chosen_partitions(EXISTING, [{"ds": "20260101"}, {"ds": "20260103"}], "t")
    with pytest.raises(DataError, match="it has no partitions at all"):
        chosen_partitions([], [{"ds": "1"}], "t")


def test_columns_that_do_not_partition_the_table_are_an_error() -> None:
    check_partition_columns([{"ds": "1"}], ["ds", "hh"], "t")
    with pytest.raises(ConfigError, match="names 'dd', but t is partitioned by ds, hh"):
        check_partition_columns([{"dd": "1"}], ["ds", "hh"], "t")
    with pytest.raises(ConfigError, match="t has no partitions; leave it out"):
        check_partition_columns([{"dd": "1"}], [], "t")
