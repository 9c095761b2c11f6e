"""Which records of a data set go to which file of its conversion: pure arithmetic, and its JSON."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from elasticdl_like.data_readers.places import Places
from elasticdl_like.errors import DataError
from elasticdl_like.tasks import Shard, Task

_FORMAT_VERSION = 1


@dataclass(frozen=True)
class ConversionPlan:
    """Cuts a data set, its shards one after the other, into files of a number of records.

    The same plan gives the same files, so that a conversion that was cut off goes on with those
    that are missing.

    Attributes:
        settings: what else decides what is written; JSON values.
        shards: the shards of the source, in their order.
        records_per_file: of every file but the last.
    """

    settings: Mapping[str, Any]
    shards: tuple[Shard, ...]
    records_per_file: int

    @property
    def num_records(self) -> int:
        """The number of records."""
        return sum(shard.count for shard in self.shards)

    @property
    def num_files(self) -> int:
        """The number of files."""
        return -(-self.num_records // self.records_per_file)

    def file_names(self, suffix: str) -> list[str]:
        """Returns the names of the files, which sort in the order of the records."""
        count = self.num_files
        width = max(5, len(str(count)))
        return [f"data-{number:0{width}}-of-{count:0{width}}{suffix}" for number in range(count)]

    def files(self) -> Iterator[tuple[Task, ...]]:
        """Yields what each file holds, as ranges of the shards; each range knows where it is."""
        places = Places(self.shards)
        for start in range(0, places.num_records, self.records_per_file):
            end = min(start + self.records_per_file, places.num_records)
            yield tuple(places.tasks_between(start, end))

    def to_json(self) -> str:
        """Returns what tells this plan from that of another conversion, as JSON."""
        return json.dumps(
            {
                "format": _FORMAT_VERSION,
                "settings": self.settings,
                "records_per_file": self.records_per_file,
                "shards": _identities(self.shards),
            },
            indent=1,
        )


def planned_before(text: str, settings: Mapping[str, Any], shards: Iterable[Shard]) -> int:
    """Returns the `records_per_file` of a plan that was made before, of the same conversion.

    Args:
        text: what `to_json` returned then.
        settings: those of now.
        shards: those of now.

    Raises:
        DataError: it was another conversion, or the source has changed since; the message says
            what is different.
    """
    try:
        plain = json.loads(text)
        version, records_per_file = plain["format"], int(plain["records_per_file"])
        old_settings, old_shards = dict(plain["settings"]), list(plain["shards"])
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"it cannot be read ({error})") from error
    if version != _FORMAT_VERSION:
        raise DataError(f"it is of another version of elasticdl (format {version})")
    plain_settings = json.loads(json.dumps(settings))
    for name in old_settings | plain_settings:
        old, new = old_settings.get(name), plain_settings.get(name)
        if old != new:
            raise DataError(f"{name} was {old!r} and is {new!r} now")
    for old, new in itertools.zip_longest(old_shards, _identities(shards)):
        if old != new:
            raise DataError(f"the source has changed: {_change(old, new)}")
    return records_per_file


def records_per_file_of_size(num_records: int, record_bytes: float, file_bytes: int) -> int:
    """Returns how many records to put into each file, so that all are of about one size.

    Args:
        num_records: of the data set.
        record_bytes: the size of a record as it is stored, on average.
        file_bytes: the size of a file at most, as far as the average is right.
    """
    at_most = max(1, int(file_bytes / max(record_bytes, 1e-9)))
    num_files = -(-num_records // at_most)
    return -(-num_records // num_files)


def _identities(shards: Iterable[Shard]) -> list[list[Any]]:
    return [[shard.name, shard.first, shard.count, shard.version] for shard in shards]


def _change(old: list[Any] | None, new: list[Any] | None) -> str:
    if new is None or old is None or old[0] != new[0]:
        return f"it has shard {new[0]!r} now" if new else f"shard {(old or ['?'])[0]!r} is gone"
    if old[1:3] != new[1:3]:
        return f"shard {old[0]!r} had {old[2]} records from {old[1]} on, now {new[2]} from {new[1]}"
    return f"shard {old[0]!r} was {old[3]}, and is {new[3]} now"
