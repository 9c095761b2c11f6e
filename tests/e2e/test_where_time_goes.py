"""A training that waits for its data says so, and what it waits for."""

from __future__ import annotations

import json
from pathlib import Path

from elasticdl_command import RunElasticdl, eventually
from training_job import elasticdl

# The reader is derived from nothing, and takes 20 ms for a batch of ten; a step takes one or two.
MODEL = """
import time


class CustomDataReader:
    output_signature = "float32"

    def create_shards(self):
        return {"numbers": 10_000_000}

    def read_records(self, task):
        for number in range(task.start, task.end):
            time.sleep(0.002)
            yield float(number)


def custom_model():
    import keras

    return keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])


def loss(labels, predictions):
    import tensorflow as tf

    return tf.reduce_mean(tf.square(labels - predictions))


def optimizer():
    import keras

    return keras.optimizers.SGD(0.0)


def feed_batch(records, mode, metadata):
    return records[:, None], records[:, None]
"""
WARNING = "training has waited for input "
MOSTLY_READING = ", mostly reading: raise --read_threads or --prefetch_bytes"


def test_a_slow_reader_is_found_out(run_elasticdl: RunElasticdl, tmp_path: Path) -> None:
    zoo, job = tmp_path / "zoo", tmp_path / "job"
    zoo.mkdir()
    (zoo / "model.py").write_text(MODEL)
    log = job / "logs" / "worker-0.log"
    with elasticdl(
        tmp_path,
        *("train", "--model_zoo", zoo, "--model_def", "model.custom_model", "--job_dir", job),
        *("--training_data", "numbers", "--minibatch_size", 10, "--num_minibatches_per_task", 10),
    ) as command:
        eventually(lambda: log.exists() and WARNING in log.read_text(), 90, command)
        # The master warns as well, where people look.
        eventually(lambda: f"worker 0: {WARNING}" in command.stderr, 20, command)
        worker = json.loads(run_elasticdl("status", job, "--json").stdout)["workers"][0]
        as_text = run_elasticdl("status", job).stdout.splitlines()
        command.press_ctrl_c()
        command.wait(30)
    (warning,) = [line for line in log.read_text().splitlines() if WARNING in line]
    assert " WARNING " in warning
    assert MOSTLY_READING in warning

    spent = worker["seconds_spent"]
    others = ("waiting_for_master", "decoding", "converting", "parsing")
    assert spent["reading"] > max(spent[name] for name in others)
    assert 10 <= worker["recent_s"] <= 40
    shares = worker["recent_time_shares"]
    parts = [*shares["working"].values(), *shares["waiting"].values()]
    assert abs(sum(parts) - 1) < 1e-6
    assert shares["waiting"]["reading"] == max(parts)
    assert sum(shares["waiting"].values()) > 0.2
    assert worker["starvation"].startswith(WARNING)
    assert MOSTLY_READING in worker["starvation"]

    place = next(number for number, line in enumerate(as_text) if line.startswith("worker 0: "))
    recent, overall, advice = as_text[place + 1 : place + 4]
    assert recent.startswith("  last ")
    assert overall.startswith("  since its start: training ")
    for line in (recent, overall):
        assert "waiting for input " in line
        assert "reading " in line
    assert advice.startswith(f"  warning: {WARNING}")
