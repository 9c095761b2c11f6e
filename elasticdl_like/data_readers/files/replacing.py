"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Opens a file that takes the name `path` if the block ends well, and else is removed.

    Until then it has a hidden name in the same directory.

    Raises:
        OSError: no file can be made in that directory, written or renamed.
    """
    temporary_path = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary_path.open("xb") as file:
            yield file
            file.flush()
            # Without this a power loss could leave the new name on an empty file, which is a
            # valid file without records in some formats.
            os.fsync(file.fileno())
        temporary_path.replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary_path.unlink()
        raise
