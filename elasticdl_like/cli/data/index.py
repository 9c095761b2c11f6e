"""`elasticdl data index`."""

from __future__ import annotations

import time
from typing import Any

import click

from elasticdl_like.cli.data.progress import progress_of
from elasticdl_like.cli.data.quantity import format_count
from elasticdl_like.cli.data.source import source_of
from elasticdl_like.cli.flag_groups import reader_options
from elasticdl_like.errors import ConfigError


@click.command()
@click.argument("source")
@reader_options
def index(source: str, **flags: Any) -> None:
    """Indexes the files of SOURCE ahead, into --index_dir.

    Formats that do not say where their records are, such as text, csv and TFRecord, have to be read
    once before a job begins. A job with the same --index_dir and the same SOURCE, run in the same
    directory, finds that done. Files that have changed are indexed again.
    """
    from elasticdl_like.data_readers.files.indexed_reader import IndexedFileReader

    if not flags["index_dir"]:
        raise ConfigError("--index_dir is missing; it says where the indexes are kept")
    start_s = time.monotonic()
    reader = source_of(source, flags).make_reader()
    if not isinstance(reader, IndexedFileReader):
        click.echo(f"{type(reader).__name__} reads without an index; there is nothing to do")
        return
    with progress_of("indexing", "files") as show:
        num_files, already = reader.make_indexes(show)
    click.echo(
        f"{format_count(num_files - already, 'file')} indexed in {time.monotonic() - start_s:.1f} "
        f"s, {already:,} had an index already: {flags['index_dir']}"
    )
