from __future__ import annotations

import pyarrow as pa
import pytest
from odps.models import Record, TableSchema

from elasticdl_like.data_readers.odps.columns import ColumnChoice, OdpsColumns
from elasticdl_like.data_readers.odps.record_columns import record_table
from elasticdl_like.errors import ConfigError, DataError


def schema(**types: str) -> TableSchema:
    return TableSchema.from_lists(list(types), list(types.values()))


def test_json_comes_as_text_but_only_with_records() -> None:
    table = schema(id="bigint", document="json")
    columns = OdpsColumns(table, ColumnChoice(null_masks=["document"]), "p.t")
    columns.check_as_records()
    with pytest.raises(ConfigError, match=r"'document' is json, .* mode='record'"):
        columns.check_as_arrow()
    values = [[1, {"a": [1.5, "é"]}], [2, None]]
    records = record_table([Record(schema=table, values=each) for each in values], columns)
    found = columns.arrays(records, {}, "p.t")
    assert found["document"].tolist() == ['{"a":[1.5,"é"]}'.encode(), b""]
    assert found["document_is_null"].tolist() == [False, True]


def test_a_map_may_have_keys_of_any_type() -> None:
    columns = OdpsColumns(schema(m="map<bigint,struct<d:date>>"), ColumnChoice(), "p.t")
    kind = pa.map_(pa.int64(), pa.struct([("d", pa.date32())]))
    table = pa.table({"m": pa.array([[(7, {"d": 1})]], kind)})
    assert columns.arrays(table, {}, "p.t")["m"].tolist() == [b'{"7":{"d":"1970-01-02"}}']


def test_a_decimal_with_many_digits_is_a_float() -> None:
    columns = OdpsColumns(schema(price="decimal"), ColumnChoice(), "p.t")
    records = [Record(schema=schema(price="decimal"), values=["12345678901234567890.5"])]
    assert columns.arrays(record_table(records, columns), {}, "p.t")["price"].tolist() == [
        12345678901234567890.5
    ]


def test_intervals_have_no_array() -> None:
    for kind in ("interval_day_time", "interval_year_month"):
        with pytest.raises(DataError, match="of which no array can be made; leave it out"):
            OdpsColumns(schema(span=kind), ColumnChoice(), "p.t")
        OdpsColumns(schema(span=kind, id="bigint"), ColumnChoice(["id"]), "p.t")


def test_a_session_must_have_the_columns_of_the_table() -> None:
    columns = OdpsColumns(schema(a="bigint", b="string"), ColumnChoice(), "p.t")
    columns.check_schema(schema(b="string", a="bigint", c="double"))
    with pytest.raises(DataError, match="column 'b' is string now, and bigint in the snapshot"):
        columns.check_schema(schema(a="bigint", b="bigint"))
    with pytest.raises(DataError, match="column 'b' is string now, and not there"):
        columns.check_schema(schema(a="bigint"))
