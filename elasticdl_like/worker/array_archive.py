"""What goes wrong when a damaged archive of arrays, as `numpy.savez` writes it, is read."""

from __future__ import annotations

import struct
import zipfile
import zlib

DAMAGE_ERRORS = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    MemoryError,
    RuntimeError,  # of zipfile, for an entry that claims to be encrypted or of a later version
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
"""The errors of `numpy.load`, and of looking for what should be in there."""
