"""Where the records of a file are, to within one stretch of bytes.

An index has an entry for the beginning of some records, so far apart that it stays small beside
the data, and one for the end. What lies between two entries is a stretch: it is read as a whole,
and holds a known number of whole records.
"""

from __future__ import annotations

import bisect
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

# Entries this far apart make an index of a few ten-thousandths of the data, and a read of a
# stretch costs little more than one of a record.
DEFAULT_SPACING_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Stretch:
    """The bytes `[start_byte, end_byte)` of a file, which are the records `[start, end)`."""

    start: int
    end: int
    start_byte: int
    end_byte: int

    @property
    def count(self) -> int:
        """The number of records."""
        return self.end - self.start

    @property
    def size_bytes(self) -> int:
        """The number of bytes."""
        return self.end_byte - self.start_byte


@dataclass(frozen=True, slots=True)
class SparseIndex:
    """Where some records of a file begin.

    Attributes:
        records: the numbers of these records, ascending; last, the number after the last record.
        offsets: where each of them begins, in bytes; last, where the data ends. As many as
            `records`.
    """

    records: array[int]
    offsets: array[int]

    @property
    def num_stretches(self) -> int:
        """The number of stretches."""
        return len(self.records) - 1

    @property
    def num_records(self) -> int:
        """The number after the last record; 0 for an index of nothing."""
        return self.records[-1]

    def covering(self, start: int, end: int) -> SparseIndex:
        """Returns the part that holds the records `[start, end)`, which lie within the index."""
        first = bisect.bisect_right(self.records, start) - 1
        last = bisect.bisect_left(self.records, end, first + 1) + 1
        return SparseIndex(self.records[first:last], self.offsets[first:last])

    def holds(self, start: int, end: int) -> bool:
        """Returns whether the records `[start, end)` lie within the index."""
        return self.records[0] <= start <= end <= self.records[-1]

    def stretches(self) -> Iterator[Stretch]:
        """Yields the stretches in their order."""
        for number in range(self.num_stretches):
            yield Stretch(
                self.records[number],
                self.records[number + 1],
                self.offsets[number],
                self.offsets[number + 1],
            )

    def to_bytes(self) -> bytes:
        """Returns the index as compressed bytes, about three for each entry."""
        columns = np.array([self.records, self.offsets], np.int64)
        return zlib.compress(np.diff(columns, prepend=0).astype("<i8").T.tobytes(), 1)

    @classmethod
    def from_bytes(cls, body: bytes) -> Self:
        """Returns the index of what `to_bytes` returned.

        Raises:
            ValueError: the bytes are something else.
        """
        try:
            deltas = np.frombuffer(zlib.decompress(body), "<i8").reshape(-1, 2)
        except zlib.error as error:
            raise ValueError(f"not an index: {error}") from error
        if not len(deltas) or (deltas[1:] < 0).any():
            raise ValueError("not an index: its entries do not ascend")
        records, offsets = np.cumsum(deltas, axis=0, dtype=np.int64).T
        return cls(array("q", records.tobytes()), array("q", offsets.tobytes()))
