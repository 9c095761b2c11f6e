"""The data reader for Parquet files."""

from __future__ import annotations

import functools
import logging
import operator
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from elasticdl_like.data_readers.arrow_columns import same_meaning
from elasticdl_like.data_readers.base import BatchDataReader, Metadata, RecordBatch
from elasticdl_like.data_readers.files import SourceFile, list_files, open_file
from elasticdl_like.data_readers.parquet.newest import Newest
from elasticdl_like.data_readers.parquet.pruning import matching_groups, parse_filter
from elasticdl_like.data_readers.parquet.source import Columns, ParquetSource
from elasticdl_like.errors import ConfigError, DataError
from elasticdl_like.tasks import Task
from elasticdl_like.time_spent import Activity

_SUFFIXES = (".parquet", ".pq")
_FOOTERS_AT_ONCE = 8
_OPEN_FILES = 16
# Decoded row groups that are kept for the tasks to come.
_KEPT_BYTES = 256 << 20
_LARGE_GROUP_BYTES = 512 << 20

_logger = logging.getLogger(__name__)


class _Listed(NamedTuple):
    """What the master keeps of a footer; `groups` are those that are read."""

    file: SourceFile
    edges: Sequence[int]
    groups: Sequence[int]
    schema: Any
    largest_group_bytes: int


