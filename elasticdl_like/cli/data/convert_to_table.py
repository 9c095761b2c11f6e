"""`elasticdl data convert SOURCE odps://…`."""

from __future__ import annotations

import functools
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from elasticdl_like.cli.data.convert_plan import (
    records_of_size,
    saved_or_new_plan,
    source_settings,
)
from elasticdl_like.cli.data.progress import progress_of
from elasticdl_like.cli.data.quantity import format_count
from elasticdl_like.cli.data.source import Source

if TYPE_CHECKING:
    from elasticdl_like.data_readers.odps.location import OdpsLocation

_DEFAULT_BLOCK_BYTES = 64 << 20
_UPLOAD_NAME = "_upload.json"


def convert_to_table(
    data: Source,
    destination: str,
    work_directory: str,
    retry_timeout_s: float | None,
    block_bytes: int | None,
    records_per_block: int | None,
    num_workers: int | None,
) -> None:
    """Writes the records of a data set into a table of MaxCompute, each once.

    Args:
        data: the data set.
        destination: `odps://project/table`, with `/ds=20260101` behind it for a partition.
        work_directory: where plan and upload are written down; "" for one named by the table.
        retry_timeout_s: how long a request to the table may fail; None for the default.
        block_bytes: about how large a block becomes.
        records_per_block: how many records are in each block but the last.
        num_workers: processes that write at once; None for one for each processor.

    Raises:
        ConfigError: the credentials are wrong or missing, or the partition.
        DataError: the source cannot be read, or the table not be written.
        OSError: the work directory cannot be written.
    """
    from elasticdl_like.data_readers.conversion.destination import Destination
    from elasticdl_like.data_readers.conversion.output_format import OutputFormat
    from elasticdl_like.data_readers.conversion.run import PlannedPart, write_parts
    from elasticdl_like.data_readers.conversion.table_output import (
        TableBlocks,
        TableUpload,
        table_types,
    )
    from elasticdl_like.data_readers.odps.access import find_access
    from elasticdl_like.data_readers.odps.location import OdpsLocation
    from elasticdl_like.data_readers.odps.uploads import MAX_BLOCKS
    from elasticdl_like.data_readers.odps.writer import DEFAULT_RETRY_TIMEOUT_S, OdpsWriter
    from elasticdl_like.data_readers.reading import list_shards

    start_s = time.monotonic()
    location = OdpsLocation.parse(destination)
    access = find_access({"project": location.project})
    retry_timeout_s = retry_timeout_s or DEFAULT_RETRY_TIMEOUT_S
    writer = OdpsWriter(access, location, retry_timeout_s)
    directory = Destination(Path(work_directory or _work_directory(location)))
    with directory.own():
        reader = data.make_reader()
        shards = list_shards(reader)
        total = sum(shard.count for shard in shards)

        def choose_records_per_block() -> int:
            chosen = min(records_per_block or total, total)
            if block_bytes is not None or records_per_block is None:
                sample_format = OutputFormat("parquet", "none")
                size_bytes = block_bytes or _DEFAULT_BLOCK_BYTES
                chosen = min(
                    chosen, records_of_size(reader, shards, sample_format, size_bytes, "block")
                )
            return max(chosen, -(-total // MAX_BLOCKS))

        settings = source_settings(data, reader) | {
            "table": writer.name,
            "partition": location.partition,
            "--file_size": block_bytes,
            "--records_per_file": records_per_block,
        }
        plan = saved_or_new_plan(directory, settings, shards, choose_records_per_block)
        writer.open_table(table_types(reader, shards))
        upload = TableUpload(writer, directory.path / _UPLOAD_NAME)
        there = set(range(plan.num_files)) if upload.is_done else upload.blocks()
        if there:
            of_all = f"{len(there):,} of {format_count(plan.num_files, 'block')}"
            click.echo(f"{of_all} there already{', and committed' if upload.is_done else ''}")
        blocks = TableBlocks(access, location, retry_timeout_s, upload.session_id)
        missing = [
            PlannedPart(f"block {number}", functools.partial(blocks.open, number), tasks)
            for number, tasks in enumerate(plan.files())
            if number not in there
        ]
        processes = num_workers or len(os.sched_getaffinity(0))
        with progress_of("converting", "records") as show:
            write_parts(data.make_reader, missing, processes, show)
        if not upload.is_done:
            upload.commit(plan.num_files)
    click.echo(
        f"{format_count(total, 'record')} in {format_count(plan.num_files, 'block')} in "
        f"{destination}, {time.monotonic() - start_s:.1f} s; {directory.path} keeps note of it, so "
        "that the same command does not write them again"
    )


def _work_directory(location: OdpsLocation) -> str:
    parts = [location.project, location.table, location.partition.replace(",", "-")]
    return ".elasticdl_convert-" + "-".join(filter(None, parts))
