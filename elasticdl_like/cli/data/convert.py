"""`elasticdl data convert`."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from elasticdl_like.cli.data.progress import progress_of
from elasticdl_like.cli.data.quantity import ByteSize, format_bytes, format_count
from elasticdl_like.cli.data.source import Source, source_of
from elasticdl_like.cli.options import option, reader_options
from elasticdl_like.errors import ConfigError, DataError

if TYPE_CHECKING:
    from elasticdl_like.data_readers.conversion.destination import Destination
    from elasticdl_like.data_readers.conversion.output_format import OutputFormat
    from elasticdl_like.data_readers.conversion.plan import ConversionPlan
    from elasticdl_like.data_readers.reading import DataReader

_FORMATS = ("recordio", "tfrecord", "parquet")
_DEFAULT_FILE_BYTES = 256 << 20


@click.command()
@click.argument("source")
@click.argument("destination")
@option(
    "--to",
    type=click.Choice(_FORMATS),
    help="The format of the files; by default that of DESTINATION's extension, or else recordio.",
)
@option(
    "--file_size",
    type=ByteSize(),
    help="About how large files become at most, such as 256MiB, which is the default without "
    "--records_per_file. The size of a record is estimated from a sample.",
)
@option("--records_per_file", type=click.IntRange(min=1), help="Records in each file but the last.")
@option(
    "--compressor",
    type=click.Choice(["none", "snappy", "gzip", "zstd"]),
    help="How files are compressed; by default snappy for recordio, none for tfrecord, zstd for "
    "parquet.",
)
@option(
    "--dialect",
    type=click.Choice(["go", "python"]),
    help="The dialect of recordio files; by default go.",
)
@option(
    "--num_workers",
    type=click.IntRange(min=1),
    help="Processes that write files at once; by default one for each processor.",
)
@reader_options
def convert(
    source: str,
    destination: str,
    to: str | None,
    file_size: int | None,
    records_per_file: int | None,
    compressor: str | None,
    dialect: str | None,
    num_workers: int | None,
    **flags: Any,
) -> None:
    """Writes the records of SOURCE to files in directory DESTINATION.

    They are the same records in the same order, in files named data-00000-of-00012.recordio and so
    on. Each file appears when it is whole. A conversion that was cut off, by whatever, goes on with
    the files that are missing when the same command runs again.

    Records that are bytes are written as they are: into a column named record in Parquet. Columns
    stay columns in Parquet, where text is of type binary; for recordio and tfrecord each row
    becomes a tf.train.Example.
    """
    from elasticdl_like.data_readers.conversion.destination import Destination
    from elasticdl_like.data_readers.conversion.output_format import make_output_format
    from elasticdl_like.data_readers.conversion.run import PlannedFile, write_files

    if "://" in destination:
        raise ConfigError(
            f"{destination}: files are written to a local directory; copy them from there"
        )
    start_s = time.monotonic()
    output_format = make_output_format(
        to or _format_of_name(destination), compressor or "", dialect or ""
    )
    data = source_of(source, flags)
    directory = Destination(Path(destination))
    with directory.own():
        plan = _plan(data, directory, output_format, file_size, records_per_file)
        files = [
            PlannedFile(directory.path / name, tasks)
            for name, tasks in zip(plan.file_names(output_format.suffix), plan.files(), strict=True)
        ]
        missing = [file for file in files if not file.path.exists()]
        if len(missing) < len(files):
            there = len(files) - len(missing)
            click.echo(f"{there:,} of {format_count(len(files), 'file')} there already")
        processes = num_workers or len(os.sched_getaffinity(0))
        with progress_of("converting", "records") as show:
            write_files(data.make_reader, missing, output_format, processes, show)
    size_bytes = sum(file.path.stat().st_size for file in files)
    click.echo(
        f"{format_count(plan.num_records, 'record')} in "
        f"{format_count(len(files), f'{output_format.name} file')} in {destination}: "
        f"{format_bytes(size_bytes)}, {time.monotonic() - start_s:.1f} s"
    )


def _plan(
    data: Source,
    directory: Destination,
    output_format: OutputFormat,
    file_bytes: int | None,
    records_per_file: int | None,
) -> ConversionPlan:
    from elasticdl_like.data_readers.conversion.plan import ConversionPlan, planned_before
    from elasticdl_like.data_readers.reading import list_shards

    reader = data.make_reader()
    shards = list_shards(reader)
    if file_bytes is None and records_per_file is None:
        file_bytes = _DEFAULT_FILE_BYTES
    settings = {
        "reader": type(reader).__name__,
        "--custom_data_reader_params": dict(data.data.reader_params),
        "--to": output_format.name,
        "--compressor": output_format.compressor,
        "--dialect": output_format.dialect,
        "--file_size": file_bytes,
        "--records_per_file": records_per_file,
    }
    saved = directory.saved_plan()
    if saved is not None:
        try:
            planned = planned_before(saved, settings, shards)
        except DataError as error:
            raise DataError(
                f"{directory.path} holds another conversion: {error}; nothing was changed. Use the "
                "same flags to go on with it, or choose another directory"
            ) from error
        return ConversionPlan(settings, shards, planned)
    total = sum(shard.count for shard in shards)
    chosen = min(records_per_file or total, total)
    if file_bytes is not None:
        chosen = min(chosen, _records_of_size(reader, shards, output_format, file_bytes))
    plan = ConversionPlan(settings, shards, chosen)
    directory.save_plan(plan)
    return plan


def _records_of_size(
    reader: DataReader, shards: Any, output_format: OutputFormat, file_bytes: int
) -> int:
    from elasticdl_like.data_readers.conversion.estimate import estimate_record_bytes
    from elasticdl_like.data_readers.conversion.plan import records_per_file_of_size

    total = sum(shard.count for shard in shards)
    record_bytes = estimate_record_bytes(reader, shards, output_format)
    records = records_per_file_of_size(total, record_bytes, file_bytes)
    if records < total:
        click.echo(
            f"{format_count(records, 'record')} a file, about "
            f"{format_bytes(records * record_bytes)}: a sample took {record_bytes:,.1f} bytes a "
            "record"
        )
    return records


def _format_of_name(destination: str) -> str:
    extension = Path(destination).suffix.removeprefix(".").lower()
    return extension if extension in _FORMATS else "recordio"
