"""The directory that a conversion writes to: its plan, and which of its files are there."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from elasticdl_like.data_readers.conversion.plan import ConversionPlan
from elasticdl_like.data_readers.files.replacing import replacing
from elasticdl_like.errors import DataError

# Readers leave out names that begin with an underscore.
_PLAN_NAME = "_convert.json"
# What `replacing` leaves when its process is killed.
_UNFINISHED = re.compile(r"\.(_convert\.json|_upload\.json|data-\d+-of-\d+\..*)\.[0-9a-f]{32}\.tmp")


class Destination:
    """A directory that holds the files of one conversion, or will.

    A file that is there is whole, because it gets its name when it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._plan = path / _PLAN_NAME

    @contextmanager
    def own(self) -> Iterator[None]:
        """Makes the directory, and keeps it from other conversions as long as the block lasts.

        What a conversion that was killed had begun to write is removed.

        Raises:
            DataError: another conversion writes there, the directory holds something else, or it
                cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise DataError(f"{self.path} cannot be made: {error.strerror}") from error
        try:
            self._lock(descriptor)
            names = [entry.name for entry in self.path.iterdir()]
            unfinished = [name for name in names if _UNFINISHED.fullmatch(name)]
            if len(names) > len(unfinished) and not self._plan.exists():
                raise DataError(
                    f"{self.path} is not empty, and what is there is not of a conversion; nothing "
                    "was changed. Choose another directory"
                )
            for name in unfinished:
                (self.path / name).unlink(missing_ok=True)
            yield
        finally:
            os.close(descriptor)

    def saved_plan(self) -> str | None:
        """Returns the JSON of the plan of a conversion that was begun here, or None.

        Raises:
            DataError: it cannot be read.
        """
        try:
            return self._plan.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{self._plan} cannot be read: {error}") from error

    def save_plan(self, plan: ConversionPlan) -> None:
        """Writes the plan down, before any file of it.

        Raises:
            OSError: it cannot be written.
        """
        with replacing(self._plan) as file:
            file.write(plan.to_json().encode())

    def _lock(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(
                f"another conversion is writing to {self.path}; wait for it, or choose another "
                "directory"
            ) from None
        except OSError:
            # A file system without locks, such as some network ones. Two conversions at once would
            # write the same files, each as a whole.
            return
