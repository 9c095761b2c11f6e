"""The data reader for tables of MaxCompute (ODPS)."""

from __future__ import annotations

import functools
import logging
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from elasticdl_like.data_readers.base import BatchDataReader, Metadata, RecordBatch
from elasticdl_like.data_readers.odps.access import find_access
from elasticdl_like.data_readers.odps.client import OdpsClient
from elasticdl_like.data_readers.odps.columns import ColumnChoice, OdpsColumns
from elasticdl_like.data_readers.odps.fetched import Fetched, Run
from elasticdl_like.data_readers.odps.parameters import (
    checked_location,
    checked_mapping,
    checked_mode,
    checked_names,
    checked_number,
)
from elasticdl_like.data_readers.odps.partitions import (
    Partition,
    parse_partitions,
    partition_text,
)
from elasticdl_like.data_readers.odps.patience import Patience
from elasticdl_like.data_readers.odps.ranges import Mode, RangeFetcher
from elasticdl_like.data_readers.odps.sessions import Locator, Sessions, Snapshot, version_text
from elasticdl_like.data_readers.odps.table import OdpsTable
from elasticdl_like.errors import DataError
from elasticdl_like.tasks import Task
from elasticdl_like.time_spent import Activity

_SESSIONS_AT_ONCE = 8
# A request takes some 10 ms to begin with; larger ones take much memory for nothing.
_MOST_ROWS_PER_REQUEST = 1 << 14
_FEWEST_ROWS_PER_REQUEST = 1 << 8
# As stored, compressed: several times as much in memory.
_REQUEST_STORED_BYTES = 4 << 20
_KEPT_BYTES = 128 << 20

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Shard:
    """What the master keeps of a partition, or of a table without partitions."""

    locator: Locator
    version: str


@dataclass(frozen=True)
class _Source:
    """The table, and what reads it."""

    table: OdpsTable
    columns: OdpsColumns
    sessions: Sessions
    ranges: RangeFetcher
    fetched: Fetched


