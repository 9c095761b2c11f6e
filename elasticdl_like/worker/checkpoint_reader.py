"""Checkpoints read back: checked against their manifest, and against the model."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from elasticdl_like.errors import CorruptDataError, DataError
from elasticdl_like.worker.checkpoint_writer import CALLBACKS_FILE, MODEL_FILE, OPTIMIZER_FILE
from elasticdl_like.worker.plain_values import decode_value
from elasticdl_like.worker.variable_file import assign_variables

_logger = logging.getLogger(__name__)

_MANIFEST = "manifest.json"


def restore_checkpoint(model: keras.Model, checkpoint: Path) -> None:
    """Gives a model and its optimizer, both built, the state that a checkpoint holds.

    Raises:
        DataError: there is no such checkpoint.
        CorruptDataError: a file of it is not as it was written.
        ModelDefinitionError: it is a checkpoint of another model.
    """
    _verify(checkpoint, [MODEL_FILE, OPTIMIZER_FILE])
    assign_variables(checkpoint / MODEL_FILE, model.variables)
    assign_variables(checkpoint / OPTIMIZER_FILE, model.optimizer.variables)
    _logger.info("training goes on from %s", checkpoint)


def read_callback_states(checkpoint: Path) -> dict[str, Any]:
    """Returns what callbacks remembered when a checkpoint was taken; nothing if it has none.

    Raises:
        DataError: there is no such checkpoint.
        CorruptDataError: the file is not as it was written.
    """
    if CALLBACKS_FILE not in _listed_files(checkpoint):
        return {}
    _verify(checkpoint, [CALLBACKS_FILE])
    path = checkpoint / CALLBACKS_FILE
    states: dict[str, Any] = decode_value(path.read_bytes(), str(path))
    return states


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
        complete = [path for path in directory.glob("checkpoint-*") if (path / _MANIFEST).exists()]
        if not complete:
            raise DataError(f"--checkpoint_dir_for_init: there is no checkpoint in {directory}")
        checkpoint = max(complete)
    load_weights(model, checkpoint)
    _logger.info("the weights start from %s", checkpoint)


def load_weights(model: keras.Model, checkpoint: Path) -> None:
    """Sets the weights of a built model to those of one checkpoint.

    Raises:
        DataError: there is no such checkpoint.
        CorruptDataError: a file of it is not as it was written.
        ModelDefinitionError: it is a checkpoint of another model.
    """
    _verify(checkpoint, [MODEL_FILE])
    assign_variables(checkpoint / MODEL_FILE, model.variables)


def _listed_files(checkpoint: Path) -> dict[str, tuple[int, str]]:
    """Returns the size in bytes and the SHA-256 of each file, by its manifest."""
    try:
        manifest = json.loads((checkpoint / _MANIFEST).read_text(encoding="utf-8"))
        return {
            name: (each["size_bytes"], each["sha256"]) for name, each in manifest["files"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unreadable(checkpoint, error) from error


def _verify(checkpoint: Path, names: Sequence[str]) -> None:
    """Compares files of a checkpoint with what its manifest says of them."""
    listed = _listed_files(checkpoint)
    try:
        for name in names:
            size_bytes, sha256 = listed[name]
            found_bytes = (checkpoint / name).stat().st_size
            if found_bytes != size_bytes:
                raise _damaged(
                    checkpoint / name,
                    min(found_bytes, size_bytes),
                    f"{found_bytes} bytes instead of {size_bytes}",
                )
            with (checkpoint / name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                    raise _damaged(checkpoint / name, 0, "not as it was written, by its SHA-256")
    except (OSError, KeyError) as error:
        raise _unreadable(checkpoint, error) from error


def _unreadable(checkpoint: Path, error: Exception) -> DataError:
    return DataError(
        f"the checkpoint {checkpoint} cannot be read: {error}; "
        "remove this directory to go on from an older one"
    )


def _damaged(path: Path, offset_bytes: int, problem: str) -> CorruptDataError:
    return CorruptDataError(
        str(path),
        offset_bytes,
        f"{problem}; remove the directory {path.parent} to go on from an older checkpoint",
    )
