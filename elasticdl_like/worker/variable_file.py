"""The values of variables in one file, without pickle.

A file is an uncompressed `.npz`, which `numpy.load` reads: the values as `0`, `1`, … in the
variables' order, and `variables.json`, a list of their `name`, `shape` and `dtype`. Values of a
type that NumPy itself does not know, as bfloat16, are stored as their bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, BinaryIO

import keras
import numpy as np

from elasticdl_like.errors import CorruptDataError, ModelDefinitionError
from elasticdl_like.worker.array_archive import DAMAGE_ERRORS

_INDEX = "variables.json"
# What one call writes. Other threads may run Python between two, and writing can be given up.
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class VariableCopy:
    """A variable's value at some moment.

    Attributes:
        name: the variable's path in the model or the optimizer.
        value: its value in memory of its own, in C order.
    """

    name: str
    value: np.ndarray[Any, Any]


def copy_variables(variables: Sequence[keras.Variable]) -> list[VariableCopy]:
    """Copies the values of variables to host memory.

    Raises:
        ModelDefinitionError: a variable does not hold numbers.
    """
    copies = []
    for variable in variables:
        value = variable.numpy()
        # TensorFlow promises a copy. It matters too much to rely on that alone.
        if not (value.flags.owndata and value.flags.c_contiguous):
            value = np.array(value, order="C")
        if value.dtype.kind in "OSUT":
            raise ModelDefinitionError(
                f"the variable {variable.path!r} is of type {variable.dtype}, which no checkpoint "
                "can hold; use numbers"
            )
        copies.append(VariableCopy(variable.path, value))
    return copies


def write_variables(
    path: Path, copies: Sequence[VariableCopy], between_chunks: Callable[[], None]
) -> str:
    """Writes a file, and waits until it is on the disk.

    Args:
        path: the file.
        copies: what goes into it.
        between_chunks: called every now and then; what it raises ends the writing.

    Returns:
        The SHA-256 of the file, in hexadecimal digits.

    Raises:
        OSError: the file cannot be written.
    """
    index = [
        {"name": each.name, "shape": each.value.shape, "dtype": each.value.dtype.name}
        for each in copies
    ]
    with path.open("wb") as file:
        hashing = _HashingFile(file)
        with zipfile.ZipFile(hashing, "w") as archive:
            archive.writestr(zipfile.ZipInfo(_INDEX), json.dumps(index))
            for number, each in enumerate(copies):
                stored = each.value if each.value.dtype.isbuiltin == 1 else _bytes_of(each.value)
                with archive.open(zipfile.ZipInfo(f"{number}.npy"), "w", force_zip64=True) as entry:
                    np.lib.format.write_array_header_1_0(
                        entry, np.lib.format.header_data_from_array_1_0(stored)
                    )
                    flat = _bytes_of(stored)
                    for start in range(0, len(flat), _CHUNK_BYTES):
                        between_chunks()
                        entry.write(flat[start : start + _CHUNK_BYTES].data)
        file.flush()
        between_chunks()
        os.fsync(file.fileno())
    return hashing.sha256()


def assign_variables(path: Path, variables: Sequence[keras.Variable]) -> None:
    """Gives variables the values of a file, or leaves all of them as they are.

    They are told apart by their order. Names, without the numbers that Keras adds to them, shapes
    and types have to be the same.

    Raises:
        CorruptDataError: it is not a file that `write_variables` wrote.
        ModelDefinitionError: these are not the variables that the file was made of.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            index = [
                (str(each["name"]), tuple(each["shape"]), str(each["dtype"]))
                for each in json.loads(archive[_INDEX])
            ]
            check_same(str(path), index, variables)
            values = [archive[str(number)] for number in range(len(index))]
    except DAMAGE_ERRORS as error:
        raise CorruptDataError(str(path), 0, f"not a file of variables: {error}") from error
    for variable, value in zip(variables, values, strict=True):
        own = variable.numpy()
        is_bytes = own.dtype.isbuiltin != 1
        variable.assign(value.view(own.dtype).reshape(own.shape) if is_bytes else value)


def check_same(
    source: str,
    index: Sequence[tuple[str, tuple[int, ...], str]],
    variables: Sequence[keras.Variable],
) -> None:
    """Checks that variables are those that something was made of.

    Args:
        source: what was made of them, for the error message.
        index: their names, shapes and types.
        variables: the variables that are here.

    Raises:
        ModelDefinitionError: they differ in more than the numbers that Keras adds to names.
    """
    own = ((each.path, tuple(each.shape), str(each.dtype)) for each in variables)
    for number, (theirs, ours) in enumerate(zip_longest(index, own)):
        if theirs is None or ours is None or _comparable(theirs) != _comparable(ours):
            raise ModelDefinitionError(
                f"{source} is of another model or optimizer: variable {number} is {_shown(theirs)} "
                f"there and {_shown(ours)} here; use the model definition that it was made "
                "with, or another checkpoint"
            )


class _HashingFile(io.RawIOBase):
    """Hashes what passes through to a file; one cannot go back in it."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file
        self._sha256 = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._sha256.update(data)
        return self._file.write(data)

    def sha256(self) -> str:
        return self._sha256.hexdigest()


def _bytes_of(value: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return value.reshape(-1).view(np.uint8)


def _comparable(each: tuple[str, tuple[int, ...], str]) -> tuple[str, tuple[int, ...], str]:
    """Leaves out Keras' numbers, which count what else the process has made before."""
    name, shape, dtype = each
    return re.sub(r"_\d+", "", name), shape, dtype


def _shown(each: tuple[str, tuple[int, ...], str] | None) -> str:
    return "missing" if each is None else f"{each[0]!r} of shape {each[1]}, {each[2]}"
