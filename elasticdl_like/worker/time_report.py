"""Where a worker's time goes, told now and then: to the master, and to the log when it starves."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from elasticdl_like.starvation import StarvationWatch
from elasticdl_like.time_shares import time_shares
from elasticdl_like.time_spent import TimeSpent

_logger = logging.getLogger(__name__)


class TimeReport:
    """Reads a `TimeSpent` at each heartbeat.

    Args:
        time_spent: where the process's time goes.
        clock: returns the time in seconds.
    """

    def __init__(self, time_spent: TimeSpent, clock: Callable[[], float] = time.monotonic) -> None:
        self._time_spent = time_spent
        self._clock = clock
        self._watch = StarvationWatch()

    def __call__(self) -> dict[str, float]:
        """Returns the seconds so far by activity; warns if training starves."""
        totals = self._time_spent.totals()
        warning = self._watch.look(self._clock(), totals)
        if warning is not None:
            _logger.warning("%s", warning)
        return totals

    @property
    def num_retries(self) -> int:
        """How often a service had to be asked again."""
        return self._time_spent.num_retries

    def log_summary(self) -> None:
        """Logs where all of the time went."""
        shares = time_shares(self._time_spent.totals())
        if shares is not None:
            _logger.info("where the time went: %s", shares)
