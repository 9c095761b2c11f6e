"""Seeded orders: of the tasks of an epoch, and of the positions inside a task.

Both depend on nothing but their arguments, and are defined here down to the bit, because a journal
or a checkpoint written by one version must mean the same to the next. NumPy's generators do not
promise that (NEP 19).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MASK_64 = (1 << 64) - 1
_GOLDEN_GAMMA = 0x9E3779B97F4A7C15
_FEISTEL_ROUNDS = 4
# So few numbers are hashed faster one by one.
_FEW = 16


def mix(value: int) -> int:
    """Hashes a 64-bit integer: the output function of SplitMix64 (Steele et al., 2014)."""
    value = (value + _GOLDEN_GAMMA) & _MASK_64
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK_64
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK_64
    return value ^ (value >> 31)


def derive_key(*parts: int) -> int:
    """Returns a 64-bit key that depends on every part and on their order."""
    key = 0
    for part in parts:
        key = mix(key ^ mix(part & _MASK_64))
    return key


def permuted(index: int, size: int, key: int) -> int:
    """Returns where the permutation of `range(size)` chosen by `key` takes `index`.

    A balanced Feistel network over the next even number of bits, walked along its cycle until the
    result is in range (Black and Rogaway, 2002): constant memory, at most 4 walks on average.

    Args:
        index: at least 0 and below `size`.
        size: at least 1.
        key: 64 bits.
    """
    half_bits = max(1, ((size - 1).bit_length() + 1) // 2)
    half_mask = (1 << half_bits) - 1
    while True:
        left, right = index >> half_bits, index & half_mask
        for round_number in range(_FEISTEL_ROUNDS):
            left, right = right, left ^ (mix(key ^ mix(right << 3 | round_number)) & half_mask)
        index = left << half_bits | right
        if index < size:
            return index


def permuted_run(start: int, end: int, size: int, key: int) -> list[int]:
    """Returns `permuted` of each index in `[start, end)`: much faster than one by one."""
    places: list[int] = permuted_each(np.arange(start, end), size, key).tolist()
    return places


def permuted_each(indices: NDArray[np.int64], size: int, key: int) -> NDArray[np.int64]:
    """Returns `permuted` of each index, as int64 of the same shape `(n,)`."""
    half_bits = np.uint64(max(1, ((size - 1).bit_length() + 1) // 2))
    half_mask = np.uint64((1 << int(half_bits)) - 1)
    index = indices.astype(np.uint64)
    walking = np.arange(len(index))
    while len(walking) > _FEW:
        left, right = index[walking] >> half_bits, index[walking] & half_mask
        for round_number in range(_FEISTEL_ROUNDS):
            keyed = np.uint64(key) ^ _mix_each(right << np.uint64(3) | np.uint64(round_number))
            left, right = right, left ^ (_mix_each(keyed) & half_mask)
        index[walking] = left << half_bits | right
        walking = walking[index[walking] >= np.uint64(size)]
    for number in walking.tolist():
        index[number] = permuted(int(index[number]), size, key)
    return index.astype(np.int64)


def derived_keys(key: int, start: int, end: int) -> list[int]:
    """Returns `derive_key(key, part)` of each part in `[start, end)`."""
    parts = np.arange(start, end, dtype=np.uint64)
    keys: list[int] = _mix_each(np.uint64(derive_key(key)) ^ _mix_each(parts)).tolist()
    return keys


def position_order(size: int, key: int) -> NDArray[np.int64]:
    """Returns the record offset at each position of a task: int64, shape (size,).

    The offsets 0 … size-1, sorted by a keyed hash of the offset.
    """
    with np.errstate(over="ignore"):
        value = np.arange(size, dtype=np.uint64) * np.uint64(_GOLDEN_GAMMA) + np.uint64(key)
    return np.argsort(_finalised(value), kind="stable")


def _mix_each(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Returns `mix` of each."""
    return _finalised(value + np.uint64(_GOLDEN_GAMMA))


def _finalised(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
