"""The state of a running job behind one lock, with clock and journal."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from elasticdl_like.errors import RoundOverError
from elasticdl_like.job_directory import JobState
from elasticdl_like.master import events
from elasticdl_like.master.caller import Caller
from elasticdl_like.master.core_codec import core_to_plain
from elasticdl_like.master.job_core import JobCore
from elasticdl_like.master.journal import Journal
from elasticdl_like.master.membership import Worker
from elasticdl_like.master.record import JobRecord

_EVENTS_PER_SNAPSHOT = 5000


class SharedCore:
    """What all parts of a running job work on, each in threads of its own.

    Whoever has the lock has the job to itself; every method but `flush` is called with it. What was
    done is safe from the death of this process once `flush` has returned; nobody may be told of it
    before.

    Args:
        core: the state.
        journal: gets every event.
        clock: monotonic time in seconds.
        record: gets what people are shown of its past.

    Attributes:
        core: the state.
        clock: monotonic time in seconds.
        record: what people are shown of its past.
        lock: the lock.
    """

    def __init__(
        self, core: JobCore, journal: Journal, clock: Callable[[], float], record: JobRecord
    ) -> None:
        self.core = core
        self.clock = clock
        self.record = record
        self.lock = threading.Lock()
        self._journal = journal

    def do(self, event: events.Event) -> Any:
        """Applies an event, writes it down, and returns what it returns.

        Raises:
            InvalidRequestError: the event breaks the protocol; it is not written down.
            UnknownWorkerError: its worker is not, or no longer, part of the job; likewise.
        """
        result = self.core.apply(event, self.clock())
        self.note(event, result)
        return result

    def note(self, event: events.Event, result: Any) -> None:
        """Writes down an event that was applied.

        Args:
            event: the event.
            result: what it has returned.
        """
        self._journal.append(*events.encode_event(event))
        self.record.note(event, self.core, result)

    def note_request(self, encoded: bytes) -> None:
        """Writes down a lease request, as the message that it came in, that is yet to be looked at.

        In whatever state it leaves the job when it is refused, that state is reached again.
        """
        self._journal.append(events.LEASE_REQUEST, encoded)

    def end(self, state: JobState, reason: str) -> None:
        """Ends the job, unless it is over already."""
        if self.core.state is JobState.RUNNING:
            self.do(events.Ended(state, reason))

    def hear(self, caller: Caller) -> Worker:
        """Notes that a worker is alive, or checks that its trainer's round is not over.

        It is the agent that says whether a worker is alive that trains in rounds.

        Raises:
            UnknownWorkerError: the worker is not, or no longer, part of the job.
            RoundOverError: its round is over.
            JobFailedError: the job is over.
        """
        self.core.check_running()
        members, rounds = self.core.members, self.core.rounds
        if rounds is None:
            return members.hear(caller.worker_id, caller.incarnation, self.clock())
        worker = members.known(caller.worker_id, caller.incarnation)
        plan = rounds.running
        if plan is None or caller.round != plan.number or caller.worker_id not in rounds.members:
            raise RoundOverError(
                f"worker {caller.worker_id} trains in round {caller.round}, which is over; its "
                "agent is told what comes next"
            )
        return worker

    def flush(self) -> None:
        """Makes everything that has happened durable; takes the lock.

        Raises:
            JournalWriteError: the journal cannot be written now; it is tried again next time.
        """
        with self.lock:
            # Also when they are from before a restart: replaying them takes time.
            if self._journal.num_events > _EVENTS_PER_SNAPSHOT:
                self._journal.save_snapshot(core_to_plain(self.core))
            else:
                self._journal.flush()
