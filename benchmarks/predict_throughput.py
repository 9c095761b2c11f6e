"""How fast does one worker predict into Parquet, against `predict_on_batch` on batches in memory?

The worker of `elasticdl predict` reads RecordIO files, predicts, writes Parquet files and commits
them through a master process; the other side calls `model.predict_on_batch` on the same batches,
which lie in memory as the model takes them. Each turn is a new job with a new model. What counts is
the time from the 20th batch on, after start and tracing: to the last batch, which is the speed of a
long job, and to the end, when the last file is published. In records/s, 0.9 or better is asked.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import keras
import numpy as np
from common import tf
from comparison import Row, table, take_turns
from masters import end, wait_for_endpoint

from elasticdl_like.config import (
    DataConfig,
    InferenceConfig,
    JobConfig,
    JobKind,
    ModelConfig,
    TrainingConfig,
)
from elasticdl_like.data_readers import RecordIOWriter
from elasticdl_like.job_directory import JobDirectory, JobState
from elasticdl_like.time_spent import TimeSpent
from elasticdl_like.worker import output_thread, predict_job
from elasticdl_like.worker.master_client import Heartbeat, MasterClient
from elasticdl_like.worker.master_locator import MasterLocator

ROUNDS = 3
WARM_UP_BATCHES = 20
TASK_BATCHES = 8

MODEL_FILE = """
import tensorflow as tf


def feed_batch(records, mode, metadata):
    values = tf.io.decode_raw(records, tf.uint8, fixed_length={size})
    return tf.cast(tf.reshape(values, [-1, {side}, {side}, {channels}]), tf.float32) / 16
"""


@dataclass(frozen=True)
class Subject:
    """A model, and how much it is given.

    Attributes:
        name: what it is called.
        side: the height and width of its images.
        channels: their channels.
        widths: the filters of its convolutions, each followed by pooling.
        batch: the records of a batch.
        num_batches: how many there are.
    """

    name: str
    side: int
    channels: int
    widths: tuple[int, ...]
    batch: int
    num_batches: int

    @property
    def record_bytes(self) -> int:
        return self.side * self.side * self.channels

    @property
    def counted_records(self) -> int:
        return (self.num_batches - WARM_UP_BATCHES) * self.batch

    def make_model(self) -> keras.Model:
        layers: list[Any] = [keras.Input((self.side, self.side, self.channels))]
        for width in self.widths:
            layers.append(keras.layers.Conv2D(width, 3, padding="same", activation="relu"))
            layers.append(keras.layers.MaxPooling2D())
        layers += [keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
        return keras.Sequential(layers)


SUBJECTS = (
    Subject("digits, 8x8", 8, 1, (32, 64), 256, 6000),
    Subject("32x32x3, 4 convolutions", 32, 3, (32, 64, 128, 256), 64, 1000),
)


class TimedThread(output_thread.OutputThread):
    """The worker's own, which notes when a batch of predictions is put."""

    num_put = 0
    start_s = 0.0
    last_s = 0.0

    def put(self, predicted: output_thread.Predicted) -> None:
        TimedThread.num_put += 1
        if TimedThread.num_put == WARM_UP_BATCHES:
            TimedThread.start_s = time.perf_counter()
        super().put(predicted)
        TimedThread.last_s = time.perf_counter()


