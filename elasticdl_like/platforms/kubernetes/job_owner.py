"""Which root a job directory is of: another job of the same name may find it on the same volume."""

from __future__ import annotations

from pathlib import Path

from elasticdl_like.errors import JobDirectoryError
from elasticdl_like.master.checkpoints import replace_durably

_FILE = "kubernetes_root"


def belongs_to(directory: Path, root_uid: str) -> bool:
    """Returns whether the job in a directory is the one of this root, and not an earlier one.

    Raises:
        JobDirectoryError: it cannot be told.
    """
    try:
        return (directory / _FILE).read_text(encoding="ascii") == root_uid
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:
        raise JobDirectoryError(f"{directory / _FILE} cannot be read: {error}") from error


def give_to(directory: Path, root_uid: str) -> None:
    """Notes, for good, that the job in a directory is the one of this root.

    Raises:
        JobDirectoryError: that cannot be written.
    """
    written = directory / f".{_FILE}.tmp"
    try:
        written.write_text(root_uid, encoding="ascii")
        replace_durably(written, directory / _FILE)
    except OSError as error:
        raise JobDirectoryError(
            f"{directory / _FILE} cannot be written: {error.strerror}"
        ) from error