class ODPSDataReader(BatchDataReader):
    """Reads a table of MaxCompute as columns; a shard is a partition, or the whole table.

    The master opens one download session for each shard, and all workers read that snapshot.
    Records are fetched in runs of a fixed size, several at once, and the newest are kept for the
    tasks to come.

    Args:
        data_origin: `odps://project/table`, `project.table` or `table`; "" if `table` names it.
        table: likewise.
        partition: a partition, the beginning of several (`ds=20260101` of `ds,hh`), or a list of
            these; "" for all.
        columns: the names of the columns to read, in the order they are to have; None for all but
            those that the table is partitioned by.
        defaults: what stands for null, by column.
        null_masks: columns beside which there is to be a column NAME_is_null.
        array_sizes: how many numbers each array has, by column.
        mode: "arrow", or "record" for types that have no Arrow form.
        num_threads: how many requests are made at once.
        num_processes: the same, if given; its name in ElasticDL.
        retry_timeout: for how many seconds a request may fail before it is given up.
        project, access_id, access_key, security_token, endpoint, tunnel_endpoint: where the
            service is, and the credentials; environment variables stand in for them.

    Raises:
        ConfigError: a parameter is not of this form, or something is missing.
    """

    schemes = ("odps",)
    reads_in_parallel = True

    def __init__(
        self,
        *,
        data_origin: str = "",
        table: str = "",
        partition: str | Sequence[str] = "",
        columns: Sequence[str] | None = None,
        defaults: Mapping[str, Any] | None = None,
        null_masks: Sequence[str] = (),
        array_sizes: Mapping[str, int] | None = None,
        mode: str = "arrow",
        num_threads: int = 4,
        num_processes: int | None = None,
        retry_timeout: float = 300.0,
        project: str = "",
        access_id: str = "",
        access_key: str = "",
        security_token: str = "",
        endpoint: str = "",
        tunnel_endpoint: str = "",
    ) -> None:
        super().__init__(data_origin=data_origin)
        self._location = checked_location(data_origin, table)
        self._wanted = parse_partitions(partition) or parse_partitions(self._location.partition)
        self._choice = ColumnChoice(
            None if columns is None else checked_names("columns", columns),
            checked_mapping("defaults", defaults),
            checked_names("null_masks", null_masks),
            checked_mapping("array_sizes", array_sizes),
        )
        self._mode = checked_mode(mode)
        self._num_threads = int(
            checked_number("num_threads", num_threads if num_processes is None else num_processes)
        )
        self._retry_timeout_s = checked_number("retry_timeout", retry_timeout)
        self._access = find_access(
            {
                "project": project or self._location.project,
                "access_id": access_id,
                "access_key": access_key,
                "security_token": security_token,
                "endpoint": endpoint,
                "tunnel_endpoint": tunnel_endpoint,
            }
        )
        self._patience = Patience(self._retry_timeout_s, self._access, lambda: self.time_spent)
        self._lock = threading.RLock()
        self._made_source: _Source | None = None
        self._shards: dict[str, _Shard] = {}

    def create_shards(self) -> Any:
        """Returns the number of records of each partition, or of the table.

        Raises:
            DataError: the table or a partition is not there, or there are no records.
            ConfigError: the credentials are wrong, or there is no such column.
        """
        table = self._source.table
        partitions: list[Partition] = [{}]
        if table.partition_columns or self._wanted:
            partitions = table.partitions(self._wanted)
        with ThreadPoolExecutor(_SESSIONS_AT_ONCE, "odps sessions") as threads:
            shards = list(threads.map(self._opened, map(partition_text, partitions)))
        names = [self._shard_name(partition) for partition in partitions]
        self._shards = dict(zip(names, shards, strict=True))
        counts = {name: shard.locator.count for name, shard in self._shards.items()}
        if table.partition_columns:
            _logger.info(
                "%s: %s%d partitions with %s records",
                table.name,
                "" if self._wanted else "no partition is named, so all of its ",
                len(partitions),
                f"{sum(counts.values()):,}",
            )
        if not any(counts.values()):
            raise DataError(
                f"{table.name}: no record to read in it"
                + (f" ({len(partitions)} partitions)" if table.partition_columns else "")
            )
        return counts

    def version(self, shard_name: str) -> str:
        """Returns the number of records, and when they were changed last."""
        return self._shards[shard_name].version

    def locator(self, shard_name: str) -> bytes:
        """Returns the download session that the records were counted with."""
        return self._shards[shard_name].locator.to_bytes()

    def natural_splits(self, shard_name: str) -> Sequence[int]:
        """Returns the numbers of the records at which groups but the first begin.

        A group is what is fetched at once. Tasks of a few hundred records would take a request
        each, and most of the time of such a request is spent before its first record.
        """
        locator = self._shards[shard_name].locator
        group = locator.rows_per_request * self._num_threads
        return range(group, locator.count, group)

    @property
    def output_signature(self) -> dict[str, np.dtype[Any]]:
        """The columns and their dtypes.

        A dtype of objects is one of bytes, and one with a shape is an array.
        """
        return dict(self._source.columns.dtypes)

    @property
    def metadata(self) -> Metadata:
        """The columns and their dtypes, as `output_signature`."""
        return Metadata(tuple(self._source.columns.dtypes), self._source.columns.dtypes)

    def read_record_batches(self, task: Task) -> Iterator[RecordBatch]:
        """Yields the records of the task as columns, one batch for each request that it touches.

        Columns of numbers are views of what is kept for the next tasks.

        Raises:
            DataChangedError: the table is not what it was.
            DataError: the records cannot be had, or a column has nulls and no default.
        """
        locator, snapshot = self._snapshot(task)
        if task.end > locator.count:
            raise DataError(
                f"{task.shard_name} has {locator.count} records, and {task} were asked for; start "
                "the job again if the table has changed"
            )
        if task.start >= task.end:
            return
        size = locator.rows_per_request
        numbers = range(task.start // size, -(-task.end // size))
        last = -(-locator.count // size)
        if task.locator:
            # The rest of the group is asked for next, as a rule by this worker.
            last = min(last, -(-numbers.stop // self._num_threads) * self._num_threads)
        else:
            last = numbers.stop
        ahead = iter(range(numbers.start, last))
        runs: deque[Future[Run]] = deque()
        for number in numbers:
            while len(runs) < self._num_threads and (following := next(ahead, None)) is not None:
                runs.append(self._run(snapshot, locator, following))
            columns = runs.popleft().result().columns
            first = number * size
            part = slice(max(task.start - first, 0), task.end - first)
            yield {name: column[part] for name, column in columns.items()}

    def _run(self, snapshot: Snapshot, locator: Locator, number: int) -> Future[Run]:
        start = number * locator.rows_per_request
        count = min(locator.rows_per_request, locator.count - start)
        return self._source.fetched.get(
            (snapshot, start), functools.partial(self._fetch, snapshot, start, count)
        )

    def _fetch(self, snapshot: Snapshot, start: int, count: int) -> Run:
        source = f"{self._source.table.name} {snapshot.partition}".rstrip()
        table = self._source.ranges.fetch(
            f"records [{start}, {start + count}) of {source}",
            lambda: self._source.sessions.get(snapshot),
            lambda expired: self._source.sessions.renew(snapshot, expired),
            start,
            count,
        )
        partitions = parse_partitions(snapshot.partition)
        with self.time_spent.measure(Activity.DECODING):
            columns = self._source.columns.arrays(
                table, partitions[0] if partitions else {}, source
            )
        return Run(columns, table.nbytes + sum(column.nbytes for column in columns.values()))

    def _snapshot(self, task: Task) -> tuple[Locator, Snapshot]:
        partition = task.shard_name.partition("/")[2].replace("/", ",")
        if task.locator:
            locator, version = Locator.from_bytes(task.locator), task.version
        else:
            with self._lock:
                known = self._shards.get(task.shard_name)
                if known is None:
                    known = self._shards[task.shard_name] = self._opened(partition)
            locator, version = known.locator, task.version or known.version
        return locator, Snapshot(partition, locator.session_id, locator.count, version)

    def _opened(self, partition: str) -> _Shard:
        # First the time: a change right after it is taken for one that came before.
        about = self._source.sessions.about(partition)
        session = self._source.sessions.open_new(partition)
        rows = _rows_per_request(about.size_bytes, session.count)
        return _Shard(Locator(session.id, session.count, rows), version_text(session.count, about))

    def _shard_name(self, partition: Partition) -> str:
        name = self._source.table.name
        return f"{name}/{partition_text(partition, '/')}" if partition else name

    @property
    def _source(self) -> _Source:
        """The table, which is asked for when it is needed first."""
        with self._lock:
            if self._made_source is None:
                self._made_source = self._make_source()
            return self._made_source

    def _make_source(self) -> _Source:
        client = OdpsClient(self._access, self._retry_timeout_s)
        table = OdpsTable(client, self._patience, self._location)
        columns = OdpsColumns(table.schema, self._choice, table.name)
        if self._mode is Mode.RECORD:
            columns.check_as_records()
        else:
            columns.check_as_arrow()
        return _Source(
            table,
            columns,
            Sessions(client, self._patience, table.handle, table.name),
            RangeFetcher(columns, self._mode, self._patience, client.call),
            Fetched(self._num_threads, _KEPT_BYTES),
        )


def _rows_per_request(stored_bytes: int, count: int) -> int:
    """Returns a power of two, so that it stays the same when records are stored in another way."""
    fitting = _REQUEST_STORED_BYTES * count // max(stored_bytes, 1)
    wanted = min(max(fitting, _FEWEST_ROWS_PER_REQUEST), _MOST_ROWS_PER_REQUEST)
    return 1 << (wanted.bit_length() - 1)
