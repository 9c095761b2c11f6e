"""Predictions in a table of MaxCompute: a row for each record, whatever is tried again."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elasticdl_command import eventually, running
from elasticdl_like.errors import ConfigError, DataError
from elasticdl_like.prediction_outputs.odps import OdpsPredictionOutputsProcessor
from elasticdl_like.tasks import Shard, Task
from odps_server import Action, Fault, Kind, OdpsServer

WORKER = Path(__file__).with_name("odps_predictions_worker.py")
RECORDS, TASK_RECORDS = 1050, 100
SHARDS = (Shard("data", 0, RECORDS),)
TASKS = [Task("data", start, min(start + 100, RECORDS)) for start in range(0, RECORDS, 100)]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OdpsServer]:
    with OdpsServer() as server:
        for name, value in (
            ("PROJECT", server.project),
            ("AK", server.access_id),
            ("SK", server.access_key),
            ("ENDPOINT", server.endpoint),
            ("TUNNEL_ENDPOINT", server.tunnel_endpoint),
        ):
            monkeypatch.setenv(f"MAXCOMPUTE_{name}", value)
        yield server


def processor(
    table: str = "predictions", partition: str = "ds=1"
) -> OdpsPredictionOutputsProcessor:
    return OdpsPredictionOutputsProcessor(
        table, ["id", "score"], ["bigint", "double"], partition=partition
    )


def predict(task: Task) -> list[Any]:
    numbers = np.arange(task.start, task.end)
    return [numbers, numbers / 8]


def check_rows(server: OdpsServer) -> None:
    rows = server.rows("predictions", "ds=1").to_pydict()
    assert rows["id"] == list(range(RECORDS))
    assert rows["score"] == [number / 8 for number in range(RECORDS)]


def test_tasks_that_are_tried_again_in_threads_while_faults_are_on(server: OdpsServer) -> None:
    coordinator = processor()
    state = coordinator.begin(SHARDS, TASK_RECORDS)
    for skip in range(0, 20, 3):
        server.add_fault(Fault(Action.RESET_BEFORE_HEADERS, kind=Kind.UPLOAD_BLOCK, skip=skip))
        server.add_fault(Fault(Action.STATUS, status=500, kind=Kind.UPLOAD_BLOCK, skip=skip))
    server.add_fault(Fault(Action.RESET_BEFORE_HEADERS, kind=Kind.COMMIT))
    workers = [processor() for _ in range(2)]
    for worker in workers:
        worker.join(state)

    def work(number: int, task: Task) -> None:
        workers[number].process_task(predict(task), task)

    with ThreadPoolExecutor(4) as threads:
        # Each task is done by both.
        done = [threads.submit(work, number, task) for task in TASKS for number in range(2)]
        for each in done:
            each.result()
    coordinator.join(state)
    coordinator.commit()
    # A coordinator that was killed before it could write down that it had done so.
    other = processor()
    other.join(state)
    other.commit()
    check_rows(server)


def test_processes_that_are_killed(server: OdpsServer, tmp_path: Path) -> None:
    coordinator = processor()
    state = coordinator.begin(SHARDS, TASK_RECORDS)
    tasks = [f"{task.start}-{task.end}" for task in TASKS]
    # Block 3 is there; its worker does not live to hear of it, and says nothing.
    server.add_fault(Fault(Action.SLOW_FIRST_BYTE, kind=Kind.UPLOAD_BLOCK, skip=3, delay_s=60))
    with running([WORKER, state, *tasks[:6]], tmp_path) as worker:
        eventually(lambda: len(server.requests(Kind.UPLOAD_BLOCK)) == 4, 60, worker)
    coordinator.join(state)
    with pytest.raises(DataError, match="are missing"):
        coordinator.commit()
    with running([WORKER, state, *tasks[3:]], tmp_path) as worker:
        finished = worker.wait(60)
    assert finished.exit_code == 0, finished.stderr
    assert finished.stdout.split() == tasks[3:]
    assert server.rows("predictions", "ds=1").num_rows == 0
    coordinator.commit()
    check_rows(server)
    assert server.access_key not in state


def test_forms_of_predictions(server: OdpsServer) -> None:
    numbers = np.arange(10.0)
    task = Task("data", 0, 10)
    for table, predictions in (
        ("matrix", np.stack([numbers, numbers / 8], axis=1)),
        ("tuple", (numbers, numbers / 8)),
        ("dict", {"score": numbers / 8, "id": numbers}),
    ):
        output = processor(table, "")
        output.join(output.begin([Shard("data", 0, 10)], 100))
        output.process_task(predictions, task)
        output.close()
        output.commit()
        assert server.rows(table).to_pydict() == {
            "id": list(range(10)),
            "score": [number / 8 for number in range(10)],
        }


def test_what_cannot_be_written(server: OdpsServer) -> None:
    output = processor()
    output.join(output.begin(SHARDS, TASK_RECORDS))
    task = TASKS[0]
    for predictions, words in (
        (np.zeros((100, 3)), "the predictions have 3 columns, and the table test_project."),
        (np.zeros((99, 2)), "99 predictions in column 'id' for 100 records"),
        (np.full((100, 2), 0.5), "column 'id' is bigint, and cannot hold"),
    ):
        with pytest.raises(DataError, match=words):
            output.process_task(predictions, task)
    parts = [("data", 0, 50), ("data", 50, 150), ("data", 1000, 1100), ("other", 0, 100)]
    for part in (Task(*each) for each in parts):
        with pytest.raises(DataError, match="are not a whole task"):
            output.process_task(predict(part), part)
    with pytest.raises(DataError, match="this is no output of predictions"):
        output.join("{}")
    with pytest.raises(ConfigError, match="20,001 tasks are more than the 20,000 blocks"):
        output.begin([Shard("data", 0, 20_001)], 1)
    with pytest.raises(ConfigError, match="2 columns and 1 column_types"):
        OdpsPredictionOutputsProcessor("t", ["a", "b"], ["bigint"])
