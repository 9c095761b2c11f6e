"""The trained model, as files for whoever uses it."""

from __future__ import annotations

from pathlib import Path

import keras

from elasticdl_like.errors import ModelDefinitionError
from elasticdl_like.worker.master_client import MasterClient

_WEIGHTS = "model.weights.h5"


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
