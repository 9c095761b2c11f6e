"""Records of one length, handled as rows of memory instead of one Python object each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

# What is longer is better off as `bytes`: it is handed to TensorFlow as such, and copying it takes
# longer than making the object.
LONG_RECORD_BYTES = 512


class EqualRecords(Sequence[bytes]):
    """What a list of `bytes` of one length is, without making them before somebody looks at them.

    Args:
        rows: dtype `V<length>`, shape (records,); any strides.
    """

    __slots__ = ("rows",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, rows: NDArray[np.void]) -> None:
        self.rows = rows

    @property
    def length_bytes(self) -> int:
        """The length of each record."""
        return self.rows.dtype.itemsize

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.to_list())

    @overload
    def __getitem__(self, index: int) -> bytes: ...

    @overload
    def __getitem__(self, index: slice) -> EqualRecords: ...

    def __getitem__(self, index: int | slice) -> bytes | EqualRecords:
        if isinstance(index, slice):
            return EqualRecords(self.rows[index])
        record: bytes = self.rows[index].tobytes()
        return record

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self.to_list() == list(other)

    def __repr__(self) -> str:
        return repr(self.to_list())

    def copy(self) -> EqualRecords:
        """Returns the same records in memory of their own."""
        return EqualRecords(self.rows.copy())

    def take(self, indices: NDArray[np.int64]) -> EqualRecords:
        """Returns the records with these indices, in their order."""
        return EqualRecords(self.rows[indices])

    def to_list(self) -> list[bytes]:
        """Returns the records as a list."""
        records: list[bytes] = self.rows.tolist()
        return records


def join_records(parts: Sequence[Sequence[bytes]]) -> Sequence[bytes]:
    """Returns all records of at least one part, as rows if those of all parts are of one length."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    if isinstance(first, EqualRecords) and all(
        isinstance(part, EqualRecords) and part.length_bytes == first.length_bytes for part in parts
    ):
        return EqualRecords(np.concatenate([part.rows for part in parts]))  # type: ignore[attr-defined]
    return [record for part in parts for record in part]
