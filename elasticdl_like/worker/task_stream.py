"""The leases of one epoch, fetched ahead of their use, and the commits that go back."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum

from elasticdl_like.errors import LeaseLostError
from elasticdl_like.tasks import Answer, Commit, EpochKey, Interval, Lease, LeaseReply, TaskType
from elasticdl_like.worker.call_timing import CallTiming
from elasticdl_like.worker.master_client import MasterClient
from elasticdl_like.worker.pending_commits import PendingCommits

_LONGEST_PROBLEM = 500


class Signal(Enum):
    """What a stream gives instead of a lease."""

    # Use what is held back: there is nothing more for the moment, and the epoch could not end.
    FLUSH = "flush"
    END = "end"  # this epoch has ended, or the whole job


class TaskStream:
    """The conversation of one worker with the master about one epoch.

    A thread of its own keeps some leases ready, as few as keep the reader from running dry and the
    calls from following each other too closely. It sends commits along with its requests. Used as
    a context manager: leaving it sends the commits that are still there, unless it is left by an
    error, and lets go of the leases whose records were not all committed.

    Args:
        client: the connection to the master.
        key: the epoch.
        on_fenced: called with the step of each commit that the master refused, from a thread of
            the stream: in an evaluation or prediction the end of a slow lease goes to somebody
            else, and what was made of it here must not count. Without it a refusal is an error.
    """

    def __init__(
        self, client: MasterClient, key: EpochKey, on_fenced: Callable[[int], None] | None = None
    ) -> None:
        self.key = key
        self._client = client
        self._on_fenced = on_fenced
        self._changed = threading.Condition()
        self._unread: deque[Lease] = deque()
        self._num_uncommitted = 0  # positions of leases that `next` has returned
        self._returned: list[int] = []
        self._commits = PendingCommits()
        self._loss: float | None = None
        self._step = 0
        self._sent_step = 0
        self._firm_step = 0
        self._timing = CallTiming()
        self._flushes = 0
        self._flush_told = False
        self._aligning = False
        self._calling = False
        self._flushing = False
        self._closed = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._converse, name=f"stream {key}", daemon=True)

    def __enter__(self) -> TaskStream:
        self._thread.start()
        return self

    def __exit__(self, exc_type: type[BaseException] | None, *exc_info: object) -> None:
        try:
            if exc_type is None:
                self.flush()
        finally:
            self.close()

    @property
    def job_ended(self) -> bool:
        """Whether the master said that the whole job has no more work."""
        with self._changed:
            return self._timing.answer is Answer.END

    def next(self) -> Lease | Signal:
        """Returns the next lease, waiting for one if need be.

        `Signal.FLUSH` comes once each time that there is nothing to lease for the moment, and
        once after each call of `align`.

        Raises:
            MasterLostError: the master could not be reached.
            LeaseLostError: a commit was refused.
            PermanentError: whatever else the master had to say.
        """
        with self._changed:
            if not self._unread:
                self._timing.look_further_ahead()
            while True:
                self._raise_error()
                if self._aligning:
                    self._aligning = False
                    self._flushes += 1
                    return Signal.FLUSH
                if self._unread:
                    lease = self._unread.popleft()
                    self._num_uncommitted += lease.size
                    self._wake_if_due()
                    return lease
                if self._ended:
                    return Signal.END
                if self._timing.answer is Answer.WAIT and not self._flush_told:
                    self._flush_told = True
                    self._flushes += 1
                    return Signal.FLUSH
                self._changed.wait()

    def is_idle(self, flushes: int) -> bool:
        """Returns whether there has been nothing to lease, and no end, since the last flush.

        Args:
            flushes: how many times the caller knows `next` to have returned `Signal.FLUSH`. When
                these were not all, something is on its way to the caller.
        """
        with self._changed:
            is_over = self._ended or self._error is not None
            return self._flush_told and flushes == self._flushes and not is_over

    @property
    def would_wait(self) -> bool:
        """Whether `next` has no lease at hand."""
        return not self._unread

    def commit(
        self,
        step: int,
        intervals: Sequence[Interval],
        loss: float | None = None,
        sums: Sequence[float] = (),
        part: str = "",
    ) -> None:
        """Reports what a finished step used; it is sent soon, not at once.

        Args:
            step: the step's number.
            intervals: the positions that it used.
            loss: the mean loss since the last time it was given, if it is known.
            sums: in an evaluation, what the positions contribute. Commits with sums become one,
                under the number of the last of them, until they are sent.
            part: in a prediction, the name of the file with what was predicted for the positions.

        Raises:
            LeaseLostError: an earlier commit was refused.
            MasterLostError: the master could not be reached.
        """
        self._append(Commit(step, intervals, sums=sums, part=part), loss)

    def finish_step(self, step: int) -> None:
        """Reports that a step of the round is finished, whether it used anything from here or not.

        Args:
            step: the step's number; from now on nothing is committed for an earlier one.

        Raises:
            RoundOverError: the round is over.
            LeaseLostError: an earlier commit was refused.
            MasterLostError: the master could not be reached.
        """
        with self._changed:
            self._raise_error()
            if not self._has_news:
                self._timing.news_began(time.monotonic())
                self._changed.notify_all()
            self._step = step

    @property
    def firm_step(self) -> int:
        """The last step that every member of the round is known to have finished."""
        return self._firm_step

    def fail(self, step: int, intervals: Sequence[Interval], problem: str) -> None:
        """Reports positions that no step can use; like a commit, in the order of each lease.

        Args:
            step: the last finished step.
            intervals: the positions.
            problem: why they cannot be used.

        Raises:
            LeaseLostError: an earlier commit was refused.
            MasterLostError: the master could not be reached.
        """
        self._append(Commit(step, intervals, problem[:_LONGEST_PROBLEM]), None)

    def mark(self, step: int) -> None:
        """Has the master keep the ledger as it is after everything that was committed so far.

        Args:
            step: the last finished step, whose state is about to be saved.

        Raises:
            LeaseLostError: an earlier commit was refused.
            MasterLostError: the master could not be reached.
        """
        self._append(Commit(step, [], mark=True), None)

    def align(self) -> None:
        """Has `next` return `Signal.FLUSH` once, after the leases that it has returned so far."""
        with self._changed:
            self._aligning = True
            self._changed.notify_all()

    def flush(self) -> None:
        """Sends every commit and waits until the master has counted them.

        Raises:
            LeaseLostError: a commit was refused, or not sent before the stream was closed.
            MasterLostError: the master could not be reached.
        """
        with self._changed:
            self._flushing = True
            self._changed.notify_all()
            while (self._has_news or self._calling) and not self._closed:
                self._raise_error()
                self._changed.wait()
            self._flushing = False
            self._raise_error()
            if self._commits:
                raise LeaseLostError(
                    f"{len(self._commits)} commits in {self.key} were not sent, because the stream "
                    "was closed before; leave the stream, or flush it, and only then close it"
                )

    def close(self) -> None:
        """Ends the conversation; whoever waits in `next` gets `Signal.END`.

        What was not committed, or whose commit was not sent, goes to other workers.
        """
        with self._changed:
            if not self._closed:
                self._closed = True
                self._unread.clear()
                self._client.abandon(self.key)
                self._changed.notify_all()

    @property
    def _has_news(self) -> bool:
        """Whether there is anything that the master should hear of."""
        return bool(self._commits) or self._step > self._sent_step

    @property
    def _ended(self) -> bool:
        return self._closed or self._timing.has_ended

    def _append(self, commit: Commit, loss: float | None) -> None:
        with self._changed:
            self._raise_error()
            is_first = not self._has_news
            if is_first:
                self._timing.news_began(time.monotonic())
            self._commits.append(commit)
            self._num_uncommitted -= sum(interval.size for interval in commit.intervals)
            if loss is not None:
                self._loss = loss
            if is_first:
                self._changed.notify_all()  # it has a new time to call at
            else:
                self._wake_if_due()

    def _wake_if_due(self) -> None:
        """Wakes the conversation's thread, which costs more than to ask whether it should be."""
        if self._time_to_call_s() <= 0:
            self._changed.notify_all()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _converse(self) -> None:
        try:
            while True:
                with self._changed:
                    self._wait_for_reason_to_call()
                    if self._closed:
                        return
                    self._timing.calls(time.monotonic())
                    commits = self._take_commits()
                    if not self._commits:
                        # What comes up during the call has waited for no longer than from now on.
                        self._timing.news_began(time.monotonic())
                    loss, self._loss = self._loss, None
                    step = self._step
                    first = self._commits.first
                    if first is not None and self.key.type is TaskType.TRAINING:
                        # No step is finished before all of its commits are reported.
                        step = first.step - 1
                    returned, self._returned = self._returned, []
                    # What is given back is for others: it must not come back with the reply.
                    wanted = 0 if returned else self._timing.wanted(len(self._unread))
                    self._calling = True
                reply = self._client.commit_and_lease(
                    self.key, commits, wanted, returned, loss, step
                )
                with self._changed:
                    self._sent_step = max(self._sent_step, step)
                    self._take(reply)
                    self._changed.notify_all()
        except Exception as error:  # noqa: BLE001 - raised again in the user's thread
            with self._changed:
                self._error, self._calling = error, False
                self._changed.notify_all()

    def _take_commits(self) -> list[Commit]:
        """Takes the commits that are to be sent now.

        Those with sums do not come along with each request for leases: they may be long.
        """
        first = self._commits.first
        if first is not None and first.sums and self._time_to_commit_s() > 0:
            return []
        return self._commits.take()

    def _take(self, reply: LeaseReply) -> None:
        self._calling = False
        if self._closed:
            self._client.abandon(self.key, [lease.token for lease in reply.leases])
        else:
            self._unread.extend(reply.leases)
        self._timing.answered(reply.answer, time.monotonic())
        self._firm_step = max(self._firm_step, reply.firm_step)
        if reply.recalled:
            self._give_back(reply.recalled)
        if self._unread:
            self._flush_told = False
        if self._on_fenced is not None:
            for step in reply.fenced_steps:
                self._on_fenced(step)
        elif reply.fenced_steps:
            raise LeaseLostError(
                f"the master refused the commits of steps {list(reply.fenced_steps)} in "
                f"{self.key}: their records are no longer leased to this worker"
            )

    def _give_back(self, number: int) -> None:
        """Returns the leases that would be read last, up to a number of them."""
        for _ in range(min(number, len(self._unread))):
            self._returned.append(self._unread.pop().token)
        self._timing.hold_at_most(len(self._unread))

    def _wait_for_reason_to_call(self) -> None:
        while not self._closed:
            wait_s = self._time_to_call_s()
            if wait_s <= 0:
                return
            self._changed.wait(min(wait_s, threading.TIMEOUT_MAX))

    def _time_to_call_s(self) -> float:
        if self._returned:
            return 0.0
        return min(
            self._time_to_commit_s(),
            self._timing.time_to_lease_s(time.monotonic(), len(self._unread)),
        )

    def _time_to_commit_s(self) -> float:
        if not self._has_news:
            return math.inf
        if self._flushing:
            return 0.0
        is_last = bool(self._commits) and not self._unread and self._num_uncommitted <= 0
        return self._timing.time_to_tell_s(time.monotonic(), is_last)
