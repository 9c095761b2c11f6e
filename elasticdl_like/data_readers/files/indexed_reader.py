"""The base of every reader of files in which records are found by a sparse index.

A file is a shard, and its path or URL the shard's name. What is particular to a format is a
`FileFormat`; the reader of the format hands one to the base, and that is all:

    class LinesFormat(FileFormat):
        name = "lines/1"
        suffixes = (".txt",)

        def scan(self, file: RandomAccessFile) -> SparseIndex: ...

        def decode(self, file_name: str, stretch: Stretch, data: bytes) -> list[bytes]: ...


    class LinesDataReader(IndexedFileReader):
        def __init__(self, *, data_origin: str, index_dir: str = "") -> None:
            super().__init__(LinesFormat(), data_origin=data_origin, index_dir=index_dir)
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property

from elasticdl_like.data_readers.base import BatchDataReader, RecordBatch
from elasticdl_like.data_readers.equal_records import EqualRecords
from elasticdl_like.data_readers.files import RandomAccessFile, list_files
from elasticdl_like.data_readers.files.index_cache import FileIndex, IndexCache
from elasticdl_like.data_readers.files.recent import RecentFiles, RecentStretches
from elasticdl_like.data_readers.files.scan_processes import index_file
from elasticdl_like.data_readers.files.scanning import index_files
from elasticdl_like.data_readers.files.source import changed_file
from elasticdl_like.data_readers.reading import batch_size, slice_batch
from elasticdl_like.errors import ConfigError, CorruptDataError, DataError
from elasticdl_like.sparse_index import SparseIndex, Stretch
from elasticdl_like.tasks import Task
from elasticdl_like.time_spent import Activity

# Adjacent stretches are read at once, because each call gives other threads the interpreter, and
# costs a round trip when the file is far away; up to here, because a task may be very large.
_MAX_READ_BYTES = 4 << 20
# How often what was indexed so far is kept on disk, so that little is lost when a process is cut
# off; seldom, because all of it is written each time.
_KEEP_INTERVAL_S = 30.0


class FileFormat(ABC):
    """What is particular to one format of files.

    All methods may be called by several threads at once.

    Attributes:
        name: the format and the version of what `scan` returns for it; indexes are kept under it.
        suffixes: how the names of its files in a directory end, in lower case; anything if empty.
        scans_in_threads: whether several threads scan local files faster than one, because most of
            it is done outside the interpreter. If not, processes help; to them a format is pickled.
        decodes_runs: whether it has `decode_run`, which takes less time than `decode` each time.
    """

    name: str
    suffixes: tuple[str, ...] = ()
    scans_in_threads = True
    decodes_runs = False

    @abstractmethod
    def scan(self, file: RandomAccessFile) -> SparseIndex:
        """Returns where the records of a file are, from 0 on, in memory that does not grow with it.

        A file without records has an index of no stretches.

        Raises:
            CorruptDataError: it is not a file of this format.
            DataError: it cannot be read.
        """

    @abstractmethod
    def decode(self, file_name: str, stretch: Stretch, data: bytes) -> RecordBatch:
        """Returns all `stretch.count` records of a stretch.

        Args:
            file_name: for error messages.
            stretch: which records of the file these are, and where.
            data: the bytes of the stretch.

        Raises:
            CorruptDataError: the bytes are something else than so many whole records.
        """

    def decode_run(self, file_name: str, run: Sequence[Stretch], data: bytes) -> RecordBatch:
        """Returns all records of adjacent stretches.

        Args:
            file_name: for error messages.
            run: the stretches, at least one.
            data: the bytes of all of them.

        Raises:
            CorruptDataError: as `decode`, or a stretch has another number of records.
        """
        raise NotImplementedError

    def natural_splits(self, index: SparseIndex) -> Sequence[int]:
        """Returns at which records of a file tasks had better begin, if that matters."""
        return ()

    def describe(self, file: RandomAccessFile, index: SparseIndex) -> Mapping[str, str]:
        """Returns what `elasticdl data inspect` shows of a file besides size and records."""
        return {}


class IndexedFileReader(BatchDataReader):
    """Reads files of one format; a shard is a file, and its name the path or URL.

    A task that brings its part of the index and the version of the file, as those of a job do, is
    read without looking at the rest of the file. For any other task the file is indexed, once.

    Args:
        file_format: the format.
        data_origin: as that of `files.list_files`.
        index_dir: a directory for indexes, which spare the next process to make them again; ""
            for none.

    Raises:
        ConfigError: `data_origin` is empty.
    """

    reads_in_parallel = True

    def __init__(self, file_format: FileFormat, *, data_origin: str, index_dir: str) -> None:
        super().__init__(data_origin=data_origin)
        if not data_origin:
            raise ConfigError("data_origin is empty; name a file, a directory or a glob pattern")
        self._format = file_format
        self._data_origin = data_origin
        self._index_dir = index_dir
        self._indexing = threading.Lock()
        self._indexes: dict[str, FileIndex] = {}
        self._files = RecentFiles()
        self._stretches = RecentStretches()

    def create_shards(self) -> dict[str, tuple[int, int]]:
        """Returns `{path or URL: (0, number of records)}` for the files that have records.

        Raises:
            ConfigError: the scheme of the data origin needs a package that is missing.
            DataError: there is no such source, something in it is not a file, or it has no record.
            CorruptDataError: a file that is damaged or of another format.
        """
        self.make_indexes()
        counts = {name: each.index.num_records for name, each in sorted(self._indexes.items())}
        shards = {name: (0, count) for name, count in counts.items() if count}
        if not shards:
            raise DataError(
                f"{self._data_origin}: no record in it ({len(counts)} files, all of them empty); "
                "check the path of the data"
            )
        return shards

    def make_indexes(
        self, on_indexed: Callable[[int, int], None] = lambda done, total: None
    ) -> tuple[int, int]:
        """Indexes the files that are not indexed yet, and keeps that in the directory for indexes.

        Args:
            on_indexed: called with how many files were indexed, and how many are to be.

        Returns:
            How many files there are, and how many of them had an index.

        Raises:
            ConfigError: the scheme of the data origin needs a package that is missing.
            DataError: there is no such source, or something in it is not a file.
            CorruptDataError: a file that is damaged or of another format.
        """
        files = list_files(self._data_origin, self._format.suffixes)
        with self._indexing:
            known = {**self._on_disk, **self._indexes}
            current: dict[str, FileIndex] = {
                file.name: known[file.name]
                for file in files
                if file.name in known and known[file.name].version == file.version
            }
            new = [file.name for file in files if file.name not in current]
            kept_s = time.monotonic()

            def note(found: Mapping[str, FileIndex]) -> None:
                nonlocal kept_s
                on_indexed(len(found), len(new))
                if time.monotonic() - kept_s > _KEEP_INTERVAL_S:
                    self._cache.save({**current, **found})
                    kept_s = time.monotonic()

            if new:
                current |= index_files(new, self._format.scan, self._format.scans_in_threads, note)
                self._cache.save(current)
            self._indexes = current
        return len(files), len(files) - len(new)

    def version(self, shard_name: str) -> str:
        """Returns the version of the file."""
        return self._indexed(shard_name).version

    def sparse_index(self, shard_name: str) -> SparseIndex:
        """Returns where the records of the file are."""
        return self._indexed(shard_name).index

    def natural_splits(self, shard_name: str) -> Sequence[int]:
        """Returns at which records of the file tasks had better begin; none if any are as good."""
        return self._format.natural_splits(self._indexed(shard_name).index)

    def describe(self, shard_name: str) -> Mapping[str, str]:
        """Returns what is particular to the file, for `elasticdl data inspect`.

        Raises:
            DataError: it cannot be read, or changed since it was indexed.
        """
        indexed = self._indexed(shard_name)
        return self._format.describe(self._files.get(shard_name, indexed.version), indexed.index)

    def read_record_batches(self, task: Task) -> Iterator[RecordBatch]:
        """Yields the records of the task, in batches of one stretch or of several.

        A local file that is replaced by another meanwhile is read on as it was; one that is
        changed in place is an error.

        Raises:
            DataError: the file is missing, unreadable, changed since it was indexed, or has no
                such records.
            CorruptDataError: a stretch that is damaged.
        """
        name = task.shard_name
        indexed = self._index_for(task)
        if task.start == task.end:
            return
        stretches = list(indexed.index.covering(task.start, task.end).stretches())
        number = 0
        while number < len(stretches):
            first = stretches[number]
            kept = self._stretches.get(name, indexed.version, first.start_byte)
            if kept is not None:
                yield _part(kept, first, task)
                number += 1
                continue
            following = number + 1
            while (
                following < len(stretches)
                and stretches[following].end_byte - first.start_byte <= _MAX_READ_BYTES
            ):
                following += 1
            last = stretches[following - 1]
            # Asked for anew each time, because the file is compared with what was indexed.
            file = self._files.get(name, indexed.version)
            data = file.read(first.start_byte, last.end_byte - first.start_byte)
            for part, batch in self._decoded(name, stretches[number:following], data):
                # What the next task may need as well: the rest of the stretch, or, when it is
                # another part of the same records in another order, all of it.
                if part.start < task.start:
                    self._keep(name, indexed.version, first, batch, part)
                if part.end == stretches[-1].end:
                    self._keep(name, indexed.version, last, batch, part)
                yield _part(batch, part, task)
            number = following

    def _keep(
        self, name: str, version: str, stretch: Stretch, batch: RecordBatch, run: Stretch
    ) -> None:
        """Keeps the records of one stretch of a run, without what holds all others in memory."""
        if stretch.count < run.count:
            batch = slice_batch(batch, stretch.start - run.start, stretch.end - run.start)
            if isinstance(batch, EqualRecords):
                batch = batch.copy()
        self._stretches.add(name, version, stretch.start_byte, batch)

    def _decoded(
        self, name: str, run: Sequence[Stretch], data: bytes
    ) -> Iterator[tuple[Stretch, RecordBatch]]:
        """Yields each stretch of a run, or all as one, with its records."""
        first, last = run[0], run[-1]
        if self._format.decodes_runs:
            with self.time_spent.measure(Activity.DECODING):
                batch = self._format.decode_run(name, run, data)
            yield Stretch(first.start, last.end, first.start_byte, last.end_byte), batch
            return
        for stretch in run:
            begin = stretch.start_byte - first.start_byte
            own = data[begin : begin + stretch.size_bytes]
            with self.time_spent.measure(Activity.DECODING):
                batch = self._format.decode(name, stretch, own)
            check_count(name, stretch, batch_size(batch))
            yield stretch, batch

    def _index_for(self, task: Task) -> FileIndex:
        """Returns the index that the task brings, or else that of the file."""
        if task.index is not None and task.index.holds(task.start, task.end):
            return FileIndex(task.version, task.index)
        indexed = self._indexed(task.shard_name)
        if task.version and task.version != indexed.version:
            raise changed_file(task.shard_name, task.version, indexed.version)
        if not indexed.index.holds(task.start, task.end):
            raise DataError(
                f"{task.shard_name}: asked for the records [{task.start}, {task.end}), but the "
                f"file holds {indexed.index.num_records}; make the shards again from the file as "
                "it is"
            )
        return indexed

    def _indexed(self, name: str) -> FileIndex:
        with self._indexing:
            indexed = self._indexes.get(name)
            if indexed is None:
                indexed = self._on_disk.get(name)
                if indexed is None or self._files.get(name).version != indexed.version:
                    indexed = index_file(name, self._format.scan)
                self._indexes[name] = indexed
            return indexed

    @cached_property
    def _cache(self) -> IndexCache:
        # Not made before it is needed, because the name of a format may depend on the files.
        return IndexCache(self._index_dir, self._data_origin, self._format.name)

    @cached_property
    def _on_disk(self) -> Mapping[str, FileIndex]:
        return self._cache.load()


def check_count(file_name: str, stretch: Stretch, num_records: int) -> None:
    """Compares what was found in a stretch with what there was when the file was indexed.

    Raises:
        CorruptDataError: it is another number of records.
    """
    if num_records != stretch.count:
        raise CorruptDataError(
            file_name,
            stretch.start_byte,
            f"{num_records} records where there were {stretch.count} when the file was indexed; "
            "copy or write the file again, or leave it out",
        )


def _part(batch: RecordBatch, stretch: Stretch, task: Task) -> RecordBatch:
    """Returns the part of a stretch that belongs to a task; of a list, as a list of its own."""
    return slice_batch(batch, max(task.start - stretch.start, 0), task.end - stretch.start)
