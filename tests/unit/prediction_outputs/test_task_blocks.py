"""Each lease of a prediction that splits no task is one block of the output."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elasticdl_like.errors import DataError
from elasticdl_like.master.plan import Plan
from elasticdl_like.master.task_queue import TaskQueue
from elasticdl_like.prediction_outputs.task_blocks import TaskBlocks
from elasticdl_like.tasks import EpochKey, LeaseRequest, Shard, Task, TaskType

KEY = EpochKey(TaskType.PREDICTION, 0)


def leased(shards: list[Shard], records_per_task: int) -> list[Task]:
    """Returns what a master hands out, each lease as a task."""
    plan = Plan(0, None, records_per_task, 1, None, TaskType.PREDICTION)
    queue = TaskQueue([shards], plan)
    _, leases = queue.request(LeaseRequest(0, "life", 1, KEY, max_leases=10_000))
    return [
        lease.task.part(
            lease.task.start + lease.start_position, lease.task.start + lease.end_position
        )
        for lease in leases
    ]


@st.composite
def shards(draw: st.DrawFn) -> list[Shard]:
    made = []
    for number in range(draw(st.integers(1, 3))):
        first, count = draw(st.integers(0, 50)), draw(st.integers(1, 60))
        splits = (
            draw(st.sets(st.integers(first + 1, first + count - 1), max_size=6))
            if (count > 1)
            else set()
        )
        made.append(Shard(f"shard {number}", first, count, splits=sorted(splits)))
    return made


@given(shards(), st.integers(1, 25))
def test_leases_are_the_blocks(made: list[Shard], records_per_task: int) -> None:
    tasks = leased(made, records_per_task)
    assert sum(task.size for task in tasks) == sum(shard.count for shard in made)
    blocks = TaskBlocks.from_json(TaskBlocks.of(made, records_per_task).to_json())
    assert sorted(map(blocks.number, tasks)) == list(range(blocks.num_blocks))


@pytest.mark.parametrize(
    "task", [Task("a", 0, 9), Task("a", 1, 10), Task("a", 20, 30), Task("b", 0, 10)]
)
def test_what_is_no_task_is_refused(task: Task) -> None:
    blocks = TaskBlocks.of([Shard("a", 0, 25)], 10)
    assert [blocks.number(Task("a", *each)) for each in ((0, 10), (10, 20), (20, 25))] == [0, 1, 2]
    with pytest.raises(DataError, match="not a whole task"):
        blocks.number(task)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"num_blocks": 1, "shards": {"a": [[1]]}}'])
def test_what_is_no_state_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="no output of predictions"):
        TaskBlocks.from_json(text)
