"""How fast do other frameworks read the same records into memory, against ours?

Optional: it installs them from PyPI, each into a virtual environment of its own under
`~/.cache/elasticdl-benchmarks`; two bring PyTorch along, which makes 12 GB. 307,200 records of 89
bytes in batches of 256 (ours: snappy RecordIO), and 3,072 records of 100 KiB of random bytes in
batches of 32 (ours: RecordIO, not compressed). All of them read local files in the page cache in
one process, without shuffling; how, and in which format, is said in `peer_reader.py`. Ours hands
out tasks of 512 records by master and gRPC, commits, and ends in tensors. A sample is one epoch, of
the others at most its first 3 s. To be ahead of each is asked. All but the tf.data
service end in bytes objects, and so are spared the copy into tensors.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from common import RECORD_BYTES, epochs_of_new_job, make_examples, write_recordio
from comparison import Row, table, take_turns
from worker_processes import WorkerProcesses

from elasticdl_like.data_readers.recordio import Compressor, RecordIODataReader

PROGRAM = Path(__file__).parent / "peer_reader.py"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "elasticdl-benchmarks"
TASK_RECORDS = 64 * 8
SAMPLE_S = 3.0
ROUNDS = 5


@dataclass(frozen=True)
class Peer:
    """Another framework.

    Attributes:
        name: for the table.
        reader: the function of `peer_reader.py`.
        packages: what it needs; nothing for what is here anyway.
    """

    name: str
    reader: str
    packages: tuple[str, ...] = ()

    def python(self) -> str:
        """Returns a Python that has the packages, which are installed if they are not yet."""
        if not self.packages:
            return sys.executable
        environment = CACHE / "_".join(self.packages).replace("==", "-")
        python = environment / "bin" / "python"
        complete = environment / "complete"
        if not complete.exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", environment], check=True)
            command = [str(python), "-m", "pip", "install", "--quiet", *self.packages]
            subprocess.run(command, check=True, stdout=sys.stderr)
            complete.touch()
        return str(python)


_GRAIN = ("grain==0.2.18", "array-record==0.8.6")
PEERS = (
    Peer("grain 0.2.18", "grain", _GRAIN),
    Peer("ArrayRecord 0.8.6", "array_record", _GRAIN),
    Peer("mosaicml-streaming 0.13.0", "mosaicml_streaming", ("mosaicml-streaming==0.13.0",)),
    Peer("WebDataset 1.0.2", "webdataset", ("webdataset==1.0.2",)),
    Peer("litData 0.2.76", "litdata", ("litdata==0.2.76",)),
    Peer("tf.data service", "tf_data_service"),
)


@dataclass(frozen=True)
class Size:
    """Records of one size, and how they are read."""

    name: str
    record_bytes: int
    record_count: int
    batch: int
    compressor: Compressor
    unit: str
    units_per_record: float

    def records(self) -> list[bytes]:
        """Returns the records."""
        if self.record_bytes == RECORD_BYTES:
            return make_examples(self.record_count)
        rng = random.Random(0)
        return [rng.randbytes(self.record_bytes) for _ in range(self.record_count)]


SMALL = Size("89 bytes", RECORD_BYTES, 307_200, 256, Compressor.SNAPPY, "records/s", 1.0)
LARGE = Size("100 KiB", 100 << 10, 3_072, 32, Compressor.NONE, "MB/s", (100 << 10) / 1e6)


def measure(size: Size, folder: Path, stack: ExitStack) -> list[Row]:
    """Measures ours and all others in turns."""
    records = size.records()
    path = folder / "records.recordio"
    write_recordio(path, records, size.compressor)
    source = folder / "records.bytes"
    source.write_bytes(b"".join(records))
    del records
    ours = epochs_of_new_job(
        stack,
        RecordIODataReader(data_origin=str(path)),
        path,
        size.record_count,
        batch=size.batch,
        task_records=TASK_RECORDS,
    )

    def in_units(records_per_s: Callable[[], float]) -> Callable[[], float]:
        return lambda: records_per_s() * size.units_per_record

    name = f"RecordIO {size.compressor}, {size.name}"
    sides = {name: in_units(ours.records_per_s)}
    for peer in PEERS:
        files = folder / peer.reader
        files.mkdir()
        command = [peer.python(), str(PROGRAM), peer.reader, str(source), str(size.record_bytes)]
        command += [str(files), str(size.batch)]
        reading = WorkerProcesses(stack, command, 1, SAMPLE_S)
        sides[peer.name] = in_units(reading.rate("records"))
    samples = take_turns(sides, ROUNDS)
    return [Row(name, samples[name], peer.name, samples[peer.name], 1.0) for peer in PEERS]


def main() -> None:
    for size in (SMALL, LARGE):
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            print(table(measure(size, Path(folder), stack), size.unit), end="\n\n")


if __name__ == "__main__":
    main()
