"""Rows to the bytes of the tunnel and back, with the client's own writers, readers and checksums.

The client's writers turn times by the time zone that its options name. The server keeps instants
in UTC and must not depend on options that tests change, so it writes (and reads) a datetime and a
date as the integer, and a timestamp as the interval, that they are on the wire anyway.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple, Self

import pyarrow as pa
from odps import types
from odps.config import option_context
from odps.models import Record
from odps.tunnel.io.reader import ArrowStreamReader, TunnelRecordReader
from odps.tunnel.io.stream import SimpleInputStream
from odps.tunnel.io.types import odps_schema_to_arrow_schema
from odps.tunnel.io.writer import BaseArrowWriter, BaseRecordWriter

from .errors import ServiceError

_INSTANTS_AS_INTEGERS = (types.Datetime, types.Date)
_INSTANTS_AS_INTERVALS = (types.Timestamp, types.TimestampNTZ)


def encode_arrow(rows: pa.Table, schema: types.OdpsSchema, batch_rows: int) -> bytes:
    """The arrow body of `rows`, in record batches of at most `batch_rows` rows."""
    out = io.BytesIO()
    with _ArrowWriter(schema, out) as writer:
        for batch in rows.to_batches(max_chunksize=batch_rows):
            writer.write(batch)
    return out.getvalue()


class _ArrowWriter(BaseArrowWriter):
    """The client's chunks and checksums without its conversions, which need pandas."""

    def write(self, data: pa.RecordBatch) -> None:
        message = memoryview(data.serialize())
        while message:
            piece = message[: self._chunk_size - self._cur_chunk_size]
            self._write_chunk(bytes(piece))
            message = message[len(piece) :]


def decode_arrow(data: bytes, schema: types.OdpsSchema) -> pa.Table:
    """The rows of an uploaded arrow body.

    Raises:
        ServiceError: CorruptedDataStream, when a checksum does not fit or the body ends early.
    """
    arrow_schema = odps_schema_to_arrow_schema(schema)
    try:
        with pa.ipc.open_stream(ArrowStreamReader(io.BytesIO(data), arrow_schema)) as reader:
            return reader.read_all()
    except (OSError, pa.ArrowException, ValueError) as error:
        raise _corrupted(error) from error


def encode_records(rows: pa.Table, schema: types.OdpsSchema) -> bytes:
    """The record body of `rows`, which have just the columns of `schema`, in its order."""
    out = io.BytesIO()
    wire_schema = _wire_schema(schema)
    columns = [
        _wire_values(rows.column(index), column.type)
        for index, column in enumerate(schema.simple_columns)
    ]
    with BaseRecordWriter(wire_schema, out) as writer:
        for values in zip(*columns, strict=True):
            record = Record(schema=wire_schema)
            # Not `values=`, which checks them, slowly, and takes intervals of pandas only.
            record._values[:] = values
            writer.write(record)
    return out.getvalue()


def decode_records(data: bytes, schema: types.OdpsSchema) -> pa.Table:
    """The rows of an uploaded record body.

    Raises:
        ServiceError: CorruptedDataStream, when a checksum does not fit or the body is malformed.
    """
    streams = [SimpleInputStream(io.BytesIO(data))]

    def open_stream(_cursor: int, **_options: Any) -> SimpleInputStream:
        if not streams:
            raise OSError("the record body is malformed")
        return streams.pop()

    wire_schema = _wire_schema(schema)
    try:
        with option_context() as options:  # of this thread alone
            options.tunnel.require_stream_footer = True
            options.retry_times = 0
            reader = TunnelRecordReader(wire_schema, open_stream, append_partitions=False)
        records = [record.values for record in reader]
    except (OSError, EOFError, ValueError) as error:
        raise _corrupted(error) from error
    arrow_schema = odps_schema_to_arrow_schema(schema)
    columns = []
    for index, column in enumerate(schema.simple_columns):
        from_wire = _from_wire(column.type)
        values = [None if row[index] is None else from_wire(row[index]) for row in records]
        storage_type = _integer_storage(arrow_schema.field(index).type)
        columns.append(pa.array(values, storage_type).cast(arrow_schema.field(index).type))
    return pa.table(columns, schema=arrow_schema)


