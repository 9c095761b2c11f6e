"""Records of pyodps as Arrow columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from elasticdl_like.data_readers.arrow_columns import pyarrow

if TYPE_CHECKING:
    from elasticdl_like.data_readers.odps.columns import OdpsColumns


def record_table(records: Sequence[Any], columns: OdpsColumns) -> Any:
    """Returns `odps.models.Record`s as a `pyarrow.Table` of the requested columns.

    Args:
        records: one or more.
        columns: the columns that were asked for.

    Raises:
        pyarrow.ArrowException: a value is not of the type of its column.
    """
    values = zip(*(record.values for record in records), strict=True)
    return pyarrow.table(
        {
            name: columns.from_objects(name, column)
            for name, column in zip(columns.requested, values, strict=True)
        }
    )
