"""`elasticdl data inspect`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from elasticdl_like.cli.data.quantity import format_bytes, format_count
from elasticdl_like.cli.data.source import Source, source_of
from elasticdl_like.cli.flag import option
from elasticdl_like.cli.flag_groups import reader_options
from elasticdl_like.errors import ElasticdlError, ReaderError

if TYPE_CHECKING:
    from elasticdl_like.data_readers.reading import DataReader
    from elasticdl_like.tasks import Shard

_SHOWN_SHARDS = 20


@dataclass(frozen=True)
class _ShardView:
    """A shard as JSON shows it; `details` are what the reader says of it, sizes those of files."""

    name: str
    first: int
    records: int
    version: str
    size_bytes: int | None
    details: Mapping[str, str]


@click.command()
@click.argument("source")
@option("--all", "show_all", is_flag=True, help=f"Show all shards, not just {_SHOWN_SHARDS}.")
@option("--json", "as_json", is_flag=True, help="Print JSON, of all shards and with versions.")
@reader_options
def inspect(source: str, show_all: bool, as_json: bool, **flags: Any) -> None:
    """Prints what SOURCE holds: shards, records, columns and how they are stored.

    The numbers of records are exact. To count them, files that have no count in them are read
    once; with --index_dir that is kept for the next time.
    """
    from elasticdl_like.data_readers.reading import list_shards

    data = source_of(source, flags)
    reader = data.make_reader()
    shards = list_shards(reader)
    columns = _columns(reader)
    shown = shards if show_all or as_json else shards[:_SHOWN_SHARDS]
    sizes = _file_sizes(data)
    views = [_view(reader, shard, sizes) for shard in shown]
    total = sum(shard.count for shard in shards)
    if as_json:
        plain = {
            "source": source,
            "reader": type(reader).__name__,
            "records": total,
            "columns": columns,
            "shards": [dataclasses.asdict(view) for view in views],
        }
        click.echo(json.dumps(plain, indent=1))
        return
    _print_shards(views)
    if len(shown) < len(shards):
        click.echo(f"… and {len(shards) - len(shown):,} shards more, which --all shows")
    if columns:
        _print_columns(columns)
    parts = [format_count(len(shards), "shard"), format_count(total, "record")]
    if sizes:
        parts.append(format_bytes(sum(sizes.values())))
    click.echo(f"\n{', '.join(parts)}, read by {type(reader).__name__}")


def _file_sizes(data: Source) -> dict[str, int]:
    """Returns the sizes of the files that a built-in reader reads; {} for any other source."""
    from elasticdl_like.data_readers.files import list_files

    if data.data.custom_data_reader:
        return {}
    try:
        return {file.name: file.size_bytes for file in list_files(data.data.training_data)}
    except ElasticdlError:
        return {}  # not made of files: the reader itself found its data


def _view(reader: DataReader, shard: Shard, sizes: Mapping[str, int]) -> _ShardView:
    return _ShardView(
        shard.name,
        shard.first,
        shard.count,
        shard.version,
        sizes.get(shard.name),
        _details(reader, shard.name),
    )


def _details(reader: DataReader, shard_name: str) -> Mapping[str, str]:
    describe = getattr(reader, "describe", None)
    if describe is None:
        return {}
    try:
        return {str(name): str(value) for name, value in describe(shard_name).items()}
    except ElasticdlError:
        raise
    except Exception as error:
        raise ReaderError(
            f"{type(reader).__name__}.describe({shard_name!r}) raised {type(error).__name__}: "
            f"{error}"
        ) from error


def _columns(reader: DataReader) -> dict[str, str]:
    """Returns the names and types of the columns; {} for records without."""
    metadata = getattr(reader, "metadata", None)
    types = dict(getattr(metadata, "column_dtypes", {}))
    for name in getattr(metadata, "column_names", ()):
        types.setdefault(name, "")
    signature = getattr(reader, "output_signature", None)
    if not types and isinstance(signature, Mapping):
        types = dict(signature)
    return {str(name): _type_name(kind) for name, kind in types.items()}


def _type_name(kind: Any) -> str:
    base, shape = getattr(kind, "base", kind), getattr(kind, "shape", ())
    name = str(getattr(base, "name", base))
    name = "bytes" if name == "object" else name
    return f"{name} {list(shape)}" if shape else name


def _print_shards(views: Sequence[_ShardView]) -> None:
    from elasticdl_like.cli.output import format_table

    header = ["shard", "first", "records"]
    rows = [[view.name, f"{view.first:,}", f"{view.records:,}"] for view in views]
    if any(view.size_bytes is not None for view in views):
        header.append("bytes")
        for row, view in zip(rows, views, strict=True):
            row.append("" if view.size_bytes is None else f"{view.size_bytes:,}")
    for name in dict.fromkeys(name for view in views for name in view.details):
        header.append(name)
        for row, view in zip(rows, views, strict=True):
            row.append(view.details.get(name, ""))
    click.echo(format_table(header, rows))


def _print_columns(columns: Mapping[str, str]) -> None:
    from elasticdl_like.cli.output import format_table

    click.echo()
    click.echo(format_table(["column", "type"], [list(column) for column in columns.items()]))
