"""What readers see of a file, wherever it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from elasticdl_like.errors import DataError


@dataclass(frozen=True, slots=True, order=True)
class SourceFile:
    """A file of a data source, as it was listed.

    Attributes:
        name: its path or URL; the name of its shard.
        size_bytes: its size.
        version: tells what it holds from any other contents that it had or will have: its size
            and modification time, or whatever else the storage has for it.
    """

    name: str
    size_bytes: int
    version: str


class RandomAccessFile(ABC):
    """A file that is open for reading, by any number of threads at once.

    It is closed when nobody has it any more, or with `close` or a `with` block, which must not be
    done while another thread reads.

    Attributes:
        name: its path or URL.
        size_bytes: its size when it was opened.
        version: as that of `SourceFile`, when it was opened.
        efficient_read_bytes: a read of fewer bytes takes about as long as one of this many.
    """

    efficient_read_bytes = 1 << 14

    def __init__(self, name: str, size_bytes: int, version: str) -> None:
        self.name = name
        self.size_bytes = size_bytes
        self.version = version

    def read(self, offset_bytes: int, size_bytes: int) -> bytes:
        """Returns exactly these bytes of the file.

        Raises:
            DataError: the file has not so many, or cannot be read.
        """
        data = self._read(offset_bytes, size_bytes) if size_bytes else b""
        if len(data) != size_bytes:
            raise DataError(
                f"{self.name}: the file shrank while it was read: it had {self.size_bytes} bytes, "
                f"but of the {size_bytes} at byte {offset_bytes} there are {len(data)}; "
                "leave data files alone while a job reads them"
            )
        return data

    def blocks(self, block_bytes: int) -> Iterator[bytes]:
        """Yields the whole file, in blocks of this size but for the last.

        Raises:
            DataError: the file cannot be read, or not to its end.
        """
        read_bytes = -(-self.efficient_read_bytes // block_bytes) * block_bytes
        for offset_bytes in range(0, self.size_bytes, read_bytes):
            data = self.read(offset_bytes, min(read_bytes, self.size_bytes - offset_bytes))
            if len(data) <= block_bytes:
                yield data
            else:
                for start in range(0, len(data), block_bytes):
                    yield data[start : start + block_bytes]

    def check_version(self, version: str) -> None:
        """Compares the file, as it is now, with an earlier version of it.

        Raises:
            DataError: it is another one.
        """
        found = self.current_version()
        if found != version:
            raise changed_file(self.name, version, found)

    @abstractmethod
    def current_version(self) -> str:
        """Returns the version of the opened file as it is now."""

    @abstractmethod
    def close(self) -> None:
        """Gives up what the system holds for the file."""

    @abstractmethod
    def _read(self, offset_bytes: int, size_bytes: int) -> bytes:
        """Returns these bytes, of which there is at least one; fewer if the file ends before."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def changed_file(name: str, expected_version: str, found_version: str) -> DataError:
    """Returns the error for a file that is not what it was."""
    return DataError(
        f"{name}: the file changed after it was indexed, from {expected_version} to "
        f"{found_version}; leave data files alone while a job reads them, and start the job again; "
        "copies of a file on several machines need equal modification times (cp -p, rsync -t)"
    )


@contextmanager
def os_errors_as_data_errors(name: str) -> Iterator[None]:
    """Turns an `OSError` of the block into a `DataError` that names the file."""
    try:
        yield
    except OSError as error:
        raise unreadable_file(name, error) from error


def unreadable_file(name: str, error: OSError) -> DataError:
    """Returns the error for a file that the operating system does not let us read."""
    return DataError(
        f"{name}: cannot be read: {error.strerror or error}; "
        "check that the path is right and readable from this machine"
    )
