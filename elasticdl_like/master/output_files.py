"""Publishes the files of a prediction: those whose records are counted, and no others."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice

from elasticdl_like.errors import ElasticdlError, RetryableError
from elasticdl_like.job_directory import JobState
from elasticdl_like.master import events
from elasticdl_like.master.job_core import JobCore
from elasticdl_like.master.shared_core import SharedCore
from elasticdl_like.prediction_outputs.files import OutputFolder

_logger = logging.getLogger(__name__)

_POLL_S = 0.2
_FIRST_PAUSE_S = 0.5
_MOST_DOUBLINGS = 6
_MOST_TRIES = 7  # half a minute
_PARTS_AT_ONCE = 64


class OutputFiles:
    """Publishes parts as they are counted, and the whole output at the end.

    Args:
        shared: the job, behind its lock.
    """

    def __init__(self, shared: SharedCore) -> None:
        self._shared = shared
        self._core = shared.core

    def publish(self, folder: OutputFolder) -> None:
        """Publishes what is counted and not published yet; to be called by one thread.

        After an error it may be called again.

        Args:
            folder: the folder of the output.

        Raises:
            RetryableError: the journal cannot be written now.
            ElasticdlError: something cannot be published.
        """
        while True:
            with self._shared.lock:
                output = self._core.predicting()
                names = list(islice(output.unpublished, _PARTS_AT_ONCE))
                is_last = self._core.queue.ended and not names
                if self._core.state is not JobState.RUNNING or output.is_done:
                    return
            if not names and not is_last:
                return
            # What is not durable may be undone by the end of this process, but not in the folder.
            self._shared.flush()
            if is_last:
                self._end(folder)
                return
            for name in names:
                folder.publish(name)
            with self._shared.lock:
                self._shared.do(events.PartsPublished(names))

    def _end(self, folder: OutputFolder) -> None:
        core = self._core
        with self._shared.lock:
            parts = dict(core.predicting().parts)
        folder.finish(
            {
                "job": core.config.name,
                "format": core.config.inference.output_format,
                "parts": [{"name": name, "rows": rows} for name, rows in parts.items()],
                "records": sum(parts.values()),
            }
        )
        with self._shared.lock:
            if core.state is JobState.RUNNING:
                self._shared.do(events.OutputPublished())
        self._shared.flush()
        _logger.info("the output is whole: %s", core.config.inference.output)


def prepare_output(core: JobCore, overwrite: bool) -> None:
    """Makes the folder for the predictions of a job, if they go into files.

    Args:
        core: the job, which gets a name that no other one has, unless it has one.
        overwrite: whether what another job has predicted is removed.

    Raises:
        ConfigError: the folder holds what another job has predicted, or something else.
        DataError: it cannot be written to.
    """
    if core.output is None or not core.output.in_files:
        return
    core.output.job_id = core.output.job_id or secrets.token_hex(8)
    OutputFolder(core.config.inference.output).prepare(core.output.job_id, overwrite)


@contextmanager
def publishing(files: OutputFiles, url: str, fail: Callable[[str], None]) -> Iterator[None]:
    """Has a thread publish the files of a prediction as long as the context lasts.

    Args:
        files: what publishes them.
        url: the folder of the output; "" if the job has no such files.
        fail: fails the job, for a reason.

    Raises:
        ConfigError: the folder's scheme is unknown, or needs a package that is missing.
    """
    if not url:
        yield
        return
    folder = OutputFolder(url)
    stop = threading.Event()
    thread = threading.Thread(
        target=publish_until,
        args=(lambda: files.publish(folder), fail, stop.wait),
        name="output files",
        daemon=True,
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def publish_until(
    publish: Callable[[], None], fail: Callable[[str], None], pause: Callable[[float], bool]
) -> None:
    """Publishes again and again.

    Args:
        publish: publishes what there is; tried again after an error, but not without end.
        fail: called with the reason if it does not succeed, which is the end.
        pause: waits for so many seconds, and returns whether it is the end.
    """
    num_tries = 0
    while True:
        try:
            publish()
            num_tries, pause_s = 0, _POLL_S
        except (ElasticdlError, OSError) as error:
            num_tries += 1
            pause_s = _FIRST_PAUSE_S * 2 ** min(num_tries - 1, _MOST_DOUBLINGS)
            # What passes by itself is waited for, a full disk, say.
            if num_tries >= _MOST_TRIES and not isinstance(error, RetryableError):
                fail(f"the output cannot be published: {error}")
                return
            _logger.warning(
                "the output cannot be published, which is tried again in %g s: %s", pause_s, error
            )
        except Exception as error:
            fail(f"the output cannot be published: {error!r}")
            raise
        if pause(pause_s):
            return
