from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elasticdl_like.master.shard_table import ShardTable
from elasticdl_like.tasks import Shard


def ranges(table: ShardTable) -> list[tuple[str, int, int]]:
    return [
        (task.shard.name, task.start, task.end)
        for task in map(table.task_range, range(table.num_tasks))
    ]


def test_shards_are_cut_in_their_order() -> None:
    table = ShardTable([Shard("a", 10, 7), Shard("b", 0, 3), Shard("b", 100, 1)], 3)
    assert table.num_records == 11
    assert ranges(table) == [
        ("a", 10, 13),
        ("a", 13, 16),
        ("a", 16, 17),
        ("b", 0, 3),
        ("b", 100, 101),
    ]


@pytest.mark.parametrize(("size", "tasks"), [(1, 6), (5, 2), (6, 1), (7, 1), (2**40, 1)])
def test_number_of_tasks(size: int, tasks: int) -> None:
    assert ShardTable([Shard("a", 0, 6)], size).num_tasks == tasks


def test_no_shards() -> None:
    assert (ShardTable([], 5).num_tasks, ShardTable([], 5).num_records) == (0, 0)


def test_a_huge_shard_costs_nothing() -> None:
    huge, one = Shard("a", 5, 10**18), Shard("b", 0, 1)
    table = ShardTable([huge, one], 1)
    assert table.num_tasks == 10**18 + 1
    assert table.task_range(10**18 - 1) == (huge, 10**18 + 4, 10**18 + 5, 10**18 - 1)
    assert table.task_range(10**18) == (one, 0, 1, 10**18)


def test_ordinals_number_the_records_of_the_data_set() -> None:
    table = ShardTable([Shard("a", 10, 7), Shard("b", 0, 3), Shard("c", 100, 1)], 3)
    expected = 0
    for number in range(table.num_tasks):
        _, start, end, ordinal = table.task_range(number)
        assert ordinal == expected
        expected += end - start
    assert expected == table.num_records == 11


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(1, 30)), min_size=1, max_size=6),
    st.integers(1, 40),
)
def test_every_record_is_in_exactly_one_task(
    extents: list[tuple[int, int]], records_per_task: int
) -> None:
    shards = [Shard(f"s{n}", first, count) for n, (first, count) in enumerate(extents)]
    table = ShardTable(shards, records_per_task)
    found = [(name, i) for name, start, end in ranges(table) for i in range(start, end)]
    assert found == [(shard.name, i) for shard in shards for i in range(shard.first, shard.end)]
    assert len(found) == table.num_records
    assert all(0 < end - start <= records_per_task for _, start, end in ranges(table))


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        ((), [(10, 14), (14, 18), (18, 20)]),
        ((15,), [(10, 15), (15, 20)]),  # larger than a task: alone
        ((12, 14, 15, 19), [(10, 14), (14, 15), (15, 19), (19, 20)]),  # as many as fit
        ((11, 12, 13, 14, 15, 16, 17, 18, 19), [(10, 14), (14, 18), (18, 20)]),
        ((11,), [(10, 11), (11, 20)]),
        ((19,), [(10, 19), (19, 20)]),
    ],
)
def test_no_task_has_parts_of_two_groups(
    splits: tuple[int, ...], expected: list[tuple[int, int]]
) -> None:
    table = ShardTable([Shard("a", 10, 10, splits=splits), Shard("b", 0, 1)], 4)
    assert ranges(table) == [*(("a", start, end) for start, end in expected), ("b", 0, 1)]
    assert [table.task_range(number).ordinal for number in range(table.num_tasks)] == [
        *(start - 10 for start, _ in expected),
        10,
    ]


@pytest.mark.parametrize(
    ("task_size", "part"), [(1, 1), (4, 4), (5, 3), (8, 4), (9, 3), (10, 4), (1_000_001, 4)]
)
def test_a_large_task_is_handed_out_in_even_parts(task_size: int, part: int) -> None:
    assert ShardTable([], 4).part_size(task_size) == part
