"""For how long does a checkpoint of a model of 25 million parameters hold up training?

Dense layers, Adam, batches of 64 in memory. The state, 3 x 100 MB, is copied to host memory between
two steps; a thread writes, hashes and syncs it while training goes on. Excess is what those steps
take beyond the median of the steps just before. The stall is the largest excess of one step, in
steps; less than 2 is asked.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import keras
import numpy as np
from common import tf

from elasticdl_like.worker.checkpoint_writer import CheckpointWriter
from elasticdl_like.worker.master_client import MasterClient
from elasticdl_like.worker.model_spec import ModelSpec
from elasticdl_like.worker.train_step import TrainStep

BATCH = 64
FEATURES = 2048
LAYERS = 6
PARAMETERS = LAYERS * (FEATURES + 1) * FEATURES
ROUNDS = 9
STEPS_BEFORE = 15
ASKED_STEPS = 2


class PublishingClient:
    """Publishes as the master does, less the journal."""

    def __init__(self) -> None:
        self.is_published = threading.Event()

    def temporary_name(self, path: Path) -> Path:
        return path.with_name(f".{path.name}.writing")

    def publish_checkpoint(
        self, written: Path, step: int, files: Mapping[str, tuple[int, str]]
    ) -> Path:
        published = written.with_name(f"checkpoint-{step:09d}")
        written.rename(published)
        self.is_published.set()
        return published


@dataclass(frozen=True)
class Stall:
    """What one checkpoint cost; times in seconds."""

    step_s: float
    copy_s: float
    write_s: float
    excesses_s: Sequence[float]

    @property
    def largest_steps(self) -> float:
        return max(0.0, *self.excesses_s) / self.step_s

    @property
    def sum_steps(self) -> float:
        return sum(self.excesses_s) / self.step_s


class Training:
    """A model, and steps of it one after the other."""

    def __init__(self) -> None:
        model = keras.Sequential(
            [keras.Input((FEATURES,))]
            + [keras.layers.Dense(FEATURES, activation="relu") for _ in range(LAYERS)]
        )
        if model.count_params() != PARAMETERS:
            raise AssertionError(f"{model.count_params()} parameters instead of {PARAMETERS}")
        spec = ModelSpec(
            model=model,
            optimizer=keras.optimizers.Adam(),
            loss=lambda labels, predictions: tf.reduce_mean(tf.square(labels - predictions)),
            feed=None,
            feed_batch=None,
            eval_metrics={},
            callbacks=[],
        )
        self.model = model
        self._step = TrainStep(spec)
        generator = np.random.default_rng(0)
        self._data: Any = tuple(
            tf.constant(generator.normal(size=(BATCH, FEATURES)), tf.float32) for _ in range(2)
        )

    def step_s(self) -> float:
        """Trains one step to its very end, and returns how long it took."""
        start_s = time.perf_counter()
        loss, _ = self._step(self._data)
        float(loss)
        return time.perf_counter() - start_s


def measure(
    training: Training, writer: CheckpointWriter, client: PublishingClient, step: int
) -> Stall:
    usual_s = statistics.median(training.step_s() for _ in range(STEPS_BEFORE))
    client.is_published.clear()
    start_s = time.perf_counter()
    writer.save(training.model, step)
    copy_s = time.perf_counter() - start_s
    excesses_s = []
    while not client.is_published.is_set():
        excesses_s.append(training.step_s() - usual_s)
    return Stall(usual_s, copy_s, time.perf_counter() - start_s - copy_s, excesses_s)


def noise(training: Training) -> Stall:
    """The same as `measure`, without a checkpoint."""
    usual_s = statistics.median(training.step_s() for _ in range(STEPS_BEFORE))
    excesses_s = [training.step_s() - usual_s for _ in range(STEPS_BEFORE)]
    return Stall(usual_s, 0.0, 0.0, excesses_s)


def trio(values: Sequence[float], digits: int) -> str:
    each = (min(values), statistics.median(values), max(values))
    return " / ".join(f"{value:.{digits}f}" for value in each)


def main() -> None:
    training = Training()
    client = PublishingClient()
    stalls, noises = [], []
    with tempfile.TemporaryDirectory() as folder:
        writer = CheckpointWriter(cast("MasterClient", client), Path(folder))
        for number in range(1 + ROUNDS):
            stall, without = measure(training, writer, client, number), noise(training)
            for checkpoint in Path(folder).iterdir():
                for file in checkpoint.iterdir():
                    file.unlink()
            if number:
                stalls.append(stall)
                noises.append(without)
        writer.close()
    largest = statistics.median(each.largest_steps for each in stalls)
    verdict = "reached" if largest < ASKED_STEPS else "**missed**"
    rows = [
        ("a step, ms", trio([1e3 * each.step_s for each in stalls], 0)),
        ("copy to host memory, ms", trio([1e3 * each.copy_s for each in stalls], 0)),
        ("written in the background in, s", trio([each.write_s for each in stalls], 1)),
        (
            f"largest excess of one step, in steps (asked: < {ASKED_STEPS}, {verdict})",
            trio([each.largest_steps for each in stalls], 2),
        ),
        ("sum of all excesses, in steps", trio([each.sum_steps for each in stalls], 2)),
        (
            f"largest excess of {STEPS_BEFORE} steps without a checkpoint",
            trio([each.largest_steps for each in noises], 2),
        ),
        (
            f"sum of the excesses of {STEPS_BEFORE} steps without a checkpoint",
            trio([each.sum_steps for each in noises], 2),
        ),
    ]
    print(f"| {PARAMETERS:,} parameters | minimum / median / maximum |\n|---|---|")
    for name, values in rows:
        print(f"| {name} | {values} |")


if __name__ == "__main__":
    main()
