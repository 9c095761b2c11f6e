from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from elasticdl_like.data_readers.arrow_columns import ArrowColumns, same_meaning
from elasticdl_like.errors import ConfigError, DataError

DAY = datetime.date(1970, 1, 3)
NOON = datetime.datetime(1970, 1, 1, 12)
PAIRS = pa.list_(pa.float32(), 2)


def array_of(column: Any, **defaults: Any) -> Any:
    """Returns what becomes of one column named `x`."""
    table = pa.table({"x": column})
    columns = ArrowColumns(table.schema, defaults, "here")
    array = columns.arrays(table, "there")["x"]
    assert array.dtype == columns.dtypes["x"].base
    assert array.shape[1:] == columns.dtypes["x"].shape
    return array


@pytest.mark.parametrize(
    ("column", "dtype", "values"),
    [
        *(
            (pa.array([0, 1, 100], kind), kind.to_pandas_dtype(), [0, 1, 100])
            for kind in (pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.int32(), pa.uint32())
        ),
        (pa.array([-(2**63), 2**63 - 1], pa.int64()), np.int64, [-(2**63), 2**63 - 1]),
        (pa.array([2**64 - 1], pa.uint64()), np.uint64, [2**64 - 1]),
        *(
            (pa.array(np.array([0, 1.5], dtype)), dtype, [0, 1.5])
            for dtype in (np.float16, np.float32, np.float64)
        ),
        (pa.array([True, False, True]), np.bool_, [True, False, True]),
        (pa.array([DAY], pa.date32()), np.int32, [2]),
        (pa.array([DAY], pa.date64()), np.int64, [2 * 86_400_000]),
        (pa.array([NOON], pa.timestamp("s")), np.int64, [43_200]),
        (pa.array([NOON], pa.timestamp("us", "Asia/Tokyo")), np.int64, [43_200_000_000]),
        (pa.array([7], pa.time32("ms")), np.int32, [7]),
        (pa.array([7], pa.time64("ns")), np.int64, [7]),
        (pa.array([7], pa.duration("ms")), np.int64, [7]),
        (pa.array([Decimal("1.25")], pa.decimal128(10, 2)), np.float64, [1.25]),
        (pa.array(["a", "é", ""]), object, [b"a", "é".encode(), b""]),
        (pa.array(["a"], pa.large_string()), object, [b"a"]),
        (pa.array(["a"], pa.string_view()), object, [b"a"]),
        (pa.array([b"a\0", b""], pa.binary()), object, [b"a\0", b""]),
        (pa.array([b"a\0"], pa.large_binary()), object, [b"a\0"]),
        (pa.array([b"a\0"], pa.binary_view()), object, [b"a\0"]),
        (pa.array([b"a\0", b"\0\0"], pa.binary(2)), object, [b"a\0", b"\0\0"]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), object, [b"a", b"b", b"a"]),
        (pa.array([5, 6, 5], pa.int16()).dictionary_encode(), np.int16, [5, 6, 5]),
        (pa.array([[1, 2], [3, 4]], PAIRS), np.float32, [[1, 2], [3, 4]]),
        (pa.array([[1, 2], [3, 4], [5, 6]], PAIRS)[1:], np.float32, [[3, 4], [5, 6]]),
        (pa.array([[True, False]], pa.list_(pa.bool_(), 2)), np.bool_, [[True, False]]),
        (pa.array([], PAIRS), np.float32, np.empty((0, 2))),
        (pa.chunked_array([], pa.int64()), np.int64, []),
        (pa.chunked_array([["a"], [], ["b"]], pa.string()), object, [b"a", b"b"]),
        (pa.chunked_array([[[1, 2]], [[3, 4]]], PAIRS), np.float32, [[1, 2], [3, 4]]),
    ],
    ids=lambda value: str(value.type) if hasattr(value, "type") else "",
)
def test_types(column: Any, dtype: Any, values: Any) -> None:
    array = array_of(column)
    assert array.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(array, np.array(values, dtype))


