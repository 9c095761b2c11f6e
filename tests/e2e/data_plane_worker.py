"""A worker of a job without a model: reads what it leases, and writes down what it commits.

    python data_plane_worker.py JOB_DIR LOG_FILE [before|after COMMITS]

Nothing is leased before a line comes on standard input. A worker that the master has given up
registers afresh. The log has one JSON object a line:

    {"event": "registered"}                        once for each time
    {"event": "intent", "epoch": 0, "ids": […]}    these are about to be committed
    {"event": "counted", "epoch": 0, "ids": […]}   the master has acknowledged them
    {"event": "holding"}                           nothing happens until another line comes

With `before` or `after` the worker holds once, before it sends, or after it was acknowledged, a
commit that follows that many others; its log then ends with an intent that was not counted, or
was counted though no line says so. Whoever kills it there knows which of the two it is.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from elasticdl_like.data_readers.base import RecordBatch
from elasticdl_like.data_readers.lease_reader import LeaseReader
from elasticdl_like.data_readers.registry import make_reader
from elasticdl_like.errors import ElasticdlError, UnknownWorkerError
from elasticdl_like.tasks import EpochKey, Interval, Lease, TaskType
from elasticdl_like.worker.master_client import Heartbeat, MasterClient
from elasticdl_like.worker.master_locator import MasterLocator
from elasticdl_like.worker.task_stream import Signal, TaskStream

RECORDS_PER_COMMIT = 10


class Worker:
    def __init__(self, log_path: Path, hold_point: str, hold_after: int) -> None:
        # Each line is one write: a killed process leaves whole lines.
        self._log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._hold_point = hold_point
        self._hold_after = hold_after
        self._commits = 0
        self._begun = False

    def work(self, job_directory: Path) -> None:
        locator = MasterLocator.of_job(job_directory)
        known = False
        while not known:
            client = MasterClient(locator, master_timeout_s=30)
            try:
                self._live(client)
                known = True
            except UnknownWorkerError as error:
                print(f"{error}: registering afresh", file=sys.stderr)
            finally:
                client.close()

    def _live(self, client: MasterClient) -> None:
        job, start = client.register(None, f"pid {os.getpid()}")
        reader = LeaseReader(
            make_reader(job.data.training_data, job.data, None, job.training.records_per_task)
        )
        self._write({"event": "registered"})
        with Heartbeat(client, interval_s=0.2):
            if not self._begun:
                sys.stdin.readline()
                self._begun = True
            for epoch in range(start.epoch, job.training.num_epochs):
                with TaskStream(client, EpochKey(TaskType.TRAINING, epoch)) as stream:
                    self._take_part(stream, reader)
            client.leave("")

    def _take_part(self, stream: TaskStream, reader: LeaseReader) -> None:
        while (event := stream.next()) is not Signal.END:
            if isinstance(event, Lease):
                for interval, ids in _pieces(event, reader):
                    self._commit(stream, interval, ids)

    def _commit(self, stream: TaskStream, interval: Interval, ids: list[int]) -> None:
        account = {"epoch": stream.key.epoch, "ids": ids}
        self._write({"event": "intent"} | account)
        self._hold("before")
        stream.commit(self._commits + 1, [interval])
        stream.flush()
        self._hold("after")
        self._write({"event": "counted"} | account)
        self._commits += 1

    def _hold(self, point: str) -> None:
        if (point, self._commits) == (self._hold_point, self._hold_after):
            self._hold_point = ""
            self._write({"event": "holding"})
            sys.stdin.readline()

    def _write(self, line: dict[str, object]) -> None:
        os.write(self._log, json.dumps(line).encode() + b"\n")


def _pieces(lease: Lease, reader: LeaseReader) -> Iterator[tuple[Interval, list[int]]]:
    ids = [record_id for batch in reader.read(lease) for record_id in _ids(batch)]
    for offset in range(0, lease.size, RECORDS_PER_COMMIT):
        piece = ids[offset : offset + RECORDS_PER_COMMIT]
        start = lease.start_position + offset
        yield Interval(lease.token, start, start + len(piece)), piece


def _ids(batch: RecordBatch) -> list[int]:
    """Returns the numbers that the records are; of columns, the one named `id`."""
    if not isinstance(batch, dict):
        return [int(record) for record in batch]
    ids = [int(each) for each in batch["id"]]
    if [text.decode() for text in batch["text"]] != [f"row {each}" for each in ids]:
        raise AssertionError(f"the columns of {ids[0]} to {ids[-1]} do not belong together")
    return ids


if __name__ == "__main__":
    hold_point, hold_after = (*sys.argv[3:], "", "-1")[:2]
    try:
        Worker(Path(sys.argv[2]), hold_point, int(hold_after)).work(Path(sys.argv[1]))
    except ElasticdlError as error:
        sys.exit(f"{type(error).__name__}: {error}")
