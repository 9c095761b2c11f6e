"""When a stream calls the master, and how many leases it wants to have at hand."""

from __future__ import annotations

import math

from elasticdl_like.tasks import Answer

_FIRST_LOOKAHEAD = 2
_LONGEST_LOOKAHEAD = 64
_TELL_INTERVAL_S = 0.2
_POLL_INTERVAL_S = 0.1
_SHORTEST_CALL_INTERVAL_S = 0.02


class CallTiming:
    """As few leases at hand as keep the reader busy, and calls not too close to each other.

    Times are seconds, of any clock that never goes back.
    """

    def __init__(self) -> None:
        self._answer = Answer.LEASED
        self._answered_s = 0.0
        self._news_since_s = 0.0
        self._lookahead = _FIRST_LOOKAHEAD

    @property
    def answer(self) -> Answer:
        """The master's last answer."""
        return self._answer

    @property
    def has_ended(self) -> bool:
        """Whether the epoch has ended, or the whole job."""
        return self._answer in (Answer.EPOCH_ENDED, Answer.END)

    def look_further_ahead(self) -> None:
        """Wants more leases at hand from now on, because they do not last."""
        if self._answer is Answer.LEASED:
            self._lookahead = min(2 * self._lookahead, _LONGEST_LOOKAHEAD)

    def hold_at_most(self, number: int) -> None:
        """Wants no more leases at hand than this from now on, but one in any case."""
        self._lookahead = max(number, 1)

    def wanted(self, num_unread: int) -> int:
        """Returns how many leases to ask for when so many are at hand."""
        return max(self._lookahead - num_unread, 0)

    def news_began(self, now_s: float) -> None:
        """Notes that there is something to tell, after there was nothing."""
        self._news_since_s = now_s

    def calls(self, now_s: float) -> None:
        """Notes that the master is called now."""
        if now_s - self._answered_s < _SHORTEST_CALL_INTERVAL_S:
            self.look_further_ahead()

    def answered(self, answer: Answer, now_s: float) -> None:
        """Notes that the master has answered."""
        self._answer, self._answered_s = answer, now_s

    def time_to_lease_s(self, now_s: float, num_unread: int) -> float:
        """Returns in how many seconds to ask for leases when so many are at hand."""
        if self.has_ended:
            return math.inf
        if self._answer is Answer.WAIT:
            return self._answered_s + _POLL_INTERVAL_S - now_s
        return 0.0 if num_unread <= self._lookahead // 2 else math.inf

    def time_to_tell_s(self, now_s: float, is_last: bool) -> float:
        """Returns in how many seconds to tell the news.

        Args:
            now_s: the time.
            is_last: whether they have the last positions in them of what was leased so far.
        """
        if self.has_ended or (self._answer is Answer.WAIT and is_last):
            return 0.0  # nothing more is to come along, and the end may depend on it
        return self._news_since_s + _TELL_INTERVAL_S - now_s