class Turns:
    """Both sides of one subject.

    Args:
        subject: the subject.
        directory: where its files go.
    """

    def __init__(self, subject: Subject, directory: Path) -> None:
        self._subject = subject
        self._directory = directory
        self._num_jobs = 0
        self.to_last_batch: list[float] = []
        rng = np.random.default_rng(0)
        self._images = rng.integers(0, 17, (16 * subject.batch, subject.record_bytes), np.uint8)
        zoo = directory / "zoo"
        zoo.mkdir()
        (zoo / "subject.py").write_text(
            MODEL_FILE.format(
                size=subject.record_bytes, side=subject.side, channels=subject.channels
            )
        )
        subject.make_model().save(directory / "model.keras")
        with RecordIOWriter(directory / "images.recordio") as writer:
            for number in range(subject.num_batches * subject.batch):
                writer.write(self._images[number % len(self._images)].tobytes())

    def ours(self) -> float:
        """Predicts as a worker does, and returns the speed; notes that up to the last batch."""
        self._num_jobs += 1
        job_directory = self._directory / f"job{self._num_jobs}"
        config = self._config(self._directory / f"output{self._num_jobs}")
        sys.modules.pop("subject", None)
        with ExitStack() as stack:
            master = stack.enter_context(MasterProcess(job_directory, config))
            client = MasterClient(master.locator, master_timeout_s=10)
            stack.callback(client.close)
            job, _ = client.register(None, "benchmark")
            TimedThread.num_put = 0
            with Heartbeat(client, 2.0):
                predict_job.run(client, job, TimeSpent())
            seconds = time.perf_counter() - TimedThread.start_s
            client.leave("")
        keras.utils.clear_session()
        records = self._subject.counted_records
        self.to_last_batch.append(records / (TimedThread.last_s - TimedThread.start_s))
        return records / seconds

    def bare(self) -> float:
        """Predicts batches that lie in memory, and returns the speed."""
        subject = self._subject
        model = keras.models.load_model(self._directory / "model.keras", compile=False)
        shape = (-1, subject.batch, subject.side, subject.side, subject.channels)
        batches = (self._images.reshape(shape) / np.float32(16)).astype(np.float32)
        start_s = 0.0
        kept = []
        for number in range(subject.num_batches):
            if number == WARM_UP_BATCHES:
                start_s = time.perf_counter()
            kept.append(model.predict_on_batch(batches[number % len(batches)]))
        seconds = time.perf_counter() - start_s
        keras.utils.clear_session()
        return subject.counted_records / seconds

    def _config(self, output: Path) -> JobConfig:
        subject = self._subject
        return JobConfig(
            name="benchmark",
            kind=JobKind.PREDICTION,
            model=ModelConfig(str(self._directory / "zoo"), "subject.none"),
            data=DataConfig("", prediction_data=str(self._directory / "images.recordio")),
            training=TrainingConfig(
                minibatch_size=subject.batch, num_minibatches_per_task=TASK_BATCHES, shuffle=False
            ),
            inference=InferenceConfig(
                model_path=str(self._directory / "model.keras"),
                output=str(output),
                output_format="parquet",
            ),
        )


class MasterProcess:
    """The master of a job as a process, as long as the context lasts.

    Args:
        job_directory: where the job is kept.
        config: the job.
    """

    def __init__(self, job_directory: Path, config: JobConfig) -> None:
        self._directory = JobDirectory(job_directory)
        self._log_path = job_directory.with_suffix(".log")
        self._command = [sys.executable, __file__, str(job_directory), config.to_json()]

    def __enter__(self) -> MasterProcess:
        with self._log_path.open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        address = wait_for_endpoint(self._directory, self._process, self._log_path)
        self.locator = MasterLocator.at(address, self._directory.token())
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        end(self._process)


def run_master_of(job_directory: Path, config: JobConfig) -> None:
    """Is the master of a job, until it is ended."""
    from elasticdl_like.master.main import MasterConfig, run_master

    with run_master(config, MasterConfig(job_directory=job_directory)) as master:
        while True:
            if master.job.state is JobState.RUNNING:
                master.tick()
            time.sleep(0.1)


def main() -> None:
    predict_job.OutputThread = TimedThread
    tf.get_logger().setLevel("ERROR")
    rows = []
    for subject in SUBJECTS:
        with tempfile.TemporaryDirectory() as folder:
            turns = Turns(subject, Path(folder))
            samples = take_turns({"ours": turns.ours, "bare": turns.bare}, ROUNDS)
        name = f"{subject.name}, batches of {subject.batch}"
        bare = samples["bare"]
        to_last_batch = turns.to_last_batch[-len(bare) :]
        rows.append(Row(f"{name}, to the last one", to_last_batch, "predict_on_batch", bare, 0.9))
        rows.append(Row(f"{name}, to the end", samples["ours"], "predict_on_batch", bare, None))
    print(table(rows, "records/s"))


if __name__ == "__main__":
    if len(sys.argv) == 3:
        run_master_of(Path(sys.argv[1]), JobConfig.from_json(sys.argv[2]))
    else:
        main()