@pytest.mark.parametrize(
    "arrow_type",
    [
        pa.list_(pa.float32()),
        pa.struct([("a", pa.int32())]),
        pa.map_(pa.string(), pa.int32()),
        pa.null(),
        pa.list_(pa.string(), 2),
        pa.list_(PAIRS, 3),
        pa.month_day_nano_interval(),
    ],
    ids=str,
)
def test_a_type_without_array(arrow_type: Any) -> None:
    schema = pa.schema([("fine", pa.int32()), ("odd", arrow_type)])
    with pytest.raises(DataError, match=r"here: column 'odd' is .*columns=\[…\]"):
        ArrowColumns(schema, {}, "here")


def test_two_columns_of_one_name() -> None:
    with pytest.raises(DataError, match="here: two columns named 'a'"):
        ArrowColumns(pa.schema([("a", pa.int32()), ("a", pa.int32())]), {}, "here")


def test_numbers_are_not_copied() -> None:
    column = pa.array(np.arange(1000))
    array = array_of(column)
    assert array.__array_interface__["data"][0] == column.buffers()[1].address
    assert not array.flags.writeable


NAN = float("nan")


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (pa.array([1.5, None], pa.float32()), [1.5, NAN]),
        (pa.array([1.5, None], pa.float16()), [1.5, NAN]),
        (pa.array([None, Decimal("1.5")], pa.decimal128(4, 1)), [NAN, 1.5]),
        (pa.array([1.5, None]).dictionary_encode(), [1.5, NAN]),
        (pa.array([[1, None], None, [3, 4]], PAIRS), [[1, NAN], [NAN, NAN], [3, 4]]),
    ],
    ids=lambda value: str(value.type) if hasattr(value, "type") else "",
)
def test_null_is_nan_among_floats(column: Any, values: Any) -> None:
    np.testing.assert_array_equal(array_of(column), values)


@pytest.mark.parametrize(
    ("column", "default", "values"),
    [
        (pa.array([1, None, 3]), -1, [1, -1, 3]),
        (pa.array([1.5, None]), 0, [1.5, 0]),
        (pa.array([True, None]), True, [True, True]),
        (pa.array(["a", None]), "?", [b"a", b"?"]),
        (pa.array(["a", None]), b"?", [b"a", b"?"]),
        (pa.array(["a", None]).dictionary_encode(), "?", [b"a", b"?"]),
        (pa.array([DAY, None], pa.date32()), 0, [2, 0]),
        (pa.array([[1, None], None], pa.list_(pa.int32(), 2)), 9, [[1, 9], [9, 9]]),
    ],
    ids=lambda value: str(value.type) if hasattr(value, "type") else "",
)
def test_null_is_the_default(column: Any, default: Any, values: Any) -> None:
    assert array_of(column, x=default).tolist() == values


@pytest.mark.parametrize(
    "column", [pa.array([1, None, 3]), pa.array(["a", None, "c"]), pa.array([True, None, False])]
)
def test_null_without_default(column: Any) -> None:
    with pytest.raises(DataError, match=r"there: 1 of 3 values of column 'x' .*defaults=\{'x': …"):
        array_of(column)


@pytest.mark.parametrize(
    ("column", "default"),
    [(pa.array([1]), "one"), (pa.array([1], pa.int8()), 1000), (pa.array(["a"]), 5)],
)
def test_a_default_that_does_not_fit(column: Any, default: Any) -> None:
    with pytest.raises(ConfigError, match=r"defaults has .* for column 'x', which is"):
        array_of(column, x=default)


def test_types_that_mean_the_same() -> None:
    same = [pa.string(), pa.large_binary(), pa.dictionary(pa.int8(), pa.string_view())]
    assert all(same_meaning(left, right) for left in same for right in same)
    assert same_meaning(pa.decimal128(4, 1), pa.decimal128(9, 2))
    for left, right in (
        (pa.int32(), pa.int64()),
        (pa.timestamp("s"), pa.timestamp("ms")),
        (pa.date32(), pa.int32()),
        (pa.float32(), PAIRS),
        (PAIRS, pa.list_(pa.float32(), 3)),
    ):
        assert not same_meaning(left, right)
