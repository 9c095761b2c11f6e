"""The folder that a job's files of predictions are in: parts that appear whole, each once.

A worker writes a part under `_temporary/`, and commits the records with the part's name. Only then
the master gives the part its name in the folder itself. What a worker wrote and did not commit is
never seen. When all parts are there, `_SUCCESS` says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from elasticdl_like.errors import ConfigError, DataError
from elasticdl_like.prediction_outputs.storage import open_storage

_TEMPORARY = "_temporary"
_JOB = f"{_TEMPORARY}/_job.json"
_SUCCESS = "_SUCCESS"
# Nothing in it leads out of the folder.
_PART = re.compile(r"part-[0-9A-Za-z_-]+\.[a-z]+")


def part_name(incarnation: str, number: int, suffix: str) -> str:
    """Returns the name of a part that no other process writes.

    Args:
        incarnation: names the worker's process.
        number: counts the parts of that process, from 1.
        suffix: how names end in the format, without a dot.
    """
    return f"part-{incarnation}-{number:05}.{suffix}"


class OutputFolder:
    """A folder of predictions; every method may be called again after a crash anywhere in it.

    Args:
        url: its path or URL.

    Raises:
        ConfigError: the scheme is unknown, or needs a package that is missing.
    """

    def __init__(self, url: str) -> None:
        self._storage = open_storage(url)

    def prepare(self, job_id: str, overwrite: bool) -> None:
        """Makes the folder that of a job, before its first part; does nothing if it is that.

        Args:
            job_id: names the job, and no other one.
            overwrite: whether the predictions of another job are removed.

        Raises:
            ConfigError: the folder holds the predictions of another job, or something else.
            DataError: it cannot be read or written.
        """
        storage = self._storage
        names = [name for name in storage.names() if not name.startswith(".")]
        found = self._job_id() if names else None
        if found == job_id:
            return
        # The last case is that of a crash before it was said whose folder it is.
        if names and (found is not None or names != [_TEMPORARY]):
            foreign = [name for name in sorted(names) if not _is_output(name)]
            if foreign:
                raise ConfigError(
                    f"{storage.url} holds {foreign[0]!r}, which is not of predictions; nothing was "
                    "changed. Name another folder with --prediction_output"
                )
            if not overwrite:
                raise ConfigError(
                    f"{storage.url} holds predictions of another job; name another folder with "
                    "--prediction_output, or have them removed with --overwrite"
                )
            # What makes it look finished goes first.
            for name in sorted(names, key=lambda name: (name != _SUCCESS, name)):
                storage.remove(name)
        storage.make_folder(_TEMPORARY)
        storage.write(_JOB, json.dumps({"job_id": job_id}).encode())

    def write_part(self, name: str, data: bytes) -> None:
        """Writes a part under its temporary name.

        Args:
            name: as `part_name` returns it.
            data: the whole file.

        Raises:
            DataError: it cannot be written.
        """
        self._storage.write(_temporary(name), data)

    def drop_part(self, name: str) -> None:
        """Removes a part that was not committed.

        Raises:
            DataError: it cannot be removed.
        """
        self._storage.remove(_temporary(name))

    def publish(self, name: str) -> None:
        """Gives a part its name in the folder, unless it has it.

        Raises:
            DataError: there is no such part, or it cannot be renamed.
        """
        storage = self._storage
        temporary = _temporary(name)
        if storage.exists(temporary):
            storage.move(temporary, name)
        elif not storage.exists(name):
            raise DataError(
                f"{storage.path_of(temporary)} is missing, although its predictions were counted; "
                "somebody has removed it. Predict again, into another folder"
            )

    def finish(self, document: Mapping[str, Any]) -> None:
        """Says that all parts are there, and removes what was written and never counted.

        Args:
            document: what to say of the output; JSON values.

        Raises:
            DataError: it cannot be written.
        """
        told = json.dumps({"job_id": self._job_id(), **document}, indent=1)
        # What a crash leaves of writing it is removed with everything else that is temporary.
        self._storage.make_folder(_TEMPORARY)
        self._storage.write(f"{_TEMPORARY}/{_SUCCESS}", told.encode() + b"\n")
        self._storage.move(f"{_TEMPORARY}/{_SUCCESS}", _SUCCESS)
        self.clean()

    def success(self) -> dict[str, Any]:
        """Returns what was said of the output when all of its parts were there.

        Raises:
            DataError: nothing was said yet, or it cannot be read.
        """
        data = self._storage.read(_SUCCESS)
        if data is None:
            raise DataError(
                f"{self._storage.path_of(_SUCCESS)} is missing: not all parts are there"
            )
        document: dict[str, Any] = json.loads(data)
        return document

    def clean(self) -> None:
        """Removes all parts that were not published, and the place for them.

        Raises:
            DataError: they cannot be removed.
        """
        self._storage.remove(_TEMPORARY)

    def _job_id(self) -> str | None:
        """Returns the job that the folder belongs to, or None if that is not to be found."""
        for name in (_JOB, _SUCCESS):
            data = self._storage.read(name)
            if data is not None:
                try:
                    return str(json.loads(data)["job_id"])
                except (ValueError, TypeError, KeyError):
                    return None  # of another version, or damaged
        return None


def _is_output(name: str) -> bool:
    return name in (_SUCCESS, _TEMPORARY) or _PART.fullmatch(name) is not None


def _temporary(name: str) -> str:
    if not _PART.fullmatch(name):
        raise DataError(f"{name!r} is no name of a part of predictions")
    return f"{_TEMPORARY}/{name}"
