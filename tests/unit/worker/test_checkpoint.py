"""Checkpoints: written whole, kept in number, checked when read."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from elasticdl_like.errors import CorruptDataError, DataError, ModelDefinitionError
from elasticdl_like.worker.checkpoint import CheckpointWriter, load_initial_weights


class RenamingClient:
    """Publishes as the master does."""

    def temporary_name(self, path):
        return path.with_name(f".{path.name}.writing")

    def publish(self, written, published):
        assert (written / "manifest.json").exists()
        written.rename(published)


def make_model(units=3):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(units)])
    model.compile(optimizer=keras.optimizers.Adam())
    model.optimizer.build(model.trainable_variables)
    return model


def test_the_newest_are_kept_and_weights_come_back(tmp_path):
    writer = CheckpointWriter(RenamingClient(), tmp_path, keep_max=2)
    model = make_model()
    for step in (9, 10, 1000):
        model.layers[0].kernel.assign(np.full((2, 3), float(step)))
        writer.write(model, step, epoch=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint-000000010",
        "checkpoint-000001000",
    ]
    fresh = make_model()
    load_initial_weights(fresh, tmp_path)
    assert np.all(fresh.layers[0].kernel.numpy() == 1000.0)
    load_initial_weights(fresh, tmp_path / "checkpoint-000000010")
    assert np.all(fresh.layers[0].kernel.numpy() == 10.0)


def test_what_cannot_be_loaded_is_said(tmp_path):
    with pytest.raises(DataError, match="no checkpoint in"):
        load_initial_weights(make_model(), tmp_path)
    CheckpointWriter(RenamingClient(), tmp_path, keep_max=0).write(make_model(), 1, epoch=0)
    with pytest.raises(ModelDefinitionError, match="does not fit the model"):
        load_initial_weights(make_model(units=4), tmp_path)
    weights = tmp_path / "checkpoint-000000001" / "model.weights.h5"
    damaged = bytearray(weights.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    weights.write_bytes(damaged)
    with pytest.raises(CorruptDataError, match=r"model\.weights\.h5"):
        load_initial_weights(make_model(), tmp_path)