def compress(body: bytes, accepted: str) -> tuple[bytes, str]:
    """The body as sent, and its Content-Encoding; "" when it is sent as it is."""
    if "deflate" in accepted:
        return zlib.compress(body, 1), "deflate"
    return body, ""


def decompress(body: bytes, encoding: str) -> bytes:
    if encoding in ("", "identity"):
        return body
    if encoding != "deflate":
        raise ServiceError(400, "InvalidArgument", f"Content-Encoding {encoding} is not known here")
    try:
        return zlib.decompress(body)
    except zlib.error as error:
        raise _corrupted(error) from error


def _corrupted(error: Exception) -> ServiceError:
    return ServiceError(
        400,
        "CorruptedDataStream",
        f"The data stream was corrupted, please try again later: {error}",
    )


def _wire_schema(schema: types.OdpsSchema) -> types.OdpsSchema:
    return types.OdpsSchema(
        [types.Column(column.name, _wire_type(column.type)) for column in schema.simple_columns]
    )


def _wire_type(column_type: types.DataType) -> types.DataType:
    if isinstance(column_type, _INSTANTS_AS_INTEGERS):
        return types.bigint
    if isinstance(column_type, _INSTANTS_AS_INTERVALS):
        return types.interval_day_time
    if isinstance(column_type, types.Array):
        return types.Array(_wire_type(column_type.value_type))
    if isinstance(column_type, types.Map):
        return types.Map(_wire_type(column_type.key_type), _wire_type(column_type.value_type))
    return column_type


def _integer_storage(arrow_type: pa.DataType) -> pa.DataType:
    """The type with the integers behind dates and times in their place."""
    if pa.types.is_timestamp(arrow_type):
        return pa.int64()
    if pa.types.is_date32(arrow_type):
        return pa.int32()
    if pa.types.is_map(arrow_type):
        return pa.map_(
            _integer_storage(arrow_type.key_type), _integer_storage(arrow_type.item_type)
        )
    if pa.types.is_list(arrow_type):
        return pa.list_(_integer_storage(arrow_type.value_type))
    return arrow_type


def _wire_values(column: pa.ChunkedArray, column_type: types.DataType) -> list[Any]:
    values = column.cast(_integer_storage(column.type)).to_pylist()
    if not isinstance(column_type, (*_INSTANTS_AS_INTERVALS, types.Array, types.Map)):
        return values
    to_wire = _to_wire(column_type)
    return [None if value is None else to_wire(value) for value in values]


class _Interval(NamedTuple):
    """Nanoseconds as the client's writer of intervals takes them."""

    days: int
    seconds: int
    microseconds: int
    nanoseconds: int

    @classmethod
    def of(cls, nanoseconds: int) -> Self:
        seconds, nanoseconds = divmod(nanoseconds, 1_000_000_000)
        return cls(0, seconds, 0, nanoseconds)


def _to_wire(column_type: types.DataType) -> Callable[[Any], Any]:
    if isinstance(column_type, _INSTANTS_AS_INTERVALS):
        return _Interval.of
    if isinstance(column_type, types.Array):
        item = _to_wire(column_type.value_type)
        return lambda values: [None if value is None else item(value) for value in values]
    if isinstance(column_type, types.Map):
        to_key, to_value = _to_wire(column_type.key_type), _to_wire(column_type.value_type)
        return lambda pairs: {
            to_key(key): None if value is None else to_value(value) for key, value in pairs
        }
    return lambda value: value


def _from_wire(column_type: types.DataType) -> Callable[[Any], Any]:
    if isinstance(column_type, _INSTANTS_AS_INTERVALS):
        return lambda interval: interval.value
    if isinstance(column_type, types.Array):
        item = _from_wire(column_type.value_type)
        return lambda values: [None if value is None else item(value) for value in values]
    if isinstance(column_type, types.Map):
        from_key, from_value = _from_wire(column_type.key_type), _from_wire(column_type.value_type)
        return lambda pairs: [
            (from_key(key), None if value is None else from_value(value))
            for key, value in pairs.items()
        ]
    return lambda value: value
