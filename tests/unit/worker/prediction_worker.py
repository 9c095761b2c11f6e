"""Workers that predict, in threads of the test, for a real master."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow.parquet

from elasticdl_command import eventually
from elasticdl_like.config import (
    DataConfig,
    InferenceConfig,
    JobConfig,
    JobKind,
    ModelConfig,
    TrainingConfig,
)
from elasticdl_like.job_directory import JobState
from elasticdl_like.master.main import Master, MasterConfig, run_master
from elasticdl_like.tasks import Commit, EpochKey, LeaseReply
from elasticdl_like.time_spent import TimeSpent
from elasticdl_like.worker import predict_job
from elasticdl_like.worker.master_client import Heartbeat, MasterClient
from elasticdl_like.worker.master_locator import MasterLocator

SIZES = {"a.csv": 103, "b.csv": 57}
NUM_RECORDS = sum(SIZES.values())
MODEL_FILE = """
import tensorflow as tf


def feed_batch(records, mode, metadata):
    assert mode == "prediction", mode
    features = tf.stack([tf.cast(records["x"], tf.float32), tf.cast(records["y"], tf.float32)], 1)
    return features, records["id"]
"""
_numbers = itertools.count()


class Place:
    """The files of a job.

    Attributes:
        path: the directory that they are in.
        output: where its predictions go.
        model: what predicts.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.output = path / "out"
        (path / "data").mkdir()
        number = 0
        for name, size in SIZES.items():
            rows = [f"{number + row},{(number + row) % 7},{row % 11}" for row in range(size)]
            (path / "data" / name).write_text("\n".join(["id,x,y", *rows, ""]))
            number += size
        keras.utils.set_random_seed(1)
        self.save(keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)]))

    def save(self, model: keras.Model) -> None:
        """Has another model predict."""
        self.model = model
        model.save(self.path / "model.keras")

    def config(
        self,
        code: str = MODEL_FILE,
        kept: Sequence[str] = (),
        file_format: str = "parquet",
        into_files: bool = True,
        quarantined: int = 0,
    ) -> JobConfig:
        """Returns a job of tasks of 24 records, in batches of 8."""
        name = f"predicting_{next(_numbers)}"  # modules stay imported
        (self.path / f"{name}.py").write_text(code)
        return JobConfig(
            name="job",
            kind=JobKind.PREDICTION,
            data=DataConfig("", prediction_data=str(self.path / "data")),
            model=ModelConfig(str(self.path), f"{name}.model"),
            training=TrainingConfig(
                minibatch_size=8,
                num_minibatches_per_task=3,
                shuffle=False,
                max_quarantined_records=quarantined,
            ),
            inference=InferenceConfig(
                model_path=str(self.path / "model.keras"),
                output=str(self.output) if into_files else "",
                output_format=file_format if into_files else "",
                keep_columns=tuple(kept),
            ),
        )

    @contextmanager
    def master(self, config: JobConfig) -> Iterator[Master]:
        """Runs a master of the job as long as the context lasts."""
        with run_master(config, MasterConfig(self.path / "job")) as master:
            yield master

    def expected(self) -> dict[tuple[str, int], np.ndarray]:
        """Returns what the model predicts, by shard and index."""
        numbers = np.arange(NUM_RECORDS)
        rows = np.concatenate([np.arange(size) for size in SIZES.values()])
        features = np.stack([numbers % 7, rows % 11], 1).astype(np.float32)
        shards = [
            str(self.path / "data" / name) for name, size in SIZES.items() for _ in range(size)
        ]
        predictions = self.model.predict(features, verbose=0)
        return dict(zip(zip(shards, rows.tolist(), strict=True), predictions, strict=True))

    def check_parquet(self) -> pyarrow.Table:
        """Compares the output with the model's predictions, row by row, and returns it."""
        table = pyarrow.parquet.read_table(self.output)
        places = list(zip(table["shard"].to_pylist(), table["index"].to_pylist(), strict=True))
        expected = self.expected()
        assert sorted(places) == sorted(expected)
        found = np.array(table["prediction"].to_pylist(), np.float32)
        np.testing.assert_allclose(found, [expected[place] for place in places], rtol=1e-5)
        names = {path.name for path in self.output.iterdir()}
        assert "_SUCCESS" in names
        assert "_temporary" not in names
        return table


class Client(MasterClient):
    """A worker's connection, which a test can have do something before a part is committed."""

    before_part: Callable[[Client, EpochKey], None] | None = None
    after_part: Callable[[Client, EpochKey], None] | None = None

    def commit_and_lease(self, key: EpochKey, commits: Sequence[Commit], *more: Any) -> LeaseReply:
        has_part = any(commit.part for commit in commits)
        if has_part and self.before_part is not None:
            before, self.before_part = self.before_part, None
            before(self, key)
        reply = super().commit_and_lease(key, commits, *more)
        if has_part and self.after_part is not None:
            after, self.after_part = self.after_part, None
            after(self, key)
        return reply


def client_of(master: Master) -> Client:
    return Client(MasterLocator.of_job(master.directory.path), 20.0)


def work(client: MasterClient) -> None:
    """What a worker does from its start to its end."""
    job, _ = client.register(None, "in a thread")
    with Heartbeat(client, 0.2):
        predict_job.run(client, job, TimeSpent())
    client.leave("")


def run_to_end(master: Master, *clients: MasterClient) -> None:
    """Has workers take part until the job is done, or one of them has failed."""
    with ThreadPoolExecutor(len(clients)) as threads:
        workers = [threads.submit(work, client) for client in clients]
        try:
            eventually(lambda: _has_ended(master, workers), 60)
        finally:
            for client in clients:
                client.close()


def _has_ended(master: Master, workers: Sequence[Future[None]]) -> bool:
    master.tick()
    for worker in workers:
        if worker.done():
            worker.result()
    return master.job.state is not JobState.RUNNING and all(each.done() for each in workers)
