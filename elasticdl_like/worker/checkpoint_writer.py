"""Checkpoints of a model in training, written in the background.

A checkpoint is a directory `checkpoint-<step>`:

    model.npz       the model's variables, those that are not trained among them
    optimizer.npz   the optimizer's variables, its iterations and learning rate among them
    callbacks.npz   the states of callbacks (plain_values.py), when there are any
    manifest.json   step, epoch, where the data was, size and SHA-256 of the files; by the master
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from elasticdl_like.errors import ElasticdlError, InvalidRequestError, JobDirectoryError
from elasticdl_like.worker.master_client import MasterClient
from elasticdl_like.worker.plain_values import encode_value
from elasticdl_like.worker.variable_file import VariableCopy, copy_variables, write_variables

MODEL_FILE = "model.npz"
OPTIMIZER_FILE = "optimizer.npz"
CALLBACKS_FILE = "callbacks.npz"

_logger = logging.getLogger(__name__)

_LOWEST_PRIORITY = 19


@dataclass(frozen=True)
class _Snapshot:
    """What a model and its optimizer were after a step."""

    step: int
    files: dict[str, Sequence[VariableCopy]]
    callback_states: bytes


class _GivenUpError(Exception):
    """Nobody wants the checkpoint any more that is being written."""


class CheckpointWriter:
    """Copies a model's state to host memory, and writes it in a thread of its own.

    A checkpoint that waits for the one before it to be written gives way to a newer one.

    Args:
        client: names the directory while it is written, and has the master publish it.
        directory: where the checkpoints go; made when it is first needed.
    """

    def __init__(self, client: MasterClient, directory: Path) -> None:
        self._client = client
        self._directory = directory
        self._changed = threading.Condition()
        self._waiting: _Snapshot | None = None
        self._writing = False
        self._closed = False
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None

    def save(
        self, model: keras.Model, step: int, callback_states: Mapping[str, Any] | None = None
    ) -> None:
        """Takes a checkpoint of a model and its optimizer. Returns once they may change again.

        Nothing is done once the writer is closed, or the master has refused this worker.

        The master has to know of the mark at this step: the checkpoint may be published at once.

        Args:
            model: the model.
            step: the last finished step.
            callback_states: what callbacks remember, as `capture_states` returns it.

        Raises:
            ModelDefinitionError: a variable does not hold numbers.
        """
        with self._changed:
            self._raise_error()
            if self._closed:
                return
        start_s = time.perf_counter()
        snapshot = _Snapshot(
            step,
            {
                MODEL_FILE: copy_variables(model.variables),
                OPTIMIZER_FILE: copy_variables(model.optimizer.variables),
            },
            encode_value(callback_states) if callback_states else b"",
        )
        _logger.debug("step %d copied in %.3f s", step, time.perf_counter() - start_s)
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._write_all, name="checkpoints", daemon=True
                )
                self._thread.start()
            if self._waiting is not None:
                _logger.info(
                    "the checkpoint of step %d gives way to that of step %d: the disk is slow",
                    self._waiting.step,
                    step,
                )
            self._waiting = snapshot
            self._changed.notify_all()

    def wait(self) -> None:
        """Waits until whatever was saved is published, or has failed."""
        with self._changed:
            while self._is_busy():
                self._changed.wait()
            self._raise_error()

    def close(self) -> None:
        """Ends the thread; what is not published yet is given up."""
        with self._changed:
            self._closed = True
            self._waiting = None
            self._changed.notify_all()

    def _is_busy(self) -> bool:
        return not self._closed and (self._writing or self._waiting is not None)

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _write_all(self) -> None:
        _yield_to_training()
        try:
            while (snapshot := self._next()) is not None:
                self._write(snapshot)
                # Not held on to while waiting for the next: it is as large as the model.
                del snapshot
        except _GivenUpError:
            _logger.info("a checkpoint is given up, because training has ended")
        except ElasticdlError as error:
            # Training hears of it by itself, at its next call to the master.
            _logger.info("no more checkpoints: %s", error)
        except Exception as error:  # noqa: BLE001 - raised again in the trainer's thread
            self._error = error
        finally:
            self.close()

    def _next(self) -> _Snapshot | None:
        with self._changed:
            self._writing = False
            self._changed.notify_all()
            while self._waiting is None and not self._closed:
                self._changed.wait()
            snapshot, self._waiting = self._waiting, None
            self._writing = snapshot is not None
            return snapshot

    def _write(self, snapshot: _Snapshot) -> None:
        """Writes one checkpoint and has it published; says so when that fails."""
        start_s = time.monotonic()
        written = self._client.temporary_name(self._directory / f"checkpoint-{snapshot.step:09d}")
        try:
            written.mkdir(parents=True, exist_ok=True)
            files = {}
            for name, copies in snapshot.files.items():
                sha256 = write_variables(written / name, copies, self._check_wanted)
                files[name] = ((written / name).stat().st_size, sha256)
            if states := snapshot.callback_states:
                _write_through(written / CALLBACKS_FILE, states)
                files[CALLBACKS_FILE] = (len(states), hashlib.sha256(states).hexdigest())
            published = self._client.publish_checkpoint(written, snapshot.step, files)
        except (OSError, JobDirectoryError, InvalidRequestError) as error:
            _logger.warning(
                "the checkpoint of step %d could not be written to %s, training goes on without "
                "it: %s",
                snapshot.step,
                self._directory,
                error,
            )
        else:
            _logger.info("checkpoint written: %s (%.1f s)", published, time.monotonic() - start_s)
        finally:
            # Where it was published it is no longer there.
            shutil.rmtree(written, ignore_errors=True)

    def _check_wanted(self) -> None:
        if self._closed:
            raise _GivenUpError


def _yield_to_training() -> None:
    """Lets this thread have what the training leaves of the processor."""
    if sys.platform == "linux":  # elsewhere it would be the priority of the process
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST_PRIORITY)


def _write_through(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
