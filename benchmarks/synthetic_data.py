"""A data set of any size that takes no room: shards whose records nobody reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class CustomDataReader:
    """Shards of the same number of records each.

    Args:
        data_origin: the number of records of a shard.
        num_shards: the number of shards.
    """

    def __init__(self, data_origin: str, num_shards: int) -> None:
        self._num_records = int(data_origin)
        self._num_shards = num_shards

    def create_shards(self) -> dict[str, tuple[int, int]]:
        return {f"shard-{number:04d}": (0, self._num_records) for number in range(self._num_shards)}

    def read_records(self, task: Any) -> Iterator[bytes]:
        raise NotImplementedError("there is nothing to read")
