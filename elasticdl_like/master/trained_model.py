"""The trained model of a job that evaluates or predicts: found where the job's files are seen."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from elasticdl_like.config import JobConfig
from elasticdl_like.errors import ConfigError, DataError
from elasticdl_like.job_directory import JobDirectory
from elasticdl_like.master.checkpoints import is_complete, newest_checkpoint
from elasticdl_like.master.recovery import load_core


def with_trained_model(config: JobConfig, directory: JobDirectory, overwrite: bool) -> JobConfig:
    """Returns the configuration of a job with the model that it uses, which exists.

    A directory of checkpoints becomes its newest one. A job that goes on keeps the one that it
    began with, although there may be a newer one by now.

    Args:
        config: the job; one that trains stays as it is.
        directory: where it is kept.
        overwrite: whether an earlier job there is removed.

    Raises:
        ConfigError: there is no such model.
        JournalError: the journal of the job in the directory cannot be read.
    """
    model_path, checkpoint = config.inference.model_path, config.inference.checkpoint
    if model_path and not Path(model_path).is_file():
        raise ConfigError(f"--model_path: there is no file {model_path}")
    if not checkpoint:
        return config
    chosen = _checkpoint(Path(checkpoint), directory, overwrite)
    inference = dataclasses.replace(config.inference, checkpoint=str(chosen))
    return dataclasses.replace(config, inference=inference)


def _checkpoint(place: Path, directory: JobDirectory, overwrite: bool) -> Path:
    if not place.is_dir():
        raise ConfigError(f"--checkpoint_dir: there is no directory {place}")
    if directory.has_job() and not overwrite:
        before = load_core(directory.path).config.inference.checkpoint
        if before and Path(before).parent == place and is_complete(Path(before)):
            return Path(before)
    try:
        return newest_checkpoint(place)
    except DataError as error:
        raise ConfigError(f"--checkpoint_dir: {error}") from error
