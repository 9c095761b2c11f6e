"""Files of this machine's file system."""

from __future__ import annotations

import glob
import os
import stat
import weakref
from pathlib import Path

from elasticdl_like.data_readers.files.source import (
    RandomAccessFile,
    SourceFile,
    os_errors_as_data_errors,
    unreadable_file,
)
from elasticdl_like.errors import DataError


class LocalFile(RandomAccessFile):
    """A file of this machine's file system.

    One that is replaced by another file of the same name is read on as it was.

    Raises:
        DataError: there is no such file, it is not a regular file, or it cannot be read.
    """

    def __init__(self, name: str) -> None:
        with os_errors_as_data_errors(name):
            # Asked before opening, because opening a named pipe waits for its other end.
            _check_regular(name, Path(name).stat())
            self._descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
            self._close = weakref.finalize(self, os.close, self._descriptor)
            status = os.fstat(self._descriptor)
        self._mtime_ns = status.st_mtime_ns
        super().__init__(name, status.st_size, _version(status))

    def current_version(self) -> str:
        """Returns the version of the opened file as it is now."""
        with os_errors_as_data_errors(self.name):
            status = os.fstat(self._descriptor)
        # Asked for with every read, so the usual answer is not made anew.
        if status.st_size == self.size_bytes and status.st_mtime_ns == self._mtime_ns:
            return self.version
        return _version(status)

    def close(self) -> None:
        """Closes the file; does nothing the second time."""
        self._close()

    def read(self, offset_bytes: int, size_bytes: int) -> bytes:
        """Returns exactly these bytes of the file; raises a `DataError` otherwise."""
        # There is a read for each chunk of a file that is indexed, so that the usual case is kept
        # as short as it can be.
        try:
            data = os.pread(self._descriptor, size_bytes, offset_bytes)
        except OSError as error:
            raise unreadable_file(self.name, error) from error
        return data if len(data) == size_bytes else super().read(offset_bytes, size_bytes)

    def _read(self, offset_bytes: int, size_bytes: int) -> bytes:
        with os_errors_as_data_errors(self.name):
            data = bytearray()
            while len(data) < size_bytes:  # a single call stops at 2 GiB
                left_bytes = size_bytes - len(data)
                more = os.pread(self._descriptor, left_bytes, offset_bytes + len(data))
                if not more:
                    break
                data += more
        return bytes(data)


def list_local_files(data_origin: str) -> list[SourceFile] | None:
    """Returns the files that a path or a glob pattern names, or None if there is no such path.

    Hidden files, and those whose names begin with `_`, count only when they are meant.

    Raises:
        DataError: something among them is not a regular file, or cannot be read.
    """
    with os_errors_as_data_errors(data_origin):
        origin = Path(data_origin)
        if origin.is_dir():
            # Not joined by `Path`, which would write "./data" in another way than it was given.
            directory = data_origin.rstrip("/")
            with os.scandir(data_origin) as entries:
                names = [f"{directory}/{entry.name}" for entry in entries if is_data(entry.name)]
        elif origin.exists():
            names = [data_origin]
        elif glob.has_magic(data_origin):
            names = glob.glob(data_origin, recursive=True)  # noqa: PTH207 - absolute too
            if is_data(origin.name):
                names = [name for name in names if is_data(Path(name).name)]
        else:
            return None
    return [_source_file(name, data_origin) for name in names]


def is_data(file_name: str) -> bool:
    """Returns whether a file of this name counts when a whole directory is read."""
    return file_name[:1] not in (".", "_")


def _source_file(name: str, data_origin: str) -> SourceFile:
    with os_errors_as_data_errors(name):
        status = os.stat(name)  # noqa: PTH116 - twice as fast, and there may be very many
    if stat.S_ISDIR(status.st_mode):
        raise directory_among_files(name, data_origin)
    _check_regular(name, status)
    return SourceFile(name, status.st_size, _version(status))


def directory_among_files(name: str, data_origin: str) -> DataError:
    """Returns the error for a directory where files are expected."""
    return DataError(
        f"{name}: a directory among the data files of {data_origin}; "
        "directories are not searched, so move it or name the files with a glob pattern"
    )


def _check_regular(name: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"{name}: not a regular file; name a file with data")


def _version(status: os.stat_result) -> str:
    return f"size={status.st_size},mtime_ns={status.st_mtime_ns}"
