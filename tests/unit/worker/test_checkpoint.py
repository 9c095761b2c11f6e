"""Checkpoints: what is in them, what is refused, and that writing them harms nobody."""

from __future__ import annotations

import json
import logging
import resource
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from elasticdl_like.errors import (
    CorruptDataError,
    DataError,
    JobDirectoryError,
    ModelDefinitionError,
    UnknownWorkerError,
)
from elasticdl_like.worker.checkpoint_reader import (
    load_initial_weights,
    read_callback_states,
    restore_checkpoint,
)
from elasticdl_like.worker.checkpoint_writer import CheckpointWriter
from elasticdl_like.worker.variable_file import VariableCopy, assign_variables, write_variables


class PublishingClient:
    """Publishes as the master does."""

    def __init__(self):
        self.steps = []

    def temporary_name(self, path):
        return path.with_name(f".{path.name}.0123abcd")

    def publish_checkpoint(self, written, step, files):
        manifest = {
            "step": step,
            "files": {
                name: {"size_bytes": size_bytes, "sha256": sha256}
                for name, (size_bytes, sha256) in files.items()
            },
        }
        (written / "manifest.json").write_text(json.dumps(manifest))
        published = written.with_name(f"checkpoint-{step:09d}")
        written.rename(published)
        self.steps.append(step)
        return published


class BlockingClient(PublishingClient):
    """Publishes when it is told to."""

    def __init__(self):
        super().__init__()
        self.is_asked = threading.Semaphore(0)
        self.may_publish = threading.Semaphore(0)

    def publish_checkpoint(self, written, step, files):
        self.is_asked.release()
        assert self.may_publish.acquire(timeout=30)
        return super().publish_checkpoint(written, step, files)


class RefusingClient(PublishingClient):
    def __init__(self, *errors):
        super().__init__()
        self._errors = list(errors)

    def publish_checkpoint(self, written, step, files):
        if self._errors:
            raise self._errors.pop(0)
        return super().publish_checkpoint(written, step, files)


def make_model(units=3, optimizer=None):
    """A model with all kinds of variables, and its optimizer."""
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(units),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(1),
        ]
    )
    optimizer = optimizer or keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9)
    model.compile(optimizer=optimizer)
    model.optimizer.build(model.trainable_variables)
    return model


def train(model, steps):
    generator = np.random.default_rng(0)
    for _ in range(steps):
        features = tf.constant(generator.normal(size=(8, 4)), tf.float32)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(features, training=True) - 1.0))
        variables = model.trainable_variables
        model.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))


def values(model):
    return [
        np.array(each.numpy()).tobytes() for each in (*model.variables, *model.optimizer.variables)
    ]


def save(directory, model, step, client=None):
    writer = CheckpointWriter(client or PublishingClient(), directory)
    writer.save(model, step)
    writer.wait()
    writer.close()
    return directory / f"checkpoint-{step:09d}"


def warnings_in(caplog):
    return [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]


def test_training_goes_on_as_if_nothing_had_happened(tmp_path):
    model = make_model()
    train(model, 5)
    client = BlockingClient()
    writer = CheckpointWriter(client, tmp_path / "made" / "by itself")
    writer.save(model, 5)
    at_step_5 = values(model)
    train(model, 3)  # while the checkpoint is being written
    at_step_8 = values(model)
    client.may_publish.release()
    writer.wait()
    writer.close()

    restored = make_model()
    restore_checkpoint(restored, tmp_path / "made" / "by itself" / "checkpoint-000000005")
    assert values(restored) == at_step_5
    train(restored, 3)
    assert values(restored) == at_step_8
    assert at_step_5 != at_step_8


def test_a_file_is_an_npz_of_plain_numbers(tmp_path):
    checkpoint = save(tmp_path, model := make_model(), 1)
    with np.load(checkpoint / "model.npz", allow_pickle=False) as archive:
        index = json.loads(archive["variables.json"])
        assert [each["name"] for each in index] == [each.path for each in model.variables]
        assert np.array_equal(archive["0"], model.variables[0].numpy())


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [
        *((dtype, (2, 3)) for dtype in ("bfloat16", "float16", "float64", "int8", "uint32")),
        ("bool", (5,)),
        ("bfloat16", ()),
        ("float32", (0, 4)),
    ],
)
def test_types_and_shapes_come_back(tmp_path, dtype, shape):
    bits = (np.arange(np.prod(shape, dtype=int)).reshape(shape) % 2).astype("float32")
    saved = keras.Variable(keras.ops.cast(bits, dtype), dtype=dtype, name="each")
    fresh = keras.Variable(keras.ops.zeros(shape, dtype), dtype=dtype, name="each")
    value = saved.numpy()
    write_variables(tmp_path / "file", [VariableCopy(saved.path, value)], lambda: None)
    assign_variables(tmp_path / "file", [fresh])
    assert fresh.numpy().tobytes() == value.tobytes()
    assert fresh.numpy().dtype == value.dtype


