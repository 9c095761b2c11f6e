"""The files that a conversion writes: of which format, and how they are written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from elasticdl_like.data_readers.base import RecordBatch
from elasticdl_like.data_readers.conversion.rows import as_bytes_or_columns, as_records
from elasticdl_like.errors import ConfigError

COMPRESSORS: Mapping[str, Sequence[str]] = {
    "recordio": ("snappy", "gzip", "none"),
    "tfrecord": ("none", "gzip"),
    "parquet": ("zstd", "snappy", "gzip", "none"),
}
"""By format, how its files can be compressed; the default comes first."""

WriteBatch = Callable[[RecordBatch, Sequence[str]], None]
"""Adds the records of a batch to a file, given the names of columns of records that are tuples."""


@dataclass(frozen=True)
class OutputFormat:
    """The format of the files.

    Attributes:
        name: a key of `COMPRESSORS`.
        compressor: one of the format's.
        dialect: that of RecordIO files, `go` or `python`; "" for other formats.
    """

    name: str
    compressor: str
    dialect: str = ""

    @property
    def suffix(self) -> str:
        """How the names of the files end."""
        is_gzip = self.name == "tfrecord" and self.compressor == "gzip"
        return f".{self.name}.gz" if is_gzip else f".{self.name}"

    @contextmanager
    def open(self, path: Path) -> Iterator[WriteBatch]:
        """Writes a file, which appears whole at the end of the block, or not at all.

        Raises:
            DataError: records that the format cannot hold.
            ConfigError: the format needs a package that is missing.
            OSError: the file cannot be written.
        """
        # The formats are imported when they are needed: Parquet's takes pyarrow.
        if self.name == "parquet":
            from elasticdl_like.data_readers.parquet.writer import ParquetWriter

            with ParquetWriter(path, compression=self.compressor) as parquet:
                yield lambda batch, names: parquet.write_batch(as_bytes_or_columns(batch, names))
            return
        if self.name == "tfrecord":
            from elasticdl_like.data_readers.tfrecord.writer import TFRecordWriter

            with TFRecordWriter(path) as tfrecord:
                yield _each_record(tfrecord.write)
            return
        from elasticdl_like.data_readers.recordio import Compressor, Dialect, RecordIOWriter

        with RecordIOWriter(
            path, dialect=Dialect(self.dialect), compressor=Compressor(self.compressor)
        ) as recordio:
            yield _each_record(recordio.write)


def make_output_format(name: str, compressor: str, dialect: str) -> OutputFormat:
    """Returns the format that flags ask for.

    Args:
        name: a key of `COMPRESSORS`.
        compressor: "" for the default of the format.
        dialect: "" for the default, Go's; only RecordIO has dialects.

    Raises:
        ConfigError: the format has no such compressor, or no dialects.
    """
    if compressor and compressor not in COMPRESSORS[name]:
        raise ConfigError(
            f"--compressor {compressor}: {name} files are compressed by "
            f"{' or '.join(COMPRESSORS[name])}"
        )
    if dialect and name != "recordio":
        raise ConfigError(f"--dialect {dialect}: only recordio files have a dialect, not {name}")
    chosen_dialect = (dialect or "go") if name == "recordio" else ""
    return OutputFormat(name, compressor or COMPRESSORS[name][0], chosen_dialect)


def _each_record(write: Callable[[bytes], None]) -> WriteBatch:
    def write_batch(batch: RecordBatch, column_names: Sequence[str]) -> None:
        for record in as_records(batch, column_names):
            write(record)

    return write_batch
