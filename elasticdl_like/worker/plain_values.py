"""Values made of JSON and NumPy arrays, as bytes; no pickle.

An uncompressed `.npz`: the JSON as `value.json`, in which an array is `{"array": number}`, and the
arrays by these numbers. A dict of the value itself is wrapped in `{"dict": …}`.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from elasticdl_like.errors import CorruptDataError
from elasticdl_like.worker.array_archive import DAMAGE_ERRORS

_JSON = "value.json"


def encode_value(value: Any) -> bytes:
    """Returns a value as bytes.

    Args:
        value: None, truth values, numbers, strings, arrays, and lists and dicts of these; NumPy's
            numbers become Python's.

    Raises:
        TypeError: there is something else in it.
    """
    arrays: list[np.ndarray[Any, Any]] = []
    text = json.dumps(_without_arrays(value, arrays))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo(_JSON), text)
        for number, array in enumerate(arrays):
            with archive.open(zipfile.ZipInfo(f"{number}.npy"), "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)
    return file.getvalue()


def decode_value(data: bytes, name: str = "a value") -> Any:
    """Returns the value that `encode_value` was given; tuples have become lists.

    Args:
        data: the bytes.
        name: what they are, for the error message.

    Raises:
        CorruptDataError: the bytes are not what `encode_value` returned.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            return _with_arrays(json.loads(archive[_JSON]), archive)
    except DAMAGE_ERRORS as error:
        raise CorruptDataError(name, 0, f"not a value: {error}") from error


def _without_arrays(value: Any, arrays: list[np.ndarray[Any, Any]]) -> Any:
    if isinstance(value, np.ndarray):
        if value.dtype.isbuiltin == 2:  # as bfloat16, which the file could not tell from any bytes
            arrays.append(np.ascontiguousarray(value).reshape(-1).view(np.uint8))
            own = {"dtype": value.dtype.name, "shape": value.shape}
        else:
            arrays.append(value)
            own = {}
        return {"array": len(arrays) - 1, **own}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {"dict": {str(key): _without_arrays(each, arrays) for key, each in value.items()}}
    if isinstance(value, list | tuple):
        return [_without_arrays(each, arrays) for each in value]
    return value


def _with_arrays(plain: Any, archive: Any) -> Any:
    if isinstance(plain, list):
        return [_with_arrays(each, archive) for each in plain]
    if isinstance(plain, dict):
        if "array" in plain:
            array = archive[str(plain["array"])]
            if "dtype" in plain:
                return array.view(np.dtype(plain["dtype"])).reshape(tuple(plain["shape"]))
            return array
        return {key: _with_arrays(each, archive) for key, each in plain["dict"].items()}
    return plain
