"""How shards are cut into tasks, and tasks into what is leased at once: pure arithmetic."""

from __future__ import annotations

from collections.abc import Iterator

from elasticdl_like.tasks import Shard


def task_runs(shard: Shard, records_per_task: int) -> Iterator[tuple[int, int, int]]:
    """Yields runs of records of a shard, each with the number of its tasks.

    Without natural splits that is the shard, all of whose tasks but the last have
    `records_per_task` records. Else it is one task, of as many whole groups as fit into one, and at
    least one.
    """
    if not shard.splits:
        yield shard.first, shard.end, -(-shard.count // records_per_task)
        return
    start = edge = shard.first
    for next_edge in (*shard.splits, shard.end):
        if edge > start and next_edge - start > records_per_task:
            yield start, edge, 1
            start = edge
        edge = next_edge
    yield start, shard.end, 1


def part_size(task_size: int, records_per_task: int) -> int:
    """Returns how many positions of a task of this size are handed out at once.

    All of them, or parts that are as even as they can be.
    """
    num_parts = -(-task_size // records_per_task)
    return -(-task_size // num_parts)