def test_text_is_refused(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile()
    writer = CheckpointWriter(PublishingClient(), tmp_path)
    model.text = keras.Variable(np.array(["a"]), dtype="string", trainable=False)
    with pytest.raises(ModelDefinitionError, match="is of type string, which no checkpoint"):
        writer.save(model, 1)
    writer.close()


def test_the_newest_checkpoint_initialises_the_weights_alone(tmp_path):
    model = make_model()
    for step in (9, 10, 1000):
        train(model, 1)
        save(tmp_path, model, step)
    (tmp_path / "checkpoint-000002000").mkdir()  # without a manifest it is none
    fresh = make_model()
    untouched = [each.numpy().tobytes() for each in fresh.optimizer.variables]
    load_initial_weights(fresh, tmp_path)
    assert [each.numpy().tobytes() for each in fresh.variables] == [
        each.numpy().tobytes() for each in model.variables
    ]
    assert [each.numpy().tobytes() for each in fresh.optimizer.variables] == untouched
    load_initial_weights(fresh, tmp_path / "checkpoint-000000009")
    assert fresh.variables[0].numpy().tobytes() != model.variables[0].numpy().tobytes()


def test_another_model_is_refused_and_left_as_it_was(tmp_path):
    checkpoint = save(tmp_path, make_model(), 1)
    other = make_model(units=2)
    before = values(other)
    with pytest.raises(ModelDefinitionError, match=r"variable 0 is '.*dense\w*/kernel' .*\(4, 3\)"):
        restore_checkpoint(other, checkpoint)
    assert values(other) == before
    longer = make_model()
    longer.add(keras.layers.Dense(1, name="added"))
    with pytest.raises(ModelDefinitionError, match=r"is missing there and '.*added/kernel'"):
        load_initial_weights(longer, checkpoint)
    with pytest.raises(
        ModelDefinitionError, match=r"optimizer\.npz is of another .*'adam\w*/iter.*'sgd"
    ):
        restore_checkpoint(make_model(optimizer=keras.optimizers.SGD(momentum=0.9)), checkpoint)


def test_the_states_of_callbacks_go_with_it_when_there_are_any(tmp_path):
    states = {"EarlyStopping": [{"attributes": {"best": 0.5, "best_weights": [np.arange(3.0)]}}]}
    writer = CheckpointWriter(PublishingClient(), tmp_path)
    writer.save(make_model(), 1, states)
    writer.wait()
    writer.save(make_model(), 2, {})
    writer.wait()
    writer.close()
    with_states, without = (tmp_path / f"checkpoint-00000000{step}" for step in (1, 2))
    [found] = read_callback_states(with_states)["EarlyStopping"]
    np.testing.assert_array_equal(found["attributes"].pop("best_weights"), [np.arange(3.0)])
    assert found == {"attributes": {"best": 0.5}}
    assert not read_callback_states(without)
    assert not (without / "callbacks.npz").exists()

    file = with_states / "callbacks.npz"
    damaged = bytearray(file.read_bytes())
    damaged[-40] ^= 1
    file.write_bytes(damaged)
    with pytest.raises(CorruptDataError, match=r"callbacks\.npz.*not as it was written"):
        read_callback_states(with_states)
    file.unlink()
    with pytest.raises(DataError, match=r"callbacks\.npz"):
        read_callback_states(with_states)


def test_damage_is_found(tmp_path):
    checkpoint = save(tmp_path, make_model(), 1)
    file = checkpoint / "optimizer.npz"
    whole = file.read_bytes()
    damaged = bytearray(whole)
    damaged[len(damaged) // 2] ^= 1
    for content, found in (
        (bytes(damaged), "not as it was written, by its SHA-256"),
        (whole[:-1], f"{len(whole) - 1} bytes instead of {len(whole)}"),
    ):
        file.write_bytes(content)
        with pytest.raises(CorruptDataError, match=rf"optimizer\.npz.*{found}; remove the direc"):
            restore_checkpoint(make_model(), checkpoint)
    load_initial_weights(make_model(), checkpoint)  # does not need that file
    file.unlink()
    with pytest.raises(DataError, match=r"optimizer\.npz"):
        restore_checkpoint(make_model(), checkpoint)


def test_what_is_no_checkpoint_is_said(tmp_path):
    with pytest.raises(DataError, match="no checkpoint in"):
        load_initial_weights(make_model(), tmp_path)
    with pytest.raises(DataError, match=r"cannot be read: .*manifest\.json"):
        restore_checkpoint(make_model(), tmp_path)
    (tmp_path / "manifest.json").write_text('{"files": []}')
    with pytest.raises(DataError, match="cannot be read"):
        restore_checkpoint(make_model(), tmp_path)


def test_a_file_of_something_else_is_not_unpickled(tmp_path):
    np.savez(tmp_path / "model.npz", np.array([print], dtype=object))
    with pytest.raises(CorruptDataError, match="not a file of variables"):
        assign_variables(tmp_path / "model.npz", make_model().variables)


def test_the_newest_that_waits_replaces_an_older_one(tmp_path):
    client = BlockingClient()
    writer = CheckpointWriter(client, tmp_path)
    model = make_model()
    writer.save(model, 1)
    assert client.is_asked.acquire(timeout=30)
    for step in (2, 3, 4):
        writer.save(model, step)
    client.may_publish.release(2)
    writer.wait()
    writer.close()
    assert client.steps == [1, 4]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint-000000001",
        "checkpoint-000000004",
    ]


def test_a_full_disk_costs_a_checkpoint_and_nothing_else(tmp_path, caplog):
    model = make_model(units=100_000)
    client = PublishingClient()
    writer = CheckpointWriter(client, tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    try:
        writer.save(model, 1)
        writer.wait()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    [warning] = warnings_in(caplog)
    assert "checkpoint of step 1 could not be written" in warning
    assert str(tmp_path) in warning
    assert "File too large" in warning
    assert list(tmp_path.iterdir()) == []
    writer.save(model, 2)
    writer.wait()
    writer.close()
    assert client.steps == [2]


def test_a_refused_publication_costs_one_checkpoint(tmp_path, caplog):
    client = RefusingClient(JobDirectoryError("it cannot be renamed"))
    writer = CheckpointWriter(client, tmp_path)
    for step in (1, 2):
        writer.save(make_model(), step)
        writer.wait()
    writer.close()
    assert client.steps == [2]
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-000000002"]
    assert "it cannot be renamed" in warnings_in(caplog)[0]


def test_a_worker_that_was_given_up_writes_no_more(tmp_path, caplog):
    client = RefusingClient(UnknownWorkerError("worker 0 is unknown"))
    writer = CheckpointWriter(client, tmp_path)
    for step in (1, 2):
        writer.save(make_model(), step)
        writer.wait()
    writer.close()
    assert (client.steps, list(tmp_path.iterdir()), warnings_in(caplog)) == ([], [], [])


def test_a_defect_is_not_kept_from_the_trainer(tmp_path):
    writer = CheckpointWriter(RefusingClient(ZeroDivisionError("a defect")), tmp_path)
    writer.save(make_model(), 1)
    with pytest.raises(ZeroDivisionError, match="a defect"):
        writer.wait()
    with pytest.raises(ZeroDivisionError, match="a defect"):
        writer.save(make_model(), 2)
    assert list(tmp_path.iterdir()) == []


def test_writing_is_given_up_when_training_fails(tmp_path):
    def between_chunks():
        raise InterruptedError

    copies = [VariableCopy("each", np.zeros(10))]
    with pytest.raises(InterruptedError):
        write_variables(tmp_path / "file", copies, between_chunks)
    client = BlockingClient()
    writer = CheckpointWriter(client, tmp_path / "checkpoints")
    writer.save(make_model(), 1)
    assert client.is_asked.acquire(timeout=30)
    writer.save(make_model(), 2)
    writer.close()
    writer.wait()  # for nothing
    client.may_publish.release(2)
    writer.save(make_model(), 3)
    assert 2 not in client.steps