class ParquetDataReader(BatchDataReader):
    """Reads Parquet files as columns; a shard is a file, and its name the path or URL.

    Records are counted by the footers alone. Row groups are read and decoded whole, the columns
    that are wanted at once, and the newest are kept for the tasks to come.

    Args:
        data_origin: a file, a directory, a glob pattern, a URL, or several of these with commas
            in between.
        columns: the names of the columns to read, in the order they are to have; None for all.
        filter: conditions `(column, operator, value)`, all of which a row has to meet. Row groups
            of which the statistics say that no row does are left out; **the others are read
            whole**, with rows that do not match.
        defaults: what stands for null, by column.

    Raises:
        ConfigError: a parameter is not of this form, or pyarrow is not installed.
    """

    suffixes = _SUFFIXES
    reads_in_parallel = True

    def __init__(
        self,
        *,
        data_origin: str,
        columns: Sequence[str] | None = None,
        filter: Sequence[tuple[str, str, Any]] = (),  # noqa: A002 - the name that users know
        defaults: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(data_origin=data_origin)
        self._data_origin = data_origin
        self._columns = None if columns is None else _checked_columns(columns)
        self._conditions = parse_filter(filter)
        self._defaults = _checked_defaults({} if defaults is None else defaults)
        self._listed: dict[str, _Listed] = {}
        self._sources: Newest[tuple[str, str], ParquetSource] = Newest(_OPEN_FILES)
        self._groups: Newest[tuple[str, str, int], Columns] = Newest(_KEPT_BYTES)

    def create_shards(self) -> Any:
        """Returns `(path, first record, number of records)` for each run of row groups.

        Raises:
            DataError: there is no such source, it has no records, or none that can match the
                filter; its files differ in the columns to read, or a column has no array.
            CorruptDataError: a file that is not Parquet, or is damaged.
            ConfigError: `columns`, `filter` or `defaults` names a column that is not there.
        """
        files = list_files(self._data_origin, _SUFFIXES)
        with ThreadPoolExecutor(_FOOTERS_AT_ONCE, "footers") as pool:
            listed = list(pool.map(self._list, files))
        for each in listed[1:]:
            _check_alike(listed[0], each)
        self._listed = {each.file.name: each for each in listed}
        self._say_what_is_read(listed)
        shards = [
            (each.file.name, first, end - first)
            for each in listed
            for first, end in _runs(each.edges, each.groups)
            if end > first
        ]
        if not shards:
            raise DataError(
                f"{self._data_origin}: no record to read in it ({len(files)} files of "
                f"{sum(each.edges[-1] for each in listed)} rows); check the path of the data"
                + (", and the reader parameter filter" if self._conditions else "")
            )
        return shards

    def version(self, shard_name: str) -> str:
        """Returns the size of a file, and its time or tag."""
        listed = self._listed.get(shard_name)
        return listed.file.version if listed else self._source(shard_name, "").version

    def natural_splits(self, shard_name: str) -> Sequence[int]:
        """Returns the numbers of the records at which row groups but the first begin."""
        listed = self._listed.get(shard_name)
        edges = listed.edges if listed else self._source(shard_name, "").edges
        return sorted(set(edges) - {edges[0], edges[-1]})

    @property
    def output_signature(self) -> dict[str, np.dtype[Any]]:
        """The columns and their dtypes, those of the first file.

        A dtype of objects is one of bytes, and one with a shape is an array.
        """
        return dict(self._dtypes)

    @property
    def metadata(self) -> Metadata:
        """The columns and their dtypes, as `output_signature`."""
        return Metadata(tuple(self._dtypes), self._dtypes)

    def read_record_batches(self, task: Task) -> Iterator[RecordBatch]:
        """Yields the records of the task as columns, one batch for each row group that it touches.

        Columns of numbers are views of the decoded row group.

        Raises:
            DataError: the file is missing, has changed or has no such records, or a column has
                nulls and no default.
            CorruptDataError: the file is damaged.
        """
        source = self._source(task.shard_name, task.version)
        if task.end > source.record_count:
            raise DataError(
                f"{source.name} has {source.record_count} records, and {task} were asked for; "
                "start the job again if the file has changed"
            )
        for number in source.groups_covering(task.start, task.end):
            columns = self._columns_of(source, number)
            first, end = source.edges[number : number + 2]
            if task.start <= first and end <= task.end:
                yield dict(columns)
            else:
                part = slice(max(task.start - first, 0), task.end - first)
                yield {name: column[part] for name, column in columns.items()}

    @functools.cached_property
    def _dtypes(self) -> dict[str, np.dtype[Any]]:
        first = next(iter(self._listed), None) or list_files(self._data_origin, _SUFFIXES)[0].name
        return self._opened(first, self._columns).dtypes

    def _opened(self, name: str, columns: Sequence[str] | None) -> ParquetSource:
        return ParquetSource(open_file(name), columns, self._defaults)

    def _list(self, file: SourceFile) -> _Listed:
        source = self._opened(file.name, self._columns)
        source.check_version(file.version)
        for column in self._defaults:
            if column not in source.stored_schema.names:
                raise ConfigError(
                    f"{source.name} has no column {column!r}, which the reader parameter defaults "
                    f"names; it has {', '.join(source.stored_schema.names)}"
                )
        groups: Sequence[int] = range(source.group_count)
        if self._conditions:
            groups = matching_groups(source, self._conditions)
        largest = max(map(source.decoded_size_bytes, groups), default=0)
        return _Listed(file, source.edges, groups, source.schema, largest)

    def _source(self, name: str, version: str) -> ParquetSource:
        def opened() -> tuple[ParquetSource, int]:
            # Not the columns of the file itself, which may have them in another order.
            source = self._opened(name, list(self._dtypes))
            source.check_version(version or source.version)
            return source, 1

        return self._sources.get((name, version), opened)

    def _columns_of(self, source: ParquetSource, number: int) -> Columns:
        def decoded() -> tuple[Columns, int]:
            with self.time_spent.measure(Activity.DECODING):
                source.check_version(source.version)
                return source.decode(number)

        return self._groups.get((source.name, source.version, number), decoded)

    def _say_what_is_read(self, listed: Sequence[_Listed]) -> None:
        if self._conditions:
            _logger.info(
                "%s: %d of %d row groups can match the reader parameter filter; they are read "
                "whole, rows that do not match included",
                self._data_origin,
                sum(len(each.groups) for each in listed),
                sum(len(each.edges) - 1 for each in listed),
            )
        largest = max(listed, key=operator.attrgetter("largest_group_bytes"))
        if largest.largest_group_bytes > _LARGE_GROUP_BYTES:
            _logger.warning(
                "%s: a row group of it takes about %d MiB of memory in each worker that reads it; "
                "write the file with smaller row groups, or name fewer columns in the reader "
                "parameter columns",
                largest.file.name,
                largest.largest_group_bytes >> 20,
            )


def _runs(edges: Sequence[int], groups: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yields (first record, end) of row groups, those that follow each other as one."""
    start = end = 0
    for group in groups:
        if edges[group] != end:
            yield start, end
            start = edges[group]
        end = edges[group + 1]
    yield start, end


def _check_alike(first: _Listed, other: _Listed) -> None:
    """Checks that two files have the same columns, though perhaps in another order."""
    for one, another in ((first, other), (other, first)):
        for field in one.schema:
            if field.name not in another.schema.names:
                raise DataError(
                    f"{one.file.name} has a column {field.name!r}, which {another.file.name} has "
                    "not; name the columns that both have in the reader parameter columns=[…]"
                )
            found = another.schema.field(field.name).type
            if not same_meaning(field.type, found):
                raise DataError(
                    f"{one.file.name} has column {field.name!r} as {field.type}, but "
                    f"{another.file.name} as {found}; write one of them again, or leave the "
                    "column out by naming the others in the reader parameter columns=[…]"
                )


def _checked_columns(columns: Any) -> tuple[str, ...]:
    if (
        not isinstance(columns, list | tuple)
        or not columns
        or not all(isinstance(name, str) for name in columns)
        or len(set(columns)) < len(columns)
    ):
        raise ConfigError(
            f"the reader parameter columns is {columns!r}; it is a list of different column names, "
            "such as columns=['x', 'y']"
        )
    return tuple(columns)


def _checked_defaults(defaults: Any) -> Mapping[str, Any]:
    if not isinstance(defaults, Mapping):
        raise ConfigError(
            f"the reader parameter defaults is {defaults!r}; it has a value for each column, such "
            "as defaults={'x': 0}"
        )
    return defaults
