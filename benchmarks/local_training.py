"""How fast is Local training of the digits model, against `model.fit` on batches in memory?

The worker's own loop trains from RecordIO through a master process; `fit` trains the same model on
the same batches, which lie in memory. They take turns, epoch by epoch. The first epochs, which
trace, do not count. In epochs/s, 0.9 or better is asked.
"""

from __future__ import annotations

import importlib.util
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
from common import tf, worker_of_new_master
from comparison import Row, table

from elasticdl_like.config import ModelConfig
from elasticdl_like.data_readers.reading import list_shards, read_task
from elasticdl_like.data_readers.recordio import RecordIODataReader
from elasticdl_like.tasks import StartPoint, Task, TaskType
from elasticdl_like.time_spent import TimeSpent
from elasticdl_like.worker.dataset import Batch, BatchPipeline, make_pipeline
from elasticdl_like.worker.group import Alone
from elasticdl_like.worker.model_spec import load_model_spec
from elasticdl_like.worker.task_stream import TaskStream
from elasticdl_like.worker.train_loop import Trainer
from elasticdl_like.worker.train_step import TrainStep

MODEL_ZOO = Path(__file__).parents[1] / "model_zoo"
MODEL_DEF = "digits.digits_cnn.custom_model"
BATCH = 64
EPOCHS = 40
WARM_UP_EPOCHS = 5


class Turns(BatchPipeline):
    """The worker's pipeline, which lets `fit` train one epoch before each of its own.

    An epoch of ours lasts until the next begins, and so includes all that the worker does between
    two epochs.
    """

    def __init__(self, pipeline: BatchPipeline) -> None:
        self._pipeline = pipeline
        self._start_s = 0.0
        self.fit_may_go_on = threading.Semaphore(0)
        self.fit_is_done = threading.Semaphore(0)
        self.epoch_seconds: list[float] = []

    def batches(self, stream: TaskStream) -> Iterator[Batch]:
        if self._start_s:
            self.end_epoch()
        self.fit_may_go_on.release()
        self.fit_is_done.acquire()
        self._start_s = time.perf_counter()
        yield from self._pipeline.batches(stream)

    def end_epoch(self) -> None:
        self.epoch_seconds.append(time.perf_counter() - self._start_s)

    def close(self) -> None:
        self._pipeline.close()

    @property
    def element_spec(self) -> Any:
        return self._pipeline.element_spec


class FitTurns(keras.callbacks.Callback):
    def __init__(self, turns: Turns) -> None:
        super().__init__()
        self._turns = turns
        self._start_s = 0.0
        self.epoch_seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._turns.fit_may_go_on.acquire()
        self._start_s = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epoch_seconds.append(time.perf_counter() - self._start_s)
        self._turns.fit_is_done.release()


def make_data(destination: Path) -> None:
    path = MODEL_ZOO / "digits" / "make_data.py"
    spec = importlib.util.spec_from_file_location("make_data", path)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(destination)


def data_in_memory(reader: RecordIODataReader, feed_batch: Any) -> Any:
    records = [
        record
        for shard in list_shards(reader)
        for batch in read_task(reader, Task(shard.name, shard.first, shard.end))
        for record in batch
    ]
    images, labels = feed_batch(tf.constant(records), "training", None)
    return tf.data.Dataset.from_tensor_slices((images, labels)).batch(BATCH).cache().prefetch(2)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder_name:
        folder = Path(folder_name)
        make_data(folder)
        with worker_of_new_master(
            folder / "job",
            model_zoo=str(MODEL_ZOO),
            model_def=MODEL_DEF,
            training_data=str(folder / "train"),
            minibatch_size=BATCH,
            num_minibatches_per_task=4,
            num_epochs=EPOCHS,
            shuffle=False,
        ) as (client, config):
            model_config = ModelConfig(str(MODEL_ZOO), MODEL_DEF)
            ours, fits = load_model_spec(model_config), load_model_spec(model_config)
            reader = RecordIODataReader(data_origin=config.data.training_data)
            turns = Turns(
                make_pipeline(reader, TaskType.TRAINING, BATCH, ours.feed, ours.feed_batch)
            )
            fit_turns = FitTurns(turns)
            fits.model.compile(
                optimizer=fits.optimizer,
                # Keras hands labels over as floats.
                loss=lambda labels, predictions: fits.loss(tf.cast(labels, tf.int32), predictions),
            )
            fit = threading.Thread(
                target=fits.model.fit,
                args=(data_in_memory(reader, fits.feed_batch),),
                kwargs={"epochs": EPOCHS, "verbose": 0, "callbacks": [fit_turns]},
                daemon=True,
            )
            fit.start()
            step = TrainStep(ours)
            trainer = Trainer(client, config, ours, step, Alone(step), turns, None, TimeSpent())
            trainer.run(StartPoint())
            turns.end_epoch()
            fit.join()
            turns.close()

    def epochs_per_s(seconds: list[float]) -> list[float]:
        return [1 / each for each in seconds[WARM_UP_EPOCHS:]]

    row = Row(
        "Local, digits_cnn, batch 64",
        epochs_per_s(turns.epoch_seconds),
        "model.fit",
        epochs_per_s(fit_turns.epoch_seconds),
        0.9,
    )
    print(table([row], "epochs/s"))


if __name__ == "__main__":
    main()
