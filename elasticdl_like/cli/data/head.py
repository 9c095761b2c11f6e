"""`elasticdl data head`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from elasticdl_like.cli.data.source import RECORDS_PER_TASK, source_of
from elasticdl_like.cli.flag import option
from elasticdl_like.cli.flag_groups import reader_options

if TYPE_CHECKING:
    from elasticdl_like.data_readers.base import RecordBatch
    from elasticdl_like.data_readers.reading import DataReader
    from elasticdl_like.tasks import Shard

_LONGEST_RECORD = 200
_LONGEST_CELL = 40


@click.command()
@click.argument("source")
@option("-n", "--count", type=click.IntRange(min=1), default=5, help="How many.")
@reader_options
def head(source: str, count: int, **flags: Any) -> None:
    """Prints the first records of SOURCE, as a table when they have columns."""
    from elasticdl_like.cli.output import format_table
    from elasticdl_like.data_readers.conversion.rows import column_names_of, column_values
    from elasticdl_like.data_readers.reading import list_shards

    reader = source_of(source, flags).make_reader()
    column_names = column_names_of(reader)
    header: list[str] = []
    rows: list[list[str]] = []
    for batch in _first_batches(reader, list_shards(reader), count):
        columns = column_values(batch, column_names)
        if columns and not header:
            header = list(columns)
        if list(columns) == header and header:
            shown = [[_cell(value) for value in column] for column in columns.values()]
            rows += map(list, zip(*shown, strict=True))
        else:
            for record in batch:
                click.echo(_shortened(repr(record), _LONGEST_RECORD))
    if rows:
        click.echo(format_table(header, rows))


def _first_batches(
    reader: DataReader, shards: Sequence[Shard], count: int
) -> Iterator[RecordBatch]:
    from elasticdl_like.data_readers.places import Places
    from elasticdl_like.data_readers.reading import read_task

    places = Places(shards)
    for task in places.tasks_between(0, min(count, places.num_records)):
        for start in range(task.start, task.end, RECORDS_PER_TASK):
            yield from read_task(reader, task.part(start, min(start + RECORDS_PER_TASK, task.end)))


def _cell(value: Any) -> str:
    """Returns a value in one line: text as it is, unless some of it would not be seen."""
    try:
        text = value.decode("utf-8") if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return _shortened(repr(value), _LONGEST_CELL)
    if isinstance(text, str):
        shown = text if text.isprintable() and text == text.strip() and text else repr(text)
    else:
        shown = " ".join(str(value).split())
    return _shortened(shown, _LONGEST_CELL)


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}…"
