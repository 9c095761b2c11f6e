"""Parts that Arrow writes: Parquet, and csv."""

from __future__ import annotations

import io
from typing import Any

from numpy.typing import NDArray

from elasticdl_like.data_readers.extras import import_extra
from elasticdl_like.data_readers.parquet.writer import RECORD_COLUMN
from elasticdl_like.errors import DataError
from elasticdl_like.prediction_outputs.part_formats import Columns

pyarrow = import_extra("pyarrow", "arrow", "writing predictions as Parquet or csv")
parquet = import_extra("pyarrow.parquet", "arrow", "writing predictions as Parquet")
csv = import_extra("pyarrow.csv", "arrow", "writing predictions as csv")


def encode_parquet(columns: Columns) -> bytes:
    """Returns a Parquet file.

    An array of several values for each row is a list of fixed size. Bytes are a column of strings
    if all of them are text in UTF-8, and else a binary one, which that of whole records always is.

    Raises:
        DataError: a column is of a type that Parquet does not have.
    """
    table = pyarrow.table({name: _arrow_array(name, each) for name, each in columns.items()})
    file = io.BytesIO()
    parquet.write_table(table, file, compression="zstd", write_page_checksum=True)
    return file.getvalue()


def encode_csv(columns: Columns) -> bytes:
    """Returns a csv file in UTF-8, with the names of the columns in its first line.

    Raises:
        DataError: a column has several values for each row, or is not text.
    """
    arrays = {name: _csv_array(name, column) for name, column in columns.items()}
    file = io.BytesIO()
    csv.write_csv(pyarrow.table(arrays), file)
    return file.getvalue()


def _csv_array(name: str, column: NDArray[Any]) -> Any:
    values = column[:, 0] if column.ndim == 2 and column.shape[1] == 1 else column
    if values.ndim > 1:
        raise DataError(
            f"the column {name!r} has an array of shape {column.shape[1:]} for each record, and "
            "csv has single values only; choose --prediction_format parquet or jsonl"
        )
    array = _arrow_array(name, values)
    if pyarrow.types.is_float16(array.type):
        return array.cast(pyarrow.float32())
    if not pyarrow.types.is_binary(array.type):
        return array
    if not _is_text(array):
        raise DataError(
            f"the column {name!r} holds bytes that are not text in UTF-8, and csv is text; choose "
            "--prediction_format parquet"
        )
    return array.cast(pyarrow.string())


def _arrow_array(name: str, column: NDArray[Any]) -> Any:
    try:
        array = pyarrow.array(column.reshape(-1))
        if pyarrow.types.is_binary(array.type) and name != RECORD_COLUMN and _is_text(array):
            array = array.cast(pyarrow.string())
        # From the innermost axis outwards.
        for size in reversed(column.shape[1:]):
            array = pyarrow.FixedSizeListArray.from_arrays(array, size)
    except (pyarrow.ArrowException, TypeError, ValueError) as error:
        raise DataError(f"the column {name!r} cannot be written: {error}") from error
    return array


def _is_text(array: Any) -> bool:
    try:
        array.cast(pyarrow.string())
    except pyarrow.ArrowInvalid:
        return False
    return True
