"""Files behind `http://` and `https://`."""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from elasticdl_like.data_readers.files.remote import RemoteFile, remote_errors_as_data_errors
from elasticdl_like.data_readers.files.source import RandomAccessFile, changed_file
from elasticdl_like.errors import DataError, ElasticdlError

_TRIES = 3
_FIRST_PAUSE_S = 0.2
_CHANGED_STATUSES = (412, 416)  # another tag than asked for; no such bytes
_BUSY_STATUSES = (408, 429, 500, 502, 503, 504)

_T = TypeVar("_T")
_logger = logging.getLogger(__name__)

# Directories of servers that are known to give out parts of files.
_directories_with_ranges: set[str] = set()

# Files that were fetched as a whole, by URL and version, the newest last.
_MAX_FETCHED_FILES = 8
_fetched: OrderedDict[tuple[str, str], FetchedFile] = OrderedDict()
_fetching = threading.Lock()


def open_http_file(url: str) -> RandomAccessFile:
    """Opens a file; fetches all of it if the server does not give out parts.

    Raises:
        ConfigError: a package is missing.
        DataError: there is no such file, or the server cannot be reached.
    """
    file = HttpFile(url)
    directory = url.rpartition("/")[0]
    if directory in _directories_with_ranges or file.size_bytes <= 1:
        return file
    with _fetching:  # one at a time, or it would be fetched by all threads that want it
        key = (url, file.version)
        if key not in _fetched:
            if file.gives_ranges():
                _directories_with_ranges.add(directory)
                return file
            _logger.warning(
                "%s: the server does not give out parts of files, so all %d bytes are fetched and "
                "kept in a temporary file",
                url,
                file.size_bytes,
            )
            _fetched[key] = FetchedFile(file)
            while len(_fetched) > _MAX_FETCHED_FILES:
                _fetched.popitem(last=False)
        _fetched.move_to_end(key)
        return _fetched[key]


class HttpFile(RemoteFile):
    """A file of a server that gives out parts of it.

    What is lost on the way is asked for again. Where the server has strong tags for contents, all
    that is read is of the version that was opened.
    """

    def gives_ranges(self) -> bool:
        """Asks for the second byte, and returns whether the server sends just that.

        Raises:
            DataError: the server cannot be reached.
        """

        def second_byte() -> bool:
            with self._system.open(self._path, size=self.size_bytes, cache_type="none") as file:
                file.seek(1)
                try:
                    return len(file.read(1)) == 1
                except ValueError:
                    return False  # as fsspec says it, without having read what was sent instead

        return self._repeated(second_byte)

    def fetch(self, descriptor: int) -> None:
        """Writes the whole file to a file that is open.

        Raises:
            DataError: the server cannot be reached, or did not send the whole file.
        """

        def whole() -> None:
            os.ftruncate(descriptor, 0)
            with os.fdopen(descriptor, "wb", closefd=False) as file:
                file.seek(0)
                self._system.get_file(self._path, file)

        self._repeated(whole)
        found_bytes = os.fstat(descriptor).st_size
        if found_bytes != self.size_bytes:
            raise DataError(
                f"{self.name}: the server said {self.size_bytes} bytes but sent {found_bytes}; "
                "leave data files alone while a job reads them"
            )

    def _read(self, offset_bytes: int, size_bytes: int) -> bytes:
        headers = {"Accept-Encoding": "identity"}  # or the range would be one of compressed bytes
        tag = self.version.partition(",ETag=")[2]
        if tag.startswith('"'):
            headers["If-Match"] = tag

        def part() -> bytes:
            end = offset_bytes + size_bytes
            try:
                data: bytes = self._system.cat_file(
                    self._path, start=offset_bytes, end=end, headers=headers
                )
            except Exception as error:
                if _status(error) not in _CHANGED_STATUSES:
                    raise
                found = self._look_up(self.name).version
                raise changed_file(self.name, self.version, found) from error
            return data

        return self._repeated(part)

    def _repeated(self, request: Callable[[], _T]) -> _T:
        with remote_errors_as_data_errors(self.name):
            for number in range(_TRIES - 1):
                try:
                    return request()
                except Exception as error:
                    if not _may_pass(error):
                        raise
                    _logger.info("%s: asking again after %r", self.name, error)
                    time.sleep(_FIRST_PAUSE_S * 2**number)
            return request()


def _may_pass(error: Exception) -> bool:
    status = _status(error)
    if status is not None:
        return status in _BUSY_STATUSES
    return not isinstance(error, FileNotFoundError | ElasticdlError)


def _status(error: Exception) -> int | None:
    """Returns the status code of a server's refusal; None for errors of other kinds."""
    return getattr(error, "status", None)


class FetchedFile(RandomAccessFile):
    """The whole of a file in a temporary one, which goes when nobody has this object any more.

    Raises:
        DataError: the file cannot be fetched.
    """

    def __init__(self, file: HttpFile) -> None:
        super().__init__(file.name, file.size_bytes, file.version)
        self._file = file
        temporary = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - for as long as this lives
        weakref.finalize(self, temporary.close)
        self._descriptor = temporary.fileno()
        file.fetch(self._descriptor)

    def current_version(self) -> str:
        """Returns the version that the server had a short time ago, at least."""
        return self._file.current_version()

    def close(self) -> None:
        """Does nothing: others may have the same file open."""

    def _read(self, offset_bytes: int, size_bytes: int) -> bytes:
        with remote_errors_as_data_errors(self.name):
            return os.pread(self._descriptor, size_bytes, offset_bytes)
