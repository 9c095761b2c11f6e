"""`elasticdl data check`."""

from __future__ import annotations

import dataclasses
import hashlib
import multiprocessing
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

import click
import numpy as np

from elasticdl_like.cli.data.quantity import format_count
from elasticdl_like.cli.data.source import Source, source_of
from elasticdl_like.cli.flag_groups import reader_options
from elasticdl_like.errors import ElasticdlError, PermanentError

_RECORDS_COMPARED = 200  # at the beginning, in the middle and at the end


@dataclass(frozen=True)
class _Seen:
    """What a process sees of a data set.

    Attributes:
        shards: name, first, count and version of each.
        records: a digest of the records of some tasks, by the task in words.
        problem: why there is nothing to be seen, or "".
    """

    shards: tuple[tuple[str, int, int, str], ...] = ()
    records: Mapping[str, str] = dataclasses.field(default_factory=dict)
    problem: str = ""


@click.command()
@click.argument("source")
@reader_options
def check(source: str, **flags: Any) -> None:
    """Checks that the data reader of SOURCE keeps the reader contract.

    Reads parts of the data in every way that a job might, and says in words what is wrong: other
    records in another order of tasks, too many or too few of them, and so on. Then reads in a
    new process, as workers do.
    """
    from elasticdl_like.testing import check_data_reader

    data = source_of(source, flags)
    with tempfile.TemporaryDirectory(prefix="elasticdl-index-") as index_dir:
        # The shards are listed again and again, and files should not be indexed each time.
        data = dataclasses.replace(data, index_dir=data.index_dir or index_dir)
        name = type(data.make_reader()).__name__
        check_data_reader(data.make_reader)
        click.echo("the same shards and records, however they are cut into tasks and ordered: yes")
        shards = _check_new_process(data, name)
    click.echo("the same shards and records in a new process: yes")
    extent = (
        f"{format_count(len(shards), 'shard')} with "
        f"{format_count(sum(count for _, _, count, _ in shards), 'record')}"
    )
    click.echo(f"\n{name} keeps the reader contract, as far as parts of its {extent} show")


def _check_new_process(data: Source, name: str) -> tuple[tuple[str, int, int, str], ...]:
    here = _see(data)
    # Not forked, as no process of a job is.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        try:
            there = pool.submit(_see, data).result()
        except BrokenProcessPool as error:
            raise PermanentError(
                f"{name} ended the new process that it was to be read in, without an exception; "
                "what that process printed is above"
            ) from error
    if here.problem or there.problem:
        raise PermanentError(here.problem or f"in a new process: {there.problem}")
    if here.shards != there.shards:
        others = [shard for shard in there.shards if shard not in here.shards]
        raise PermanentError(
            f"{name}.create_shards() returned other shards in a new process, "
            f"{str(others[0]) if others else 'fewer of them'}; sort what has no order of its own, "
            "and do not depend on the process"
        )
    for task, digest in here.records.items():
        if there.records[task] != digest:
            raise PermanentError(
                f"{name} yielded other records in a new process: {task}; sort what has no order of "
                "its own, such as a set, and do not depend on the process"
            )
    return here.shards


def _see(data: Source) -> _Seen:
    from elasticdl_like.data_readers.places import Places
    from elasticdl_like.data_readers.reading import list_shards, read_task

    try:
        reader = data.make_reader()
        shards = list_shards(reader)
        places = Places(shards)
        size = min(_RECORDS_COMPARED, places.num_records)
        records = {}
        for start in (0, (places.num_records - size) // 2, places.num_records - size):
            for task in places.tasks_between(start, start + size):
                digest = hashlib.sha256()
                for record in _records(read_task(reader, task)):
                    for part in _parts(record):
                        digest.update(part)
                records[str(task)] = digest.hexdigest()
        identities = tuple((each.name, each.first, each.count, each.version) for each in shards)
        return _Seen(identities, records)
    except ElasticdlError as error:
        # Not every error can be sent to another process.
        return _Seen(problem=str(error))


def _records(batches: Iterable[Any]) -> Iterator[Any]:
    for batch in batches:
        yield from zip(*batch.values(), strict=True) if isinstance(batch, dict) else batch


def _parts(value: Any) -> Iterator[bytes]:
    """Yields bytes that are the same for equal values, whatever process they are in."""
    if isinstance(value, bytes):
        yield b"bytes %d " % len(value)
        yield value
    elif isinstance(value, np.ndarray) and value.dtype.kind != "O":
        yield f"array {value.dtype.kind} {value.shape} ".encode()
        yield value.tobytes()
    elif isinstance(value, Mapping):
        yield b"mapping %d " % len(value)
        for key in sorted(value, key=repr):
            yield from _parts(key)
            yield from _parts(value[key])
    elif isinstance(value, list | tuple | np.ndarray):
        yield b"sequence %d " % len(value)
        for each in value:
            yield from _parts(each)
    else:
        yield f"{value!r} ".encode()
