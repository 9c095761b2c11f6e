"""The training thread's waits for input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from elasticdl_like.time_spent import Activity, TimeSpent
from elasticdl_like.worker.blocks import Batch


def awaited(batches: Iterable[Batch], time_spent: TimeSpent) -> Iterator[Batch]:
    """Yields batches, and measures the time in which the next one is not there."""
    rest = iter(batches)
    while True:
        with time_spent.measure(Activity.WAITING_FOR_INPUT):
            batch = next(rest, None)
        if batch is None:
            return
        yield batch
