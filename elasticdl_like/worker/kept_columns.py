"""Columns of the input that are passed through to an output."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elasticdl_like.data_readers.base import RecordBatch
from elasticdl_like.data_readers.conversion.rows import column_names_of, column_values
from elasticdl_like.data_readers.reading import batch_size
from elasticdl_like.errors import ConfigError

RECORD_COLUMN = "record"
"""Stands for the whole record, where records are bytes without columns."""


class KeptColumns:
    """Takes the columns that a user wants to keep out of records.

    Args:
        names: the columns.
        reader: the reader of the records.

    Raises:
        ConfigError: the reader knows its columns, and one of the names is not among them.
    """

    def __init__(self, names: Sequence[str], reader: object) -> None:
        self._names = names
        self._column_names = column_names_of(reader)
        if self._column_names:
            self._check(self._column_names)

    def of(self, records: RecordBatch) -> dict[str, NDArray[Any]]:
        """Returns the columns of some records.

        Raises:
            ConfigError: there is no such column.
        """
        columns = column_values(records, self._column_names)
        if not columns and _are_bytes(records):
            columns = {RECORD_COLUMN: _objects(records)}
        self._check(columns)
        return {name: columns[name] for name in self._names}

    def _check(self, columns: Iterable[str]) -> None:
        there = list(columns)
        for name in self._names:
            if name not in there:
                raise ConfigError(
                    f"--keep_columns: the data has no column {name!r}; it has "
                    f"{', '.join(there) or 'records without names for columns'}"
                )


def _are_bytes(records: RecordBatch) -> bool:
    return not isinstance(records, dict) and all(isinstance(each, bytes) for each in records)


def _objects(records: RecordBatch) -> NDArray[Any]:
    array = np.empty(batch_size(records), object)
    array[:] = list(records)
    return array
