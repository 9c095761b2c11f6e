"""What the members of a round tell each other with each step, as numbers beside the gradients.

The numbers of all members are summed, like the gradients. So what one member alone says has a slot
of its own, which the others leave at zero, and everything has to be exact in float32: an integer
goes in digits of 16 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elasticdl_like.tasks import Interval

INLINE_INTERVALS = 4
"""How many intervals of a member travel in the header; more of them take another collective."""

_DIGIT_BITS = 16
_DIGITS = 3  # 48 bits
_INTERVAL_NUMBERS = 3 * _DIGITS
_FLAGS = 3
_SLOT = 1 + INLINE_INTERVALS * _INTERVAL_NUMBERS


@dataclass(frozen=True)
class Header:
    """What one member says.

    Attributes:
        intervals: the positions that its share of the step is made of.
        stops: whether the round is to end after this step.
        halts: whether training is to end before this step.
        ended: whether it has come to the end of the epoch.
    """

    intervals: Sequence[Interval] = ()
    stops: bool = False
    halts: bool = False
    ended: bool = False


@dataclass(frozen=True)
class Headers:
    """What all members have said.

    Attributes:
        num_stops: how many want the round to end after this step.
        num_halts: how many want training to end before it.
        num_ended: how many have come to the end of the epoch.
        num_intervals: how many intervals each member has, by rank.
        intervals: those of all members, of each at most `INLINE_INTERVALS`.
    """

    num_stops: int
    num_halts: int
    num_ended: int
    num_intervals: Sequence[int]
    intervals: Sequence[Interval]


def header_size(num_members: int) -> int:
    """Returns how many numbers a header is."""
    return _FLAGS + num_members * _SLOT


def encode_header(header: Header, rank: int, num_members: int) -> NDArray[np.float32]:
    """Returns a header as numbers, of shape `(header_size(num_members),)`."""
    numbers = np.zeros(header_size(num_members), np.float32)
    numbers[:_FLAGS] = header.stops, header.halts, header.ended
    start = _FLAGS + rank * _SLOT
    slot = numbers[start : start + _SLOT]
    slot[0] = len(header.intervals)
    for number, interval in enumerate(header.intervals[:INLINE_INTERVALS]):
        fields = (interval.token, interval.start_position, interval.end_position)
        first = 1 + number * _INTERVAL_NUMBERS
        slot[first : first + _INTERVAL_NUMBERS] = [
            value >> (_DIGIT_BITS * digit) & 0xFFFF for value in fields for digit in range(_DIGITS)
        ]
    return numbers


def decode_headers(numbers: NDArray[Any], num_members: int) -> Headers:
    """Returns what the sum of the headers of all members says."""
    slots = numbers[_FLAGS:].reshape(num_members, _SLOT)
    counts = [int(count) for count in slots[:, 0]]
    intervals = []
    for count, slot in zip(counts, slots, strict=True):
        for number in range(min(count, INLINE_INTERVALS)):
            first = 1 + number * _INTERVAL_NUMBERS
            digits = [int(digit) for digit in slot[first : first + _INTERVAL_NUMBERS]]
            intervals.append(Interval(*(_joined(digits[i : i + _DIGITS]) for i in (0, 3, 6))))
    stops, halts, ended = (int(number) for number in numbers[:_FLAGS])
    return Headers(stops, halts, ended, counts, intervals)


def encode_intervals(
    intervals: Sequence[Interval], rank: int, num_intervals: Sequence[int]
) -> NDArray[np.int64]:
    """Returns the intervals of one member in their place among those of all.

    Args:
        intervals: of this member.
        rank: its rank.
        num_intervals: how many intervals each member has, by rank.

    Returns:
        An array of shape `(sum(num_intervals), 3)` that is zero where other members fill it.
    """
    numbers = np.zeros((sum(num_intervals), 3), np.int64)
    start = sum(num_intervals[:rank])
    for number, interval in enumerate(intervals, start):
        numbers[number] = interval.token, interval.start_position, interval.end_position
    return numbers


def decode_intervals(numbers: NDArray[np.int64]) -> list[Interval]:
    """Returns the intervals of all members, from the sum of what `encode_intervals` returned."""
    return [Interval(*map(int, row)) for row in numbers]


def _joined(digits: Sequence[int]) -> int:
    return sum(digit << (_DIGIT_BITS * number) for number, digit in enumerate(digits))
