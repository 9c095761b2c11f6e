"""The master's part of a checkpoint: the manifest that joins model and data, and publication.

A checkpoint is a directory `checkpoint-<step>`:

    …               what the worker has written, the state of model and optimizer
    shards.json     the shards of the training data
    manifest.json   step, epoch, seed, position in the data, size and SHA-256 of each file

It becomes one by a rename, so that whatever has this name is complete.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elasticdl_like.errors import CorruptDataError, DataError, JobDirectoryError
from elasticdl_like.master.data_changes import fingerprint
from elasticdl_like.master.plan import Mark
from elasticdl_like.master.shard_codec import (
    shards_from_plain,
    shards_to_plain,
    without_locations,
)
from elasticdl_like.tasks import Shard

_MANIFEST = "manifest.json"
_SHARDS = "shards.json"
_FORMAT = 2


@dataclass(frozen=True)
class SavedPosition:
    """Where in the data a checkpoint was made.

    Attributes:
        mark: what was committed.
        shards: the training data of that epoch.
        directory: the checkpoint.
    """

    mark: Mark
    shards: Sequence[Shard]
    directory: Path


def checkpoint_path(directory: Path, step: int) -> Path:
    """Returns where the checkpoint of a step is."""
    return directory / f"checkpoint-{step:09d}"


def is_complete(checkpoint: Path) -> bool:
    """Returns whether there is a whole checkpoint."""
    return (checkpoint / _MANIFEST).is_file()


def newest_checkpoint(path: Path) -> Path:
    """Returns the checkpoint itself, or the newest of those in a directory.

    Raises:
        DataError: there is none.
    """
    if is_complete(path):
        return path
    found = [each for each in sorted(path.glob("checkpoint-*")) if is_complete(each)]
    if not found:
        raise DataError(f"there is no checkpoint in {path}")
    return found[-1]


def publish_checkpoint(
    written: Path,
    published: Path,
    mark: Mark,
    shards: Sequence[Shard],
    files: Mapping[str, tuple[int, str]],
    details: Mapping[str, Any],
) -> None:
    """Adds the master's files to what a worker has written, and renames it.

    Args:
        written: the directory that the worker has written.
        published: its name from now on.
        mark: what was committed at its step.
        shards: the training data of that epoch.
        files: size in bytes and SHA-256 of each file of the worker.
        details: further facts about the job.

    Raises:
        JobDirectoryError: a file cannot be written, or the directory not renamed.
    """
    try:
        body = json.dumps(shards_to_plain(without_locations(shards))).encode()
        _write_durably(written / _SHARDS, body)
        manifest = {
            "format": _FORMAT,
            "step": mark.step,
            "epoch": mark.epoch,
            **details,
            "data_fingerprint": fingerprint(shards),
            "ledger": mark.to_plain() | {"checkpoint": "", "table": 0},
            "files": {
                name: {"size_bytes": size_bytes, "sha256": sha256}
                for name, (size_bytes, sha256) in {
                    **files,
                    _SHARDS: (len(body), hashlib.sha256(body).hexdigest()),
                }.items()
            },
        }
        _write_durably(written / _MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())
        replace_durably(written, published)
    except OSError as error:
        raise JobDirectoryError(
            f"the checkpoint {written} cannot be published as {published}: {error.strerror}"
        ) from error


def read_position(path: Path) -> SavedPosition:
    """Reads where in the data a checkpoint was made.

    Args:
        path: a checkpoint, or a directory whose newest is taken.

    Raises:
        DataError: there is no checkpoint, or it was made by a newer version.
        CorruptDataError: a file of it is not as it was written.
    """
    checkpoint = newest_checkpoint(path)
    manifest_path, shards_path = checkpoint / _MANIFEST, checkpoint / _SHARDS
    try:
        manifest = json.loads(manifest_path.read_bytes())
        if manifest["format"] != _FORMAT:
            raise DataError(
                f"{checkpoint} was made by another version of elasticdl (format "
                f"{manifest['format']}, this version reads {_FORMAT}); use that version, or take "
                "just the weights: --checkpoint_dir_for_init"
            )
        body = shards_path.read_bytes()
        if hashlib.sha256(body).hexdigest() != manifest["files"][_SHARDS]["sha256"]:
            raise CorruptDataError(str(shards_path), 0, "not as it was written (see manifest.json)")
        mark = Mark(**manifest["ledger"])
        shards = shards_from_plain(json.loads(body))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"the checkpoint {checkpoint} cannot be read: {error!r}") from error
    return SavedPosition(
        Mark(**(mark.to_plain() | {"checkpoint": str(checkpoint)})), shards, checkpoint
    )


def remove_checkpoint(path: Path) -> None:
    """Removes a checkpoint; when that is cut off, what is left is not a checkpoint any more."""
    if path.exists():
        gone = path.with_name(f".{path.name}.removed")
        shutil.rmtree(gone, ignore_errors=True)
        path.rename(gone)
        shutil.rmtree(gone)


def remove_unfinished(directory: Path) -> None:
    """Removes what was being written to a directory of checkpoints when its writer died."""
    for path in directory.glob(".checkpoint-*"):
        shutil.rmtree(path, ignore_errors=True)


def replace_durably(written: Path, published: Path) -> None:
    """Renames a file or a directory, also over an older one of the same kind.

    Raises:
        OSError: that cannot be done.
    """
    if published.is_dir():
        # A directory cannot be renamed over another; the old one steps aside for the moment.
        old = published.with_name(f".{published.name}.removed")
        shutil.rmtree(old, ignore_errors=True)
        published.rename(old)
        written.rename(published)
        shutil.rmtree(old)
    else:
        written.replace(published)
    _synchronise(published.parent)


def _write_durably(path: Path, body: bytes) -> None:
    with path.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())


def _synchronise(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
