"""Arrays, maps and structs as JSON, since no tensor holds them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from elasticdl_like.data_readers.arrow_columns import pyarrow
from elasticdl_like.data_readers.extras import import_extra

odps_types = import_extra("odps.types", "odps", "MaxCompute tables")


def json_array(values: Iterable[Any], odps_type: Any) -> Any:
    """Returns a `pyarrow.Array` of JSON in UTF-8, null where a value is None.

    Args:
        values: as pyarrow or pyodps return them.
        odps_type: their type in the table.
    """
    return pyarrow.array([_encoded(value, odps_type) for value in values], pyarrow.binary())


def _encoded(value: Any, odps_type: Any) -> bytes | None:
    if value is None:
        return None
    plain = _plain(value, odps_type)
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":"), default=_text).encode()


def _plain(value: Any, odps_type: Any) -> Any:
    if value is None:
        return None
    if isinstance(odps_type, odps_types.Array):
        return [_plain(each, odps_type.value_type) for each in value]
    if isinstance(odps_type, odps_types.Map):
        pairs = value.items() if isinstance(value, dict) else value
        return {_key(key): _plain(each, odps_type.value_type) for key, each in pairs}
    if isinstance(odps_type, odps_types.Struct):
        fields = value if isinstance(value, dict) else value._asdict()
        return {name: _plain(fields[name], kind) for name, kind in odps_type.field_types.items()}
    return value


def _key(key: Any) -> Any:
    return key if isinstance(key, str | int | float | bool) else _text(key)


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
