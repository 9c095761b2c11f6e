"""Paths in the flags of a job for Kubernetes: what pods share, and what is on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from elasticdl_like.config import JobKind
from elasticdl_like.data_readers.files import is_url
from elasticdl_like.errors import ConfigError
from elasticdl_like.platforms.kubernetes import places
from elasticdl_like.platforms.kubernetes.settings import KubernetesSettings, Volume
from elasticdl_like.platforms.kubernetes.volumes import volume_of

_WRITTEN: Mapping[JobKind, Sequence[str]] = {
    JobKind.TRAINING: ("output", "checkpoint_dir", "tensorboard_dir"),
    JobKind.EVALUATION: (),
    JobKind.PREDICTION: ("prediction_output",),
}
_READ: Mapping[JobKind, Sequence[str]] = {
    JobKind.TRAINING: ("checkpoint_dir_for_init", "resume_from"),
    JobKind.EVALUATION: ("model_path", "checkpoint_dir"),
    JobKind.PREDICTION: ("model_path", "checkpoint_dir"),
}
# Of all flags with a place the only one that may name a store which each pod reaches by itself.
_MAY_BE_URL = "prediction_output"
_DATA = ("training_data", "validation_data", "prediction_data")


def check_paths(flags: Mapping[str, Any], kind: JobKind, settings: KubernetesSettings) -> None:
    """Makes sure that what the pods write and read is where all of them see it.

    Args:
        flags: every flag of the command.
        kind: what the job does.
        settings: how it runs on Kubernetes.

    Raises:
        ConfigError: a place is in no volume, or in one that cannot be written to; or the data is on
            this machine.
    """
    volumes = tuple(settings.volumes)
    for name in (*_WRITTEN[kind], *_READ[kind]):
        path = flags[name]
        if not path or (name == _MAY_BE_URL and is_url(path)):
            continue
        plain = path.removeprefix("file://")
        volume = volume_of(plain, volumes)
        in_job_volume = settings.job_volume is not None and Path(plain).is_relative_to(
            places.JOBS_DIRECTORY
        )
        if volume is None and not in_job_volume:
            raise ConfigError(
                f"--{name} {path} is in no --volume, so the pods do not share it; name a path "
                "below the mount_path of one"
            )
        if volume is not None and volume.read_only and name in _WRITTEN[kind]:
            raise ConfigError(f"--{name} {path} is in a --volume with read_only=true")
    for name in _DATA:
        path = flags.get(name)
        if path and not Path(path).is_absolute() and Path(path).exists():
            raise ConfigError(
                f"--{name} {path} is on this machine, which the pods do not see; put the data into "
                "a --volume, and name its path below mount_path"
            )


def is_sent(model_zoo: str, volumes: Sequence[Volume]) -> bool:
    """Returns whether a model zoo is on this machine, from where its files travel to the pods.

    Args:
        model_zoo: its path.
        volumes: what the pods see at places of theirs.
    """
    return volume_of(model_zoo, tuple(volumes)) is None and Path(model_zoo).is_dir()
