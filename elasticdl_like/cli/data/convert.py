"""`elasticdl data convert`."""

from __future__ import annotations

import functools
import os
import time
from pathlib import Path
from typing import Any

import click

from elasticdl_like.cli.data.convert_plan import (
    records_of_size,
    saved_or_new_plan,
    source_settings,
)
from elasticdl_like.cli.data.convert_to_table import convert_to_table
from elasticdl_like.cli.data.progress import progress_of
from elasticdl_like.cli.data.quantity import ByteSize, format_bytes, format_count
from elasticdl_like.cli.data.source import source_of
from elasticdl_like.cli.flag import option
from elasticdl_like.cli.flag_groups import reader_options
from elasticdl_like.errors import ConfigError

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
@option(
    "--work_dir",
    default="",
    help="Where the progress of a conversion into a table is written down; by default a directory "
    "named by the table, here.",
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
    work_dir: str,
    **flags: Any,
) -> None:
    """Writes the records of SOURCE to files in directory DESTINATION, or to an odps:// table.

    They are the same records in the same order, in files named data-00000-of-00012.recordio and so
    on. Each file appears when it is whole. A conversion that was cut off, by whatever, goes on with
    the files that are missing when the same command runs again.

    Records that are bytes are written as they are: into a column named record in Parquet. Columns
    stay columns in Parquet, where text is of type binary; for recordio and tfrecord each row
    becomes a tf.train.Example.

    DESTINATION odps://project/table, or odps://project/table/ds=20260101 for a partition, is a
    table of MaxCompute, which is made if it is missing. The records appear in it all at once, at
    the end, and just once; a "file" is a block of the upload then, of 64MiB by default. The
    credentials are those in the environment.
    """
    from elasticdl_like.data_readers.conversion.destination import Destination
    from elasticdl_like.data_readers.conversion.output_format import make_output_format
    from elasticdl_like.data_readers.conversion.run import PlannedPart, write_parts
    from elasticdl_like.data_readers.reading import list_shards

    if destination.lower().startswith("odps://"):
        for name, value in (("to", to), ("compressor", compressor), ("dialect", dialect)):
            if value is not None:
                raise ConfigError(f"--{name} {value}: {destination} is a table, not files")
        retry_timeout_s = flags["odps_retry_timeout"]
        if not source.lower().startswith("odps://"):
            flags["odps_retry_timeout"] = None
        convert_to_table(
            source_of(source, flags),
            destination,
            work_dir,
            retry_timeout_s,
            file_size,
            records_per_file,
            num_workers,
        )
        return
    if "://" in destination:
        raise ConfigError(
            f"{destination}: files are written to a local directory; copy them from there"
        )
    if work_dir:
        raise ConfigError(f"--work_dir {work_dir} is for tables; files need none")
    start_s = time.monotonic()
    output_format = make_output_format(
        to or _format_of_name(destination), compressor or "", dialect or ""
    )
    if file_size is None and records_per_file is None:
        file_size = _DEFAULT_FILE_BYTES
    data = source_of(source, flags)
    directory = Destination(Path(destination))
    with directory.own():
        reader = data.make_reader()
        shards = list_shards(reader)
        total = sum(shard.count for shard in shards)

        def choose_records_per_file() -> int:
            chosen = min(records_per_file or total, total)
            if file_size is None:
                return chosen
            return min(chosen, records_of_size(reader, shards, output_format, file_size, "file"))

        settings = source_settings(data, reader) | {
            "--to": output_format.name,
            "--compressor": output_format.compressor,
            "--dialect": output_format.dialect,
            "--file_size": file_size,
            "--records_per_file": records_per_file,
        }
        plan = saved_or_new_plan(directory, settings, shards, choose_records_per_file)
        paths = [directory.path / name for name in plan.file_names(output_format.suffix)]
        missing = [
            PlannedPart(str(path), functools.partial(output_format.open, path), tasks)
            for path, tasks in zip(paths, plan.files(), strict=True)
            if not path.exists()
        ]
        if len(missing) < len(paths):
            there = len(paths) - len(missing)
            click.echo(f"{there:,} of {format_count(len(paths), 'file')} there already")
        processes = num_workers or len(os.sched_getaffinity(0))
        with progress_of("converting", "records") as show:
            write_parts(data.make_reader, missing, processes, show)
    size_bytes = sum(path.stat().st_size for path in paths)
    click.echo(
        f"{format_count(plan.num_records, 'record')} in "
        f"{format_count(len(paths), f'{output_format.name} file')} in {destination}: "
        f"{format_bytes(size_bytes)}, {time.monotonic() - start_s:.1f} s"
    )


def _format_of_name(destination: str) -> str:
    extension = Path(destination).suffix.removeprefix(".").lower()
    return extension if extension in _FORMATS else "recordio"
