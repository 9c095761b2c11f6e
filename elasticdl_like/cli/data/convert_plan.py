"""The plan of `elasticdl data convert`: that of a conversion that was cut off, or a new one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from elasticdl_like.cli.data.quantity import format_bytes, format_count
from elasticdl_like.errors import DataError

if TYPE_CHECKING:
    from elasticdl_like.cli.data.source import Source
    from elasticdl_like.data_readers.conversion.destination import Destination
    from elasticdl_like.data_readers.conversion.output_format import OutputFormat
    from elasticdl_like.data_readers.conversion.plan import ConversionPlan
    from elasticdl_like.data_readers.reading import DataReader
    from elasticdl_like.tasks import Shard


def saved_or_new_plan(
    directory: Destination,
    settings: Mapping[str, Any],
    shards: tuple[Shard, ...],
    choose_records_per_part: Callable[[], int],
) -> ConversionPlan:
    """Returns the plan in a directory, or makes one and puts it there.

    Args:
        directory: of the conversion.
        settings: what decides what is written.
        shards: of the source.
        choose_records_per_part: called for a new plan.

    Raises:
        DataError: the directory is of another conversion, or the source has changed since.
        OSError: the plan cannot be written.
    """
    from elasticdl_like.data_readers.conversion.plan import ConversionPlan, planned_before

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
    plan = ConversionPlan(settings, shards, choose_records_per_part())
    directory.save_plan(plan)
    return plan


def source_settings(data: Source, reader: DataReader) -> dict[str, Any]:
    """Returns what decides which records a source has, for the plan."""
    params = dict(data.data.reader_params)
    # One that was given up may well go on with more patience.
    params.pop("retry_timeout", None)
    return {"reader": type(reader).__name__, "--custom_data_reader_params": params}


def records_of_size(
    reader: DataReader,
    shards: Sequence[Shard],
    output_format: OutputFormat,
    part_bytes: int,
    part_name: str,
) -> int:
    """Returns how many records to put into each file or block, from a sample, and says so.

    Raises:
        DataError: the records cannot be read, or the format cannot hold them.
        OSError: the sample cannot be written.
    """
    from elasticdl_like.data_readers.conversion.estimate import estimate_record_bytes
    from elasticdl_like.data_readers.conversion.plan import records_per_file_of_size

    total = sum(shard.count for shard in shards)
    record_bytes = estimate_record_bytes(reader, shards, output_format)
    records = records_per_file_of_size(total, record_bytes, part_bytes)
    if records < total:
        click.echo(
            f"{format_count(records, 'record')} a {part_name}, about "
            f"{format_bytes(records * record_bytes)}: a sample took {record_bytes:,.1f} bytes a "
            "record"
        )
    return records
