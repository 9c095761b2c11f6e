"""How long a call to MaxCompute is tried again, and with what pauses."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from elasticdl_like.data_readers.odps.access import OdpsAccess
from elasticdl_like.data_readers.odps.failures import Failure, described, failure_of
from elasticdl_like.errors import ConfigError, DataChangedError, DataError, ElasticdlError
from elasticdl_like.time_spent import Activity, TimeSpent

_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 20.0
# What cannot be decoded was damaged on its way, or will be the same again.
_MAX_UNREADABLE = 8
_WARNED_EACH_S = 10.0

_logger = logging.getLogger(__name__)

Result = TypeVar("Result")


class Patience:
    """Tries calls again that failed in a way that may pass. Thread-safe.

    Args:
        timeout_s: how long a call may fail before it is given up.
        access: hides its credentials in messages.
        time_spent: returns what measures the pauses.
        clock: returns the time in seconds; it must never go back.
        sleep: waits for so many seconds.
    """

    def __init__(
        self,
        timeout_s: float,
        access: OdpsAccess,
        time_spent: Callable[[], TimeSpent],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.timeout_s = timeout_s
        self.access = access
        self._time_spent = time_spent
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._num_retries = 0
        self._warned_s = float("-inf")

    @property
    def num_retries(self) -> int:
        """How often anything has been tried again."""
        return self._num_retries

    def call(self, what: str, attempt: Callable[[], Result]) -> Result:
        """Returns what a call returns, which is repeated as long as there is hope.

        Args:
            what: what the call is for, for messages.
            attempt: the call; it can be repeated.

        Raises:
            DataError: it failed for good.
            ConfigError: the credentials or the address are wrong.
        """
        tries = self.tries(what)
        while True:
            try:
                return attempt()
            except Exception as error:  # noqa: BLE001 - it raises what is for good
                tries.failed(error)

    def tries(self, what: str) -> Tries:
        """Returns the tries of one call."""
        return Tries(self, what)

    def now_s(self) -> float:
        """Returns the time."""
        return self._clock()

    def pause(self, seconds: float, problem: str) -> None:
        """Waits before a call is tried again, and says so now and then."""
        with self._lock:
            self._num_retries += 1
            warns = self._clock() - self._warned_s >= _WARNED_EACH_S
            if warns:
                self._warned_s = self._clock()
        if warns:
            _logger.warning("%s; it is tried again (%d times so far)", problem, self._num_retries)
        with self._time_spent().measure(Activity.RETRYING):
            self._sleep(seconds)


class Tries:
    """The tries of one call, which may get on in between.

    Args:
        patience: whose patience it is.
        what: what the call is for, for messages.
    """

    def __init__(self, patience: Patience, what: str) -> None:
        self._patience = patience
        self._what = what
        self.got_on()

    def got_on(self) -> None:
        """Notes that something came of it: time and pauses start anew with the next failure."""
        self._failed_since_s: float | None = None
        self._num_failures = 0
        self._num_unreadable = 0

    def failed(self, error: Exception) -> None:
        """Waits, so that the call can be tried again; or raises why there is no point in it.

        Raises:
            DataChangedError: the table is not what it was.
            DataError: it will not pass, or has not passed in time.
            ConfigError: the credentials or the address are wrong.
        """
        if isinstance(error, ElasticdlError):
            raise error
        failure = failure_of(error)
        text = self._patience.access.redacted(described(error))
        problem = f"MaxCompute: {self._what}: {text}"
        now_s = self._patience.now_s()
        if self._failed_since_s is None:
            self._failed_since_s = now_s
        self._num_failures += 1
        self._num_unreadable += failure is Failure.UNREADABLE
        # Without a cause: its text, which a traceback shows, may hold credentials.
        if failure is Failure.CHANGED:
            raise DataChangedError(
                f"{problem}; the table has changed since the job began, start the job again"
            ) from None
        if failure is Failure.REFUSED:
            raise ConfigError(f"{problem}; check the credentials and their permissions") from None
        if failure is Failure.MISSING:
            raise DataError(f"{problem}; check the names of project, table and partition") from None
        if failure is Failure.INVALID:
            raise DataError(f"{problem}; check endpoint, tunnel_endpoint and names") from None
        if self._num_unreadable >= _MAX_UNREADABLE:
            raise DataError(
                f"{problem}; what came could not be decoded {self._num_unreadable} times"
            ) from None
        pause_s = min(_FIRST_PAUSE_S * 2 ** (self._num_failures - 1), _LONGEST_PAUSE_S)
        # Many threads, and many workers, must not come back at the same moment.
        pause_s *= random.uniform(0.5, 1.0)
        left_s = self._patience.timeout_s - (now_s - self._failed_since_s)
        if left_s <= 0:
            raise DataError(
                f"{problem}; tried {self._num_failures} times in "
                f"{now_s - self._failed_since_s:.0f} s, --odps_retry_timeout is "
                f"{self._patience.timeout_s:g} s"
            ) from None
        self._patience.pause(min(pause_s, left_s), problem)
