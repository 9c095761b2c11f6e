"""Blocks of records as they go over the wire, before any of it is sent."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

from numpy.typing import NDArray

from elasticdl_like.data_readers.extras import import_extra
from elasticdl_like.data_readers.odps.output_columns import OutputColumns

_writer = import_extra("odps.tunnel.io.writer", "odps", "MaxCompute tables")

_ROWS_AT_ONCE = 1 << 14
# More than this goes to a file in the directory for temporary ones.
_MAX_BYTES_IN_MEMORY = 32 << 20
_PIECE_BYTES = 1 << 18


class Block:
    """Encodes records, and keeps the bytes, so that they can be sent again and again.

    A context manager, because large blocks are kept in a temporary file.

    Args:
        columns: those of the table.
        call: runs a function that uses pyodps.

    Attributes:
        count: how many records there are.
    """

    def __init__(self, columns: OutputColumns, call: Callable[[Callable[[], Any]], Any]) -> None:
        self._columns = columns
        self._call = call
        self._file = tempfile.SpooledTemporaryFile(_MAX_BYTES_IN_MEMORY)  # noqa: SIM115
        self._encoder = call(lambda: _ArrowEncoder(columns.schema, self._file))
        self.count = 0

    def __enter__(self) -> Self:
        """Returns the block."""
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Removes what is kept."""
        self._file.close()

    def add(self, columns: Mapping[str, NDArray[Any]]) -> None:
        """Adds records.

        Args:
            columns: as `OutputColumns.arrow_table` takes them.

        Raises:
            DataError: they do not fit the table.
            OSError: the temporary file cannot be written.
        """
        table = self._columns.arrow_table(columns)
        for batch in table.to_batches(_ROWS_AT_ONCE):
            if batch.num_rows:
                self._call(functools.partial(self._encoder.write, batch))
                self.count += batch.num_rows

    def end(self) -> None:
        """Ends the block; no records come any more.

        Raises:
            OSError: the temporary file cannot be written.
        """
        self._call(self._encoder.close)

    def pieces(self) -> Iterator[bytes]:
        """Yields the bytes, from the beginning."""
        self._file.seek(0)
        while piece := self._file.read(_PIECE_BYTES):
            yield piece


class _ArrowEncoder(_writer.BaseArrowWriter):  # type: ignore[misc,name-defined]
    """The chunks and checksums of pyodps, without its conversions, which need pandas."""

    def write(self, batch: Any) -> None:
        rest = memoryview(batch.serialize())
        while rest:
            fitting = self._chunk_size - self._cur_chunk_size
            self._write_chunk(rest[:fitting].tobytes())
            rest = rest[fitting:]
