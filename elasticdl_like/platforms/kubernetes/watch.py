"""Follows the pods of a job: a list, then what happens from there on, for ever.

Whatever ends a watch, but for the server's own time limit, is followed by another list: it shows
what was missed, deletions as well.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from elasticdl_like.errors import ClusterError, ClusterUnavailableError
from elasticdl_like.platforms.kubernetes.client import GONE, PodCluster, WatchStream
from elasticdl_like.platforms.kubernetes.pod_state import Pod

_logger = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 10.0
_END_S = 2.0
# A watch that ends sooner than this did not end because of the server's time limit.
_SHORT_WATCH_S = 1.0


@dataclass(frozen=True)
class Listed:
    """All pods that there were at one moment.

    Attributes:
        pods: the pods.
        asked_s: when the list was asked for; a pod that was there before and is not in the list is
            gone.
    """

    pods: Sequence[Pod]
    asked_s: float


@dataclass(frozen=True)
class Seen:
    """A pod is there, or has changed."""

    pod: Pod


@dataclass(frozen=True)
class Deleted:
    """A pod is gone.

    Attributes:
        pod: what it was at last.
    """

    pod: Pod


@dataclass(frozen=True)
class NotAllowed:
    """Pods cannot even be listed.

    Attributes:
        reason: the server's.
    """

    reason: str


PodChange = Listed | Seen | Deleted | NotAllowed


class PodWatch:
    """Tells what happens to pods, from a thread of its own; used as a context manager.

    Args:
        cluster: where they are.
        selector: their labels.
        report: called with each change, in the thread.
        clock: monotonic time in seconds.
    """

    def __init__(
        self,
        cluster: PodCluster,
        selector: str,
        report: Callable[[PodChange], None],
        clock: Callable[[], float],
    ) -> None:
        self._cluster = cluster
        self._selector = selector
        self._report = report
        self._clock = clock
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._stream: WatchStream | None = None
        self._has_listed = False
        self._trouble_since_s: float | None = None
        self._thread = threading.Thread(target=self._run, name="pod watch", daemon=True)

    def __enter__(self) -> PodWatch:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        with self._lock:
            self._ending.set()
            if self._stream is not None:
                self._stream.close()
        # Where the server does not answer, the thread ends a little later.
        self._thread.join(_END_S)

    @property
    def is_alive(self) -> bool:
        """Whether the thread still runs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._ending.is_set():
            try:
                self._list_and_follow()
            except (ClusterError, ClusterUnavailableError) as error:
                if self._ending.is_set():
                    return
                if isinstance(error, ClusterError) and error.code == GONE:
                    _logger.debug("pods are listed again: %s", error)
                    pause_s = _FIRST_PAUSE_S
                    continue
                if isinstance(error, ClusterError) and not self._has_listed:
                    self._report(NotAllowed(str(error)))
                if self._trouble_since_s is None:
                    self._trouble_since_s = self._clock()
                    pause_s = _FIRST_PAUSE_S
                    _logger.warning("what happens to pods is not known for now: %s", error)
                self._ending.wait(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _list_and_follow(self) -> None:
        asked_s = self._clock()
        listing = self._cluster.list_pods(self._selector)
        self._has_listed = True
        self._report(Listed(listing.items, asked_s))
        if self._trouble_since_s is not None:
            _logger.warning(
                "what happens to pods is known again, after %.0f s",
                self._clock() - self._trouble_since_s,
            )
            self._trouble_since_s = None
        version = listing.resource_version
        while not self._ending.is_set():
            # It ends in order when the server wants it to, which it does now and then.
            begun_s = self._clock()
            version = self._follow(version)
            if self._clock() - begun_s < _SHORT_WATCH_S:
                self._ending.wait(_SHORT_WATCH_S)

    def _follow(self, version: str) -> str:
        """Follows until the watch ends; returns the version to go on from."""
        stream = self._cluster.watch_pods(self._selector, version)
        with self._lock:
            self._stream = stream
            if self._ending.is_set():
                stream.close()
        for event in stream:
            pod = event["object"]
            version = pod["metadata"]["resourceVersion"]
            if event["type"] == "DELETED":
                self._report(Deleted(pod))
            elif event["type"] != "BOOKMARK":
                self._report(Seen(pod))
        return version
