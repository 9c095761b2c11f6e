"""How many events a journal has had, kept outside of it.

SQLite takes a log that ends early for one that was never longer. This number tells the two apart.
It is not synchronised to the disk: it survives the death of the process, and is as good as the
journal itself when the power fails.
"""

from __future__ import annotations

import os
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_LENGTH_BYTES = 64


class Watermark:
    """The number of the last durable event, in a file of its own.

    Args:
        path: the file; made when it is not there.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._boot = _BOOT_ID.read_text(encoding="ascii").strip() if _BOOT_ID.exists() else "-"
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._file = os.fdopen(handle, "r+b", buffering=0)

    def read(self) -> tuple[int, bool]:
        """Returns the number, and whether the machine was started anew since; 0 for none."""
        line = os.pread(self._file.fileno(), _LENGTH_BYTES, 0)
        sequence, _, boot = line.decode("ascii", errors="replace").partition(" ")
        if not sequence.isdigit():
            return 0, False
        return int(sequence), boot.strip() != self._boot

    def write(self, sequence: int) -> None:
        """Keeps a number.

        Raises:
            OSError: it cannot be written.
        """
        line = f"{sequence} {self._boot}".encode("ascii")
        os.pwrite(self._file.fileno(), line.ljust(_LENGTH_BYTES), 0)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
