"""How large a record will be in the files of a conversion, from a sample."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from elasticdl_like.data_readers.conversion.output_format import OutputFormat
from elasticdl_like.data_readers.conversion.rows import column_names_of
from elasticdl_like.data_readers.places import Places
from elasticdl_like.data_readers.reading import DataReader, batch_bytes, batch_size, read_task
from elasticdl_like.tasks import Shard, Task

_PLACES = 3  # the beginning, the middle and the end of the data set
_RECORDS_AT_ONCE = 64
_MAX_RECORDS = 4096  # of a place
_MAX_BYTES = 4 << 20


def estimate_record_bytes(
    reader: DataReader, shards: Sequence[Shard], output_format: OutputFormat
) -> float:
    """Returns the size of a record, on average, as it is stored in the format.

    Writes some thousand records from several places to a file that is removed again.

    Raises:
        DataError: the records cannot be read, or the format cannot hold them.
        OSError: the file cannot be written.
    """
    column_names = column_names_of(reader)
    count = 0
    with tempfile.TemporaryDirectory(prefix="elasticdl-") as directory:
        path = Path(directory, f"sample{output_format.suffix}")
        with output_format.open(path) as write:
            for sample in _samples(shards):
                sample_bytes = 0
                for start in range(sample.start, sample.end, _RECORDS_AT_ONCE):
                    if sample_bytes > _MAX_BYTES:
                        break
                    part = sample.part(start, min(start + _RECORDS_AT_ONCE, sample.end))
                    for batch in read_task(reader, part):
                        write(batch, column_names)
                        count += batch_size(batch)
                        sample_bytes += batch_bytes(batch)
        return path.stat().st_size / count


def _samples(shards: Sequence[Shard]) -> Iterator[Task]:
    places = Places(shards)
    total = places.num_records
    starts = (number * max(total - _MAX_RECORDS, 0) // (_PLACES - 1) for number in range(_PLACES))
    for start in sorted(set(starts)):
        yield from places.tasks_between(start, min(start + _MAX_RECORDS, total))
