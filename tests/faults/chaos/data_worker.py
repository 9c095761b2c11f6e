"""A data worker under test: reads what it leases, commits batches across leases, logs all of it.

    python -m faults.chaos.data_worker OPTIONS_JSON

Nothing is leased before the file `go` exists. The log has one JSON list a line; each line is one
write, so that a killed process leaves whole lines.

    ["life", incarnation]             registered; a process has several lives if it is given up
    ["read", epoch, n]                n records came out of the reader
    ["intent", step, epoch, [[token, p0, p1], …], [record, …]]
    ["counted", step, n]              the master's reply counts it
    ["fenced", step, n]               the master's reply refuses it
    ["abandoned", why]                the rest of this life's leases is let go
    ["death", point]                  the next thing is SIGKILL
    ["left"]                          the job has no more work
"""

from __future__ import annotations

import faulthandler
import json
import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from elasticdl_like.data_readers.lease_reader import LeaseReader
from elasticdl_like.data_readers.registry import make_reader
from elasticdl_like.errors import JobFailedError, LeaseLostError, UnknownWorkerError
from elasticdl_like.tasks import Commit, EpochKey, Interval, Lease, LeaseReply, TaskType
from elasticdl_like.worker.master_client import Heartbeat, MasterClient
from elasticdl_like.worker.master_locator import MasterLocator
from elasticdl_like.worker.task_stream import Signal, TaskStream
from faults.chaos.data_plan import Death, Point

_HEARTBEAT_S = 0.25
_MASTER_TIMEOUT_S = 60.0
_GO_POLL_S = 0.01


class Log:
    """The log, and the deaths that workers are to die at their own hand.

    One comes after the other. How often its point was passed, by all workers together, is the size
    of a file; whoever makes the file `death-N` dies it.
    """

    def __init__(self, path: Path, deaths: Sequence[Death]) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._directory = path.parent
        self._deaths = deaths

    def write(self, *line: Any) -> None:
        os.write(self._file, json.dumps(line).encode() + b"\n")

    def pass_point(self, point: Point) -> None:
        for number, death in enumerate(self._deaths):
            died = self._directory / f"death-{number}"
            if died.exists():
                continue
            if death.point is point and self._pass(number) >= death.count:
                try:
                    died.touch(exist_ok=False)
                except FileExistsError:
                    return
                self.write("death", point)
                os.kill(os.getpid(), signal.SIGKILL)
            return

    def _pass(self, number: int) -> int:
        with (self._directory / f"passes-{number}").open("ab") as file:
            file.write(b".")
            file.flush()
            return file.tell()


class LoggingClient(MasterClient):
    """Writes down which commits the master has counted, as soon as it says so."""

    log: Log

    def commit_and_lease(
        self,
        key: EpochKey,
        commits: Sequence[Commit],
        max_leases: int,
        returned: Sequence[int] = (),
        loss: float | None = None,
        step: int = 0,
    ) -> LeaseReply:
        reply = super().commit_and_lease(key, commits, max_leases, returned, loss, step)
        for commit in commits:
            word = "fenced" if commit.step in reply.fenced_steps else "counted"
            self.log.write(word, commit.step, sum(each.size for each in commit.intervals))
        if any(commit.intervals for commit in commits):
            self.log.pass_point(Point.AFTER_COUNTED)
        return reply


class Batch:
    """Records that were read and will be committed together."""

    def __init__(self) -> None:
        self.intervals: list[Interval] = []
        self.records: list[str] = []


class DataWorker:
    """One process; each life is one registration."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        deaths = [Death(Point(point), count) for point, count in options["deaths"]]
        self._log = Log(Path(options["log"]), deaths)
        self._chance = random.Random(options["seed"])
        self._step = 0

    def run(self) -> None:
        while True:
            try:
                self._live()
            except UnknownWorkerError as error:
                self._log.write("abandoned", str(error))
            except JobFailedError as error:
                # The last of the others has left, and the job is finished.
                self._log.write("abandoned", str(error))
                if "the job is finished" not in str(error):
                    raise
                return
            else:
                self._log.write("left")
                return

    def _live(self) -> None:
        token = Path(self._options["token_file"]).read_text().strip()
        locator = MasterLocator.at(self._options["address"], token)
        client = LoggingClient(locator, _MASTER_TIMEOUT_S)
        client.log = self._log
        try:
            job, start = client.register(None, f"pid {os.getpid()}")
            self._log.write("life", client.incarnation)
            reader = LeaseReader(
                make_reader(
                    job.data.training_data, job.data, job.model, job.training.records_per_task
                )
            )
            while not Path(self._options["go_file"]).exists():
                time.sleep(_GO_POLL_S)
            with Heartbeat(client, _HEARTBEAT_S):
                epoch = start.epoch
                while epoch < job.training.num_epochs:
                    try:
                        with TaskStream(client, EpochKey(TaskType.TRAINING, epoch)) as stream:
                            self._take_part(stream, reader)
                    except LeaseLostError as error:
                        self._log.write("abandoned", str(error))
                    else:
                        self._log.pass_point(Point.EPOCH_CHANGE)
                        epoch += 1
                client.leave("")
        finally:
            client.close()

    def _take_part(self, stream: TaskStream, reader: LeaseReader) -> None:
        batch = Batch()
        while (event := stream.next()) is not Signal.END:
            if isinstance(event, Lease):
                self._log.pass_point(Point.AFTER_LEASE)
                parts = reader.read(event)
                records = [str(each, "utf-8") for part in parts for each in part]
                self._log.write("read", stream.key.epoch, len(records))
                batch = self._use(stream, event, records, batch)
            elif batch.records:
                self._commit(stream, batch)
                batch = Batch()
        if batch.records:
            self._log.write("abandoned", "the epoch ended while records were held")

    def _use(self, stream: TaskStream, lease: Lease, records: list[str], batch: Batch) -> Batch:
        position = lease.start_position
        while records:
            room = self._options["records_per_commit"] - len(batch.records)
            taken, records = records[:room], records[room:]
            batch.intervals.append(Interval(lease.token, position, position + len(taken)))
            batch.records += taken
            position += len(taken)
            self._log.pass_point(Point.MID_BATCH)
            if len(batch.records) == self._options["records_per_commit"]:
                self._commit(stream, batch)
                batch = Batch()
        return batch

    def _commit(self, stream: TaskStream, batch: Batch) -> None:
        time.sleep(self._options["pace_s"])
        self._step += 1
        intervals = [
            [each.token, each.start_position, each.end_position] for each in batch.intervals
        ]
        self._log.write("intent", self._step, stream.key.epoch, intervals, batch.records)
        self._log.pass_point(Point.BEFORE_COMMIT)
        stream.commit(self._step, batch.intervals)
        self._log.pass_point(Point.AFTER_COMMIT)
        if self._chance.random() < self._options["flush_share"]:
            stream.flush()


if __name__ == "__main__":
    faulthandler.enable()
    DataWorker(json.loads(sys.argv[1])).run()
