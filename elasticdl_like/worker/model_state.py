"""The state of a model in one piece of memory, as agents hold it and give it to each other.

    magic           8 bytes, with the version of the format
    length          8 bytes, little-endian: of the header
    header          JSON: step, extra, and name, shape and type of each variable
    values          the bytes of each variable, and of the extra, each at a multiple of 64

Everything in it is in the order of the model's variables, then the optimizer's.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from elasticdl_like.errors import CorruptDataError, ModelDefinitionError
from elasticdl_like.worker.plain_values import decode_value, encode_value
from elasticdl_like.worker.variable_file import check_same

_MAGIC = b"edlstat1"
_ALIGNMENT = 64
_NAME = "the state from another worker"


def pack_state(
    step: int, model: keras.Model, extra: Any, allocate: Callable[[int], memoryview]
) -> None:
    """Writes the state of a model and its optimizer into memory.

    Args:
        step: the step whose state it is.
        model: the model, with an optimizer that has its variables.
        extra: what has to be known beside: JSON and NumPy arrays.
        allocate: given a size in bytes, returns memory of that size to write to.

    Raises:
        ModelDefinitionError: a variable does not hold numbers.
    """
    variables = [*model.variables, *model.optimizer.variables]
    encoded = encode_value(extra)
    sizes = [len(encoded), *map(_size_bytes, variables)]
    index = [[variable.path, list(variable.shape), _type(variable).name] for variable in variables]
    text = json.dumps({"step": step, "variables": index, "sizes": sizes}).encode()
    starts, end = _places(len(text), sizes)
    memory = allocate(end)
    start = len(_MAGIC) + 8
    memory[:start] = _MAGIC + len(text).to_bytes(8, "little")
    memory[start : start + len(text)] = text
    memory[starts[0] : starts[0] + len(encoded)] = encoded
    for variable, start in zip(variables, starts[1:], strict=True):
        # One at a time: together they may be as large as what is free.
        value = np.ascontiguousarray(variable.numpy()).reshape(-1).view(np.uint8)
        np.frombuffer(memory, np.uint8)[start : start + len(value)] = value


def unpack_state(memory: memoryview, model: keras.Model) -> tuple[int, Any]:
    """Gives a model and its optimizer the state that is in memory.

    Args:
        memory: what `pack_state` wrote.
        model: the model, built, with an optimizer that has its variables.

    Returns:
        The step whose state it is, and the extra.

    Raises:
        CorruptDataError: it is not what `pack_state` wrote.
        ModelDefinitionError: it is the state of another model.
    """
    header, first = _header(memory)
    try:
        step, sizes = int(header["step"]), [int(size) for size in header["sizes"]]
        index = [
            (str(name), tuple(shape), str(dtype)) for name, shape, dtype in header["variables"]
        ]
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise CorruptDataError(_NAME, 0, f"its header cannot be used: {error!r}") from error
    starts, end = _places(first, sizes)
    if len(sizes) != len(index) + 1 or min(sizes) < 0 or end > len(memory):
        raise CorruptDataError(
            _NAME, 0, f"{len(memory)} bytes, but its header tells of {end} in {len(sizes)} pieces"
        )
    variables = [*model.variables, *model.optimizer.variables]
    check_same(_NAME, index, variables)
    for variable, start, size in zip(variables, starts[1:], sizes[1:], strict=True):
        if size != _size_bytes(variable):
            raise CorruptDataError(_NAME, start, f"{size} bytes for {variable.path!r}")
    extra = decode_value(bytes(memory[starts[0] : starts[0] + sizes[0]]), _NAME)
    for variable, start, size in zip(variables, starts[1:], sizes[1:], strict=True):
        value = np.frombuffer(memory, np.uint8)[start : start + size]
        variable.assign(value.view(_type(variable)).reshape(tuple(variable.shape)))
    return step, extra


def _type(variable: keras.Variable) -> np.dtype[Any]:
    try:
        dtype: np.dtype[Any] = np.dtype(variable.dtype)
    except TypeError:
        raise ModelDefinitionError(
            f"the variable {variable.path!r} is of type {variable.dtype}, which cannot be given to "
            "other workers; use numbers"
        ) from None
    return dtype


def _size_bytes(variable: keras.Variable) -> int:
    shape: tuple[int, ...] = tuple(variable.shape)
    return math.prod(shape) * _type(variable).itemsize


def _header(memory: memoryview) -> tuple[dict[str, Any], int]:
    start = len(_MAGIC) + 8
    if bytes(memory[: len(_MAGIC)]) != _MAGIC:
        raise CorruptDataError(_NAME, 0, "it does not begin as a state does")
    length = int.from_bytes(memory[len(_MAGIC) : start], "little")
    if start + length > len(memory):
        raise CorruptDataError(_NAME, start, f"a header of {length} bytes in {len(memory)}")
    try:
        header = json.loads(bytes(memory[start : start + length]))
    except ValueError as error:
        raise CorruptDataError(_NAME, start, f"its header is no JSON: {error}") from error
    if not isinstance(header, dict):
        raise CorruptDataError(_NAME, start, "its header is no object")
    return header, length


def _places(header_bytes: int, sizes: Sequence[int]) -> tuple[list[int], int]:
    """Returns where each piece begins, and where the last one ends."""
    starts, end = [], len(_MAGIC) + 8 + header_bytes
    for size in sizes:
        start = -(-end // _ALIGNMENT) * _ALIGNMENT
        starts.append(start)
        end = start + size
    return starts, end
