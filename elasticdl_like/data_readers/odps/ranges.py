"""Fetches a range of records, whatever happens on the way; all of them, or an error."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Generator
from enum import StrEnum
from typing import Any

from elasticdl_like.data_readers.arrow_columns import pyarrow
from elasticdl_like.data_readers.odps.columns import OdpsColumns
from elasticdl_like.data_readers.odps.failures import Failure, failure_of
from elasticdl_like.data_readers.odps.fast_checksum import speed_up
from elasticdl_like.data_readers.odps.patience import Patience
from elasticdl_like.data_readers.odps.record_columns import record_table

# Those of the last batch are lost when a stream breaks.
_RECORDS_AT_ONCE = 512


class Mode(StrEnum):
    """In which form records come over the wire."""

    ARROW = "arrow"
    RECORD = "record"


class _ShortStreamError(OSError):
    """A stream ended before all records had come."""


class RangeFetcher:
    """Fetches ranges of records from download sessions. Thread-safe.

    Args:
        columns: the columns.
        mode: the form in which records come.
        patience: tries again.
        call: runs a function that uses pyodps.
    """

    def __init__(
        self,
        columns: OdpsColumns,
        mode: Mode,
        patience: Patience,
        call: Callable[[Callable[[], Any]], Any],
    ) -> None:
        self._columns = columns
        self._mode = mode
        self._patience = patience
        self._call = call

    def fetch(
        self,
        what: str,
        get_session: Callable[[], Any],
        renew: Callable[[Any], None],
        start: int,
        count: int,
    ) -> Any:
        """Returns records of a session as a `pyarrow.Table`.

        What has come before a failure is kept, and the rest is asked for.

        Args:
            what: which records they are, for messages.
            get_session: returns the session.
            renew: replaces the session, which has expired.
            start: the first record.
            count: how many records; 1 or more.

        Raises:
            DataChangedError: the table is not what it was.
            DataError, ConfigError: they cannot be had.
        """
        tries = self._patience.tries(what)
        parts: list[Any] = []
        done = 0

        def fetch_rest() -> None:
            nonlocal done
            with contextlib.closing(self._stream(session, start + done, count - done)) as stream:
                for part in stream:
                    if part.num_rows > count - done:
                        raise ValueError(
                            f"{done + part.num_rows} records came, {count} were asked for"
                        )
                    if part.num_rows:
                        parts.append(part)
                        done += part.num_rows
                        tries.got_on()
            if done < count:
                raise _ShortStreamError(f"{done} of {count} records came, and no more")

        while done < count:
            session = get_session()
            self._columns.check_schema(session.schema)
            try:
                self._call(fetch_rest)
            except Exception as error:  # noqa: BLE001 - `failed` raises what is for good
                if failure_of(error) is Failure.EXPIRED:
                    renew(session)
                tries.failed(error)
        return pyarrow.concat_tables(parts)

    def _stream(self, session: Any, start: int, count: int) -> Generator[Any]:
        wanted = list(self._columns.requested)
        # All of them need not be named, which keeps the address of the request short.
        names = None if wanted == [each.name for each in session.schema.simple_columns] else wanted
        if self._mode is Mode.ARROW:
            with session.open_arrow_reader(start, count, columns=names) as reader:
                speed_up(reader)
                while (batch := reader.read_next_batch()) is not None:
                    yield pyarrow.Table.from_batches([batch])
            return
        with session.open_record_reader(
            start, count, columns=names, append_partitions=False
        ) as reader:
            while records := list(itertools.islice(reader, _RECORDS_AT_ONCE)):
                yield record_table(records, self._columns)
