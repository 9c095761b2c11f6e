"""Ranges of records over several shards."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st

from elasticdl_like.data_readers.places import Places, task_of
from elasticdl_like.sparse_index import SparseIndex
from elasticdl_like.tasks import Shard


def test_a_task_knows_what_its_shard_knows() -> None:
    index = SparseIndex(array("q", [0, 10, 20, 30]), array("q", [5, 105, 205, 305]))
    task = task_of(Shard("a", 0, 30, "v1", b"here", (), index), 12, 18)
    assert (task.shard_name, task.start, task.end) == ("a", 12, 18)
    assert (task.version, task.locator) == ("v1", b"here")
    assert task.index is not None
    assert (list(task.index.records), list(task.index.offsets)) == ([10, 20], [105, 205])


@given(st.data())
def test_places_are_counted_over_the_shards(data: st.DataObject) -> None:
    extents = data.draw(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9)), min_size=1))
    shards = [Shard(str(number), *extent) for number, extent in enumerate(extents)]
    records = [(each.name, index) for each in shards for index in range(each.first, each.end)]
    places = Places(shards)
    assert places.num_records == len(records)
    start = data.draw(st.integers(0, len(records) - 1))
    end = data.draw(st.integers(start + 1, len(records)))
    found = [
        (task.shard_name, index)
        for task in places.tasks_between(start, end)
        for index in range(task.start, task.end)
    ]
    assert found == records[start:end]
