"""Checkpoints of a model in training, and the trained model.

A checkpoint is a directory `checkpoint-<step>`:

    model.weights.h5    the weights, as Keras saves them
    optimizer.npz       the optimizer's variables, as its `save_own_variables` names them
    manifest.json       step, epoch, and the size and SHA-256 of each file; written last
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from elasticdl_like.errors import CorruptDataError, DataError, ModelDefinitionError
from elasticdl_like.worker.master_client import MasterClient

_logger = logging.getLogger(__name__)

_MANIFEST = "manifest.json"
_WEIGHTS = "model.weights.h5"
_OPTIMIZER = "optimizer.npz"


class CheckpointWriter:
    """Writes checkpoints, and removes old ones.

    Args:
        client: publishes what is written.
        directory: where the checkpoints go.
        keep_max: how many of the newest are kept, or 0 for all.
    """

    def __init__(self, client: MasterClient, directory: Path, keep_max: int) -> None:
        self._client = client
        self._directory = directory
        self._keep_max = keep_max

    def write(self, model: keras.Model, step: int, epoch: int) -> None:
        """Writes the state of a model and its optimizer after a step.

        Raises:
            OSError: the directory cannot be written to.
        """
        published = self._directory / f"checkpoint-{step:09d}"
        written = self._client.temporary_name(published)
        written.mkdir(parents=True)
        model.save_weights(written / _WEIGHTS)
        variables: dict[str, Any] = {}
        model.optimizer.save_own_variables(variables)
        np.savez(written / _OPTIMIZER, **variables)
        manifest = {
            "step": step,
            "epoch": epoch,
            "files": {name: _fingerprint(written / name) for name in (_WEIGHTS, _OPTIMIZER)},
        }
        (written / _MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        self._client.publish(written, published)
        _logger.info("checkpoint written: %s", published)
        if self._keep_max:
            for old in list(_checkpoints(self._directory))[: -self._keep_max]:
                shutil.rmtree(old)


def load_initial_weights(model: keras.Model, directory: Path) -> None:
    """Sets the weights of a built model to those of a checkpoint.

    Args:
        model: the model; its optimizer starts anew.
        directory: a checkpoint, or a directory whose newest checkpoint is taken.

    Raises:
        DataError: there is no checkpoint.
        CorruptDataError: a file of it is not as it was written.
        ModelDefinitionError: it is a checkpoint of another model.
    """
    checkpoint = directory
    if not (checkpoint / _MANIFEST).exists():
        found = list(_checkpoints(directory))
        if not found:
            raise DataError(f"--checkpoint_dir_for_init: there is no checkpoint in {directory}")
        checkpoint = found[-1]
    try:
        expected = json.loads((checkpoint / _MANIFEST).read_text(encoding="utf-8"))["files"]
        weights = checkpoint / _WEIGHTS
        if _fingerprint(weights) != expected[_WEIGHTS]:
            raise CorruptDataError(str(weights), 0, "not as it was written (see manifest.json)")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"the checkpoint {checkpoint} cannot be read: {error}") from error
    try:
        model.load_weights(weights)
    except ValueError as error:
        raise ModelDefinitionError(
            f"the checkpoint {checkpoint} does not fit the model: "
            + next(iter(str(error).splitlines()), "")
        ) from error
    _logger.info("the weights start from %s", checkpoint)


def write_trained_model(client: MasterClient, model: keras.Model, directory: Path) -> None:
    """Writes `model.keras`, and for serving the directory `saved_model`.

    Raises:
        ModelDefinitionError: the model cannot be saved as a whole; its weights have been saved
            as `model.weights.h5`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    try:
        path = directory / "model.keras"
        written = client.temporary_name(path)
        model.save(written)
        client.publish(written, path)
        path = directory / "saved_model"
        written = client.temporary_name(path)
        model.export(written, verbose=False)
        client.publish(written, path)
    except (ValueError, TypeError, NotImplementedError) as error:
        weights = directory / _WEIGHTS
        model.save_weights(weights)
        raise ModelDefinitionError(
            f"the trained model cannot be saved as {path} ({error}); its weights are in {weights}"
        ) from error


def _checkpoints(directory: Path) -> Iterator[Path]:
    """Yields the complete checkpoints in a directory, the oldest first."""
    for path in sorted(directory.glob("checkpoint-*")):
        if (path / _MANIFEST).exists():
            yield path


def _fingerprint(path: Path) -> dict[str, int | str]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"size_bytes": path.stat().st_size, "sha256": digest}
