from __future__ import annotations

import asyncio

import pytest

from elasticdl_like.errors import JournalWriteError
from elasticdl_like.master.call_gate import OpenCalls
from elasticdl_like.master.servicer import GroupCommit


class Journal:
    """Counts what it writes; fails as often as it is told."""

    def __init__(self) -> None:
        self.pending = 0
        self.written: list[int] = []
        self.failures: list[Exception] = []

    def flush(self) -> None:
        if self.failures:
            raise self.failures.pop()
        self.written.append(self.pending)
        self.pending = 0


async def call(journal: Journal, durable: GroupCommit) -> None:
    journal.pending += 1
    await durable()
    assert journal.pending == 0


def test_calls_of_one_turn_share_one_write() -> None:
    journal = Journal()

    async def scenario() -> None:
        durable = GroupCommit(journal.flush, OpenCalls(2))
        await asyncio.gather(*(call(journal, durable) for _ in range(5)))
        await call(journal, durable)

    asyncio.run(scenario())
    assert journal.written == [5, 1]


@pytest.mark.parametrize("failure", [JournalWriteError("full"), ZeroDivisionError("a defect")])
def test_all_learn_of_a_failure_and_the_next_write_has_everything(failure: Exception) -> None:
    journal = Journal()
    journal.failures.append(failure)

    async def scenario() -> list[object]:
        durable = GroupCommit(journal.flush, OpenCalls(2))
        found = await asyncio.gather(
            *(call(journal, durable) for _ in range(3)), return_exceptions=True
        )
        await call(journal, durable)
        return list(found)

    assert asyncio.run(scenario()) == [failure] * 3
    assert journal.written == [4]


def test_a_cancelled_call_is_written_and_takes_no_other_along() -> None:
    journal = Journal()

    async def scenario() -> None:
        durable = GroupCommit(journal.flush, OpenCalls(2))
        tasks = [asyncio.create_task(call(journal, durable)) for _ in range(3)]
        await asyncio.sleep(0)  # all wait now
        tasks[0].cancel()
        tasks[2].cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(each) for each in found] == [
            asyncio.CancelledError,
            type(None),
            asyncio.CancelledError,
        ]

    asyncio.run(scenario())
    assert journal.written == [3]


def test_it_is_written_when_nobody_waits_any_more() -> None:
    journal = Journal()

    async def scenario() -> None:
        durable = GroupCommit(journal.flush, OpenCalls(2))
        task = asyncio.create_task(call(journal, durable))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scenario())
    assert journal.written == [1]


def test_a_call_with_nobody_to_share_with_does_not_wait() -> None:
    journal = Journal()
    durable = GroupCommit(journal.flush, OpenCalls(1))

    async def scenario() -> None:
        journal.pending += 1
        waiting = durable()
        with pytest.raises(StopIteration):
            waiting.send(None)
        journal.failures.append(JournalWriteError("full"))
        with pytest.raises(JournalWriteError):
            await durable()

    asyncio.run(scenario())
    assert journal.written == [1]
