"""`elasticdl data`: looks at data sets, and writes them as RecordIO."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from elasticdl_like.cli.options import data_config, model_config, option, reader_options
from elasticdl_like.errors import ConfigError, ReaderError

if TYPE_CHECKING:
    from elasticdl_like.data_readers.reading import DataReader
    from elasticdl_like.tasks import Shard

_RECORDS_PER_TASK = 4096
_LONGEST_SHOWN = 200


@click.group()
def data() -> None:
    """Looks at data sets, and writes them as RecordIO."""


@data.command()
@click.argument("source")
@reader_options
def inspect(source: str, **flags: Any) -> None:
    """Prints the shards of SOURCE and what they hold."""
    from elasticdl_like.cli.output import format_table
    from elasticdl_like.data_readers import RecordIODataReader
    from elasticdl_like.data_readers.recordio.index import index_file

    reader, shards = _open(source, flags)
    header = ["shard", "first", "records"]
    rows = [[shard.name, f"{shard.first:,}", f"{shard.count:,}"] for shard in shards]
    if isinstance(reader, RecordIODataReader):
        header += ["bytes", "chunks", "dialect", "compressor"]
        for row, shard in zip(rows, shards, strict=True):
            index = index_file(shard.name)
            chunks = [index.chunk(number) for number in range(index.chunk_count)]
            row += [
                f"{index.size_bytes:,}",
                f"{index.chunk_count:,}",
                "+".join(sorted({each.dialect for each in chunks})),
                "+".join(sorted({each.compressor for each in chunks})),
            ]
    click.echo(format_table(header, rows))
    total = sum(shard.count for shard in shards)
    click.echo(f"\n{len(shards):,} shards, {total:,} records, read by {type(reader).__name__}")


@data.command()
@click.argument("source")
@option("-n", "--count", type=click.IntRange(min=1), default=5, help="How many.")
@reader_options
def head(source: str, count: int, **flags: Any) -> None:
    """Prints the first records of SOURCE."""
    reader, shards = _open(source, flags)
    for record in _records(reader, shards, count):
        text = repr(record)
        click.echo(text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…")


@data.command()
@click.argument("source")
@click.argument("destination", type=click.Path(path_type=Path))
@option(
    "--records_per_file",
    type=click.IntRange(min=1),
    default=1_000_000,
    help="Records in each file but the last.",
)
@option(
    "--dialect",
    type=click.Choice(["go", "python"]),
    default="go",
    help="The dialect of RecordIO.",
)
@option(
    "--compressor",
    type=click.Choice(["none", "snappy", "gzip"]),
    default="snappy",
    help="How chunks are compressed.",
)
@reader_options
def convert(
    source: str,
    destination: Path,
    records_per_file: int,
    dialect: str,
    compressor: str,
    **flags: Any,
) -> None:
    """Writes RecordIO files into a directory.

    The records of SOURCE, which must be bytes, go to directory DESTINATION.
    """
    from elasticdl_like.data_readers.recordio import Compressor, Dialect, RecordIOWriter

    if destination.exists() and any(destination.iterdir()):
        raise ConfigError(f"{destination} is not empty; nothing was changed")
    reader, shards = _open(source, flags)
    total = sum(shard.count for shard in shards)
    num_files = -(-total // records_per_file)
    destination.mkdir(parents=True, exist_ok=True)
    records = _records(reader, shards, total)
    for number in range(num_files):
        path = destination / f"data-{number:05d}-of-{num_files:05d}.recordio"
        size = min(records_per_file, total - number * records_per_file)
        with RecordIOWriter(
            path, dialect=Dialect(dialect), compressor=Compressor(compressor)
        ) as writer:
            for _ in range(size):
                record = next(records)
                if not isinstance(record, bytes):
                    raise ReaderError(
                        f"{type(reader).__name__} yields {type(record).__name__}, but RecordIO "
                        "holds bytes; write a reader that encodes its records"
                    )
                writer.write(record)
    click.echo(f"{total:,} records written to {num_files} files in {destination}")


def _open(source: str, flags: dict[str, Any]) -> tuple[DataReader, tuple[Shard, ...]]:
    import dataclasses

    from elasticdl_like.data_readers.reading import list_shards
    from elasticdl_like.data_readers.registry import custom_reader_name, make_reader

    model = model_config(flags)
    config = data_config(flags, source)
    config = dataclasses.replace(config, custom_data_reader=custom_reader_name(config, model))
    reader = make_reader(source, config, model, _RECORDS_PER_TASK)
    return reader, list_shards(reader)


def _records(reader: DataReader, shards: Sequence[Shard], count: int) -> Iterator[Any]:
    """Yields the first `count` records of a data set."""
    from elasticdl_like.data_readers.reading import read_task
    from elasticdl_like.tasks import Task

    for shard in shards:
        for start in range(shard.first, shard.end, _RECORDS_PER_TASK):
            size = min(count, _RECORDS_PER_TASK, shard.end - start)
            if not size:
                return
            count -= size
            for batch in read_task(reader, Task(shard.name, start, start + size)):
                yield from zip(*batch.values(), strict=True) if isinstance(batch, dict) else batch
