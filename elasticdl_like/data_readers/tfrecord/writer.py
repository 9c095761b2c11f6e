"""The writer of TFRecord files."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast

from elasticdl_like.data_readers.files.replacing import replacing
from elasticdl_like.data_readers.tfrecord.format import encode_record
from elasticdl_like.errors import DataError


class TFRecordWriter:
    """Writes records to a TFRecord file; used as a context manager.

    The file appears whole or not at all: it is written under a hidden name in the same directory
    and renamed when the `with` block ends well, replacing what had the name before. An exception in
    the block removes it. The bytes are those that `tf.io.TFRecordWriter` writes; with gzip, the
    decompressed ones.

    Args:
        path: where the file is to appear. It is compressed by gzip when its name ends with `.gz`,
            by which readers know it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._opened: AbstractContextManager[BinaryIO] | None = None
        self._file: BinaryIO | None = None
        self._failed = False

    def __enter__(self) -> Self:
        """Opens the file.

        Raises:
            OSError: no file can be made in that directory.
        """
        is_gzip = self._path.name.lower().endswith(".gz")
        self._opened = _replacing_by_gzip(self._path) if is_gzip else replacing(self._path)
        self._file = self._opened.__enter__()
        return self

    def write(self, record: bytes) -> None:
        """Adds a record, which may be empty.

        Raises:
            TypeError: the record is not bytes.
            ValueError: the writer is not within its `with` block.
            OSError: the file cannot be written.
        """
        if not isinstance(record, bytes):
            raise TypeError(f"a record must be bytes, not {type(record).__name__}; encode it first")
        if self._file is None:
            raise ValueError("this TFRecordWriter is not open; write within its 'with' block")
        encoded = encode_record(record)
        try:
            self._file.write(encoded)
        except OSError:
            self._failed = True  # a part of the record may be in the file
            raise

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Gives the file its name, or removes it after an exception.

        Raises:
            DataError: an earlier write failed.
            OSError: the file cannot be written or renamed.
        """
        opened, self._opened, self._file = self._opened, None, None
        if opened is None:
            return
        if error is None and self._failed:
            error = DataError(
                f"{self._path}: an earlier write failed, and a part of a record may be in the "
                "file; write the file again from its first record"
            )
            opened.__exit__(type(error), error, None)
            raise error
        opened.__exit__(error_type, error, traceback)


@contextmanager
def _replacing_by_gzip(path: Path) -> Iterator[BinaryIO]:
    # Neither name nor time, so that the same records make the same file.
    with (
        replacing(path) as file,
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0) as compressed,
    ):
        yield cast(BinaryIO, compressed)
