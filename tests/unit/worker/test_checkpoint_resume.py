"""When the trainer takes checkpoints, and that it goes on from one as if it had never stopped."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from elasticdl_like.config import CheckpointConfig, DataConfig, JobConfig, TrainingConfig
from elasticdl_like.errors import CorruptDataError
from elasticdl_like.tasks import Answer, EpochKey, LeaseReply, StartPoint, TaskType
from elasticdl_like.time_spent import TimeSpent
from elasticdl_like.worker import checkpoint_policy
from elasticdl_like.worker.blocks import Batch
from elasticdl_like.worker.group import Alone
from elasticdl_like.worker.model_spec import ModelSpec
from elasticdl_like.worker.train_loop import Trainer
from elasticdl_like.worker.train_step import TrainStep, zeros_like_spec

BATCHES = 4  # in an epoch
EPOCHS = 3


class Master:
    """Notes what it hears, in order, and publishes checkpoints."""

    def __init__(self):
        self.heard = []
        self.logs = {}
        self._lock = threading.Lock()

    def note(self, *event):
        with self._lock:
            self.heard.append(event)

    def commit_and_lease(self, key, commits, max_leases, returned, loss, step):
        for each in commits:
            kind = "mark" if each.mark else "failed" if each.problem else "commit"
            self.note(kind, each.step)
        return LeaseReply(Answer.WAIT)

    def abandon(self, key, tokens=()):
        pass

    def report_evaluation(self, key, metrics):
        self.note("evaluation", key.step)

    def stop_training(self, reason):
        self.note("stop", reason)

    def temporary_name(self, path):
        return path.with_name(f".{path.name}.0123abcd")

    def publish(self, written, published):
        self.note("publish", published.name)

    def publish_checkpoint(self, written, step, files):
        assert ("mark", step) in self.heard
        listed = {
            name: {"size_bytes": size_bytes, "sha256": sha256}
            for name, (size_bytes, sha256) in files.items()
        }
        (written / "manifest.json").write_text(json.dumps({"files": listed}))
        published = written.with_name(f"checkpoint-{step:09d}")
        written.rename(published)
        self.note("checkpoint", step)
        return published

    def steps_of(self, kind):
        return [event[1] for event in self.heard if event[0] == kind]


class Batches:
    """Stands for a pipeline: the same batches in each epoch."""

    def __init__(self, first_of=None, unaligned=(), extra=()):
        self.element_spec = (
            tf.TensorSpec([None, 4], tf.float32),
            tf.TensorSpec([None, 1], tf.float32),
        )
        self._first_of = first_of or {}
        self._unaligned = unaligned
        self._extra = list(extra)
        self.aligned_on_request = []

    def batches(self, stream):
        yield from self._extra
        align, request_of = stream.align, []
        stream.align = lambda: (request_of.append(1), align())
        for index in range(self._first_of.get(stream.key.epoch, 0), BATCHES):
            generator = np.random.default_rng([stream.key.epoch, index])
            features = tf.constant(generator.normal(size=(8, 4)), tf.float32)
            aligned = index not in self._unaligned
            yield Batch((features, tf.ones((8, 1))), [], aligned=aligned)
            self.aligned_on_request.append(len(request_of))

    def close(self):
        pass


class Evaluations:
    """Stands for an evaluator."""

    def __init__(self, master):
        self._master = master

    def take_part(self, key):
        pass

    def finish(self, key):
        self._master.report_evaluation(key, {})
        return {"loss": float(key.step)}


class Diary(keras.callbacks.Callback):
    """Writes down what it is told; lowers the learning rate at each end of an epoch."""

    def __init__(self, master, stop_at=0):
        super().__init__()
        self._master = master
        self._stop_at = stop_at

    def on_epoch_begin(self, epoch, logs=None):
        self._master.note("begin", epoch)

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations) == self._stop_at:
            self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        self._master.note("end", epoch)
        self._master.logs[epoch] = dict(logs)
        self.model.optimizer.learning_rate = float(self.model.optimizer.learning_rate) / 2


class Subclassed(keras.Model):
    """A model that has no variables before it is called."""

    def __init__(self):
        super().__init__()
        self.parts = [
            keras.layers.Dense(3),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3, seed=1),
            keras.layers.Dense(1),
        ]

    def call(self, inputs, training=False):
        for each in self.parts:
            inputs = each(inputs, training=training)
        return inputs


@pytest.fixture
def master():
    return Master()


def run(
    master,
    directory,
    start=None,
    pipeline=None,
    callback=None,
    evaluate=True,
    time_spent=None,
    **training,
):
    """Trains, and returns the model."""
    keras.utils.set_random_seed(0)
    checkpoint = training.pop("checkpoint", CheckpointConfig())
    config = JobConfig(
        "test",
        DataConfig("nowhere"),
        training=TrainingConfig(num_epochs=EPOCHS, log_loss_steps=0, **training),
        checkpoint=CheckpointConfig(
            steps=checkpoint.steps,
            directory=str(directory / "checkpoints"),
            directory_for_init=checkpoint.directory_for_init,
        ),
    )
    spec = ModelSpec(
        model=Subclassed(),
        optimizer=keras.optimizers.Adam(0.1, use_ema=True, ema_momentum=0.5),
        loss=lambda labels, predictions: tf.square(labels - predictions),
        feed=None,
        feed_batch=None,
        eval_metrics={},
        callbacks=[callback or Diary(master)],
    )
    evaluator = Evaluations(master) if evaluate else None
    step = TrainStep(spec)
    trainer = Trainer(
        master,
        config,
        spec,
        step,
        Alone(step),
        pipeline or Batches(),
        evaluator,
        time_spent or TimeSpent(),
    )
    trainer.run(start or StartPoint())
    return spec.model


def values(model):
    return [each.numpy().tobytes() for each in (*model.variables, *model.optimizer.variables)]


def start_at(directory, epoch, step, **more):
    return StartPoint(epoch, step, str(directory / f"checkpoints/checkpoint-{step:09d}"), **more)


def events(master, *kinds):
    return [event for event in master.heard if event[0] in kinds]


def test_evaluation_then_callbacks_then_checkpoint_at_each_end_of_an_epoch(
    master, tmp_path, monkeypatch
):
    monkeypatch.setattr(checkpoint_policy, "_SHORTEST_INTERVAL_S", 0.0)
    run(master, tmp_path)
    assert events(master, "begin", "evaluation", "end", "mark") == [
        event
        for epoch, step in ((0, 4), (1, 8), (2, 12))
        for event in (("begin", epoch), ("evaluation", step), ("end", epoch), ("mark", step))
    ]
    assert master.steps_of("checkpoint")[-1] == 12  # an earlier one may have given way
    # The master has every commit up to the mark before it, and none after.
    ordered = [event[1] for event in events(master, "commit", "mark")]
    assert ordered == sorted(ordered)


def test_each_so_many_steps_and_at_the_end(master, tmp_path):
    run(master, tmp_path, evaluation_steps=5, checkpoint=CheckpointConfig(steps=5))
    assert events(master, "evaluation", "mark") == [
        ("evaluation", 5),
        ("mark", 5),
        ("evaluation", 10),
        ("mark", 10),
        ("mark", 12),
        ("evaluation", 12),
    ]
    assert master.steps_of("checkpoint")[-1] == 12


def test_one_that_is_due_at_the_last_step_of_an_epoch_holds_the_end_of_it(master, tmp_path):
    run(master, tmp_path, checkpoint=CheckpointConfig(steps=4))
    assert events(master, "end", "mark") == [
        event for epoch in range(3) for event in (("end", epoch), ("mark", 4 * epoch + 4))
    ]


@pytest.mark.parametrize("step", [5, 8])
def test_going_on_from_a_checkpoint_gives_the_same_model(master, tmp_path, step):
    expected = run(master, tmp_path, checkpoint=CheckpointConfig(steps=step))
    again = Master()
    start = start_at(tmp_path, step // BATCHES, step)
    pipeline = Batches(first_of={1: step - BATCHES})
    model = run(again, tmp_path, start, pipeline, checkpoint=CheckpointConfig(steps=step))
    assert values(model) == values(expected)
    assert events(again, "begin", "evaluation", "end") == [
        event
        for event in events(master, "begin", "evaluation", "end")
        if not (event[0] == "evaluation" and event[1] <= step)
        and not (event[0] != "evaluation" and event[1] < step // BATCHES)
    ]


def test_the_trained_model_alone_was_missing(master, tmp_path):
    expected = run(master, tmp_path)
    again = Master()
    done = EpochKey(TaskType.EVALUATION, 2, 12)
    start = start_at(tmp_path, EPOCHS, 12, evaluated=done, metrics={"loss": 12.0})
    model = run(again, tmp_path, start)
    assert values(model) == values(expected)
    assert again.heard == []


def test_an_evaluation_that_was_missing_is_made(master, tmp_path):
    run(master, tmp_path, evaluate=False)
    again = Master()
    run(again, tmp_path, start_at(tmp_path, EPOCHS, 12))
    assert again.heard == [("evaluation", 12)]


def test_known_metrics_reach_the_callbacks(master, tmp_path):
    run(master, tmp_path, evaluation_steps=5, checkpoint=CheckpointConfig(steps=5))
    known = EpochKey(TaskType.EVALUATION, 1, 5)
    start = start_at(tmp_path, 1, 5, evaluated=known, metrics={"loss": 0.25})
    again = Master()
    run(again, tmp_path, start, Batches(first_of={1: 1}), evaluation_steps=10)
    assert again.steps_of("evaluation") == [10, 12]
    assert [again.logs[epoch]["val_loss"] for epoch in (1, 2)] == [0.25, 10.0]


@pytest.mark.parametrize("by", ["max_step", "callback"])
def test_the_last_step_has_a_checkpoint_before_the_job_is_told_to_end(master, tmp_path, by):
    limits = {"max_step": 6} if by == "max_step" else {"callback": Diary(master, stop_at=6)}
    run(master, tmp_path, **limits)
    last = [event for event in master.heard if event[0] in ("checkpoint", "stop")][-2:]
    reason = "--max_step 6 is reached" if by == "max_step" else "a callback ended training after st"
    assert last[0] == ("checkpoint", 6)
    assert last[1][1].startswith(reason)


def test_max_step_that_is_reached_already_trains_nothing(master, tmp_path):
    expected = run(master, tmp_path, max_step=6)
    again = Master()
    model = run(again, tmp_path, start_at(tmp_path, 1, 6), max_step=6)
    assert values(model) == values(expected)
    assert again.heard == [("stop", "--max_step 6 is reached"), ("evaluation", 6)]


def test_between_whole_leases_only(master, tmp_path):
    pipeline = Batches(unaligned={0, 1})
    run(master, tmp_path, pipeline=pipeline, checkpoint=CheckpointConfig(steps=5))
    # Due at 5, which is batch 0 of epoch 1; possible at 7. Due again at 10; possible at 11.
    assert master.steps_of("mark") == [7, 11, 12]
    assert pipeline.aligned_on_request == [0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 1, 1]


def test_positions_that_cannot_be_used_are_reported_and_not_trained_on(master, tmp_path):
    extra = [Batch(None, [], problem="record 7 is torn"), Batch(None, [])]
    run(master, tmp_path, pipeline=Batches(extra=extra))
    assert master.steps_of("failed") == [0, 4, 8]
    assert master.steps_of("checkpoint")[-1] == 12


def test_the_weights_alone_can_come_from_a_checkpoint(master, tmp_path):
    run(master, tmp_path)
    checkpoint = CheckpointConfig(directory_for_init=str(tmp_path / "checkpoints"))
    model = run(master, tmp_path / "other", checkpoint=checkpoint, max_step=1)
    assert int(model.optimizer.iterations) == 1
    fresh = run(master, tmp_path / "fresh", max_step=1)
    assert values(model)[0] != values(fresh)[0]


def test_a_damaged_checkpoint_is_not_trained_on(master, tmp_path):
    run(master, tmp_path)
    start = start_at(tmp_path, EPOCHS, 12)
    file = Path(start.checkpoint) / "model.npz"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(CorruptDataError, match=r"model\.npz.*remove the directory"):
        run(master, tmp_path, start)


def test_zeros_for_all_kinds_of_tensors():
    spec = {
        "open": tf.TensorSpec([None, 3, None], tf.int64),
        "text": tf.TensorSpec([None], tf.string),
        "any": tf.TensorSpec(None, tf.float32),
        "ragged": tf.RaggedTensorSpec([None, None], tf.float32, row_splits_dtype=tf.int32),
        "sparse": tf.SparseTensorSpec([None, 5], tf.float32),
    }
    zeros = zeros_like_spec(spec)
    assert tuple(zeros["open"].shape) == (1, 3, 1)
    assert zeros["text"].numpy().tolist() == [b""]
    for name in ("any", "ragged", "sparse"):
        assert spec[name].is_compatible_with(zeros[name])


def test_where_the_time_goes_is_measured(master, tmp_path):
    class Clock:
        now_s = 0.0

        def __call__(self):
            return self.now_s

    clock = Clock()

    class SlowBatches(Batches):
        def batches(self, stream):
            for batch in super().batches(stream):
                clock.now_s += 1
                yield batch

    class SlowDiary(Diary):
        def on_train_batch_end(self, batch, logs=None):
            clock.now_s += 10

        def on_test_end(self, logs=None):
            clock.now_s += 100

    class SlowMaster(Master):
        def report_evaluation(self, key, metrics):
            clock.now_s += 1000

    time_spent = TimeSpent(clock)
    slow = SlowMaster()
    run(slow, tmp_path, None, SlowBatches(), SlowDiary(slow), time_spent=time_spent)
    spent = {name: seconds for name, seconds in time_spent.totals().items() if seconds}
    steps = EPOCHS * BATCHES
    assert spent == {
        "waiting_for_input": steps,
        "training": 10 * steps + 100 * EPOCHS,
        "evaluating": 1000 * EPOCHS,
    }
