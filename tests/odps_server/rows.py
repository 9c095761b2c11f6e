"""Rows as tests write them (tuples, dictionaries, Arrow tables), as Arrow tables."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import pyarrow as pa

Rows: TypeAlias = pa.Table | Sequence[Sequence[Any]] | Sequence[Mapping[str, Any]]


def to_arrow(rows: Rows, schema: pa.Schema) -> pa.Table:
    """`rows` as a table of `schema`.

    A naive datetime is taken as UTC. A map may be a dictionary. What a dictionary
    row lacks is null.

    Raises:
        ValueError: A row has not as many values as `schema` has columns.
    """
    if isinstance(rows, pa.Table):
        return rows.select(schema.names).cast(schema)
    listed = [
        [row.get(name) for name in schema.names] if isinstance(row, Mapping) else list(row)
        for row in rows
    ]
    for number, row in enumerate(listed):
        if len(row) != len(schema):
            raise ValueError(f"row {number} has {len(row)} values, the table has {len(schema)}")
    columns = [
        pa.array([_value(row[index]) for row in listed], type=schema.field(index).type)
        for index in range(len(schema))
    ]
    return pa.table(columns, schema=schema)


def _value(value: Any) -> Any:
    """Arrow takes a map as a list of pairs."""
    if isinstance(value, Mapping):
        return [(_value(key), _value(item)) for key, item in value.items()]
    if isinstance(value, list):
        return [_value(item) for item in value]
    return value


def to_text(table: pa.Table) -> str:
    """An Arrow table as text that JSON can carry."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return base64.b64encode(sink.getvalue()).decode()


def from_text(text: str) -> pa.Table:
    with pa.ipc.open_stream(base64.b64decode(text)) as reader:
        return reader.read_all()


def concatenated(tables: Sequence[pa.Table]) -> pa.Table:
    """In one piece, so that slices are found at once."""
    return pa.concat_tables(tables).combine_chunks()
