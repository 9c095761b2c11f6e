"""Finds leases that are done too slowly while somebody has nothing to do: the clock passed in.

Only for evaluation and prediction, where results are kept by task and a record that is looked at
twice does no harm. It decides nothing about the ledger, so it need not survive the master.
"""

from __future__ import annotations

from collections.abc import Collection

from elasticdl_like.tasks import Answer, EpochKey, LeaseReply, LeaseRequest, TaskType

# A worker commits predictions once a file of them is written, which may take 10 s.
_SLOW_S = {TaskType.EVALUATION: 2.0, TaskType.PREDICTION: 15.0}
_STILL_WAITING_S = 1.0


class StragglerWatch:
    """When each lease of an evaluation or prediction last made progress, and who waits."""

    def __init__(self) -> None:
        self._progress_s: dict[EpochKey, dict[int, float]] = {}
        self._waited_s: dict[EpochKey, float] = {}

    def note(self, request: LeaseRequest, reply: LeaseReply, now_s: float) -> None:
        """Looks at a request for leases and its reply."""
        if request.key.type is TaskType.TRAINING:
            return
        if reply.answer in (Answer.EPOCH_ENDED, Answer.END):
            self._progress_s.pop(request.key, None)
            self._waited_s.pop(request.key, None)
            return
        progress_s = self._progress_s.setdefault(request.key, {})
        for lease in reply.leases:
            progress_s[lease.token] = now_s
        for commit in request.commits:
            for interval in commit.intervals:
                progress_s[interval.token] = now_s
        if reply.answer is Answer.WAIT:
            self._waited_s[request.key] = now_s

    def keys(self, now_s: float) -> list[EpochKey]:
        """Returns the epochs in which somebody waits for work."""
        self._waited_s = {
            key: waited_s
            for key, waited_s in self._waited_s.items()
            if now_s - waited_s < _STILL_WAITING_S
        }
        return list(self._waited_s)

    def slowest(self, key: EpochKey, tokens: Collection[int], now_s: float) -> int | None:
        """Returns the lease that has been without progress for longest, if that is too long.

        Args:
            key: an epoch.
            tokens: all of its live leases.
            now_s: the time.
        """
        known_s = self._progress_s.get(key, {})
        progress_s = {token: known_s[token] for token in tokens if token in known_s}
        self._progress_s[key] = progress_s
        slowest = min(progress_s, key=lambda token: progress_s[token], default=None)
        if slowest is None or now_s - progress_s[slowest] < _SLOW_S[key.type]:
            return None
        # Half of it goes to somebody else; then it has time again.
        progress_s[slowest] = now_s
        return slowest
