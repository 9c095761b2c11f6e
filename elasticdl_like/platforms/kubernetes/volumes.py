"""Volumes of a job: `claim_name=data,mount_path=/data;host_path=/mnt,mount_path=/mnt`."""

from __future__ import annotations

import posixpath
from pathlib import PurePosixPath

from elasticdl_like.errors import ConfigError
from elasticdl_like.platforms.kubernetes.pairs import parse_names, parse_pairs
from elasticdl_like.platforms.kubernetes.settings import Volume

_NAMES = frozenset({"claim_name", "host_path", "mount_path", "sub_path", "read_only", "type"})
_HOST_PATH_TYPES = ("Directory", "DirectoryOrCreate")
_BOOLEANS = {"true": True, "false": False}
# What the pods have there already, and what is below or above it.
_TAKEN = tuple(
    PurePosixPath(path)
    for path in ("/elasticdl", "/tmp", "/dev", "/proc", "/sys", "/var/run/secrets", "/run/secrets")
)


def parse_volumes(text: str, flag: str) -> tuple[Volume, ...]:
    """Parses the volumes that all pods see, separated by semicolons.

    Each has `mount_path`, and `claim_name` or `host_path`; it may have `sub_path`, `read_only` and,
    with `host_path`, `type`.

    Args:
        text: the value of the flag.
        flag: its name, for the error message.

    Raises:
        ConfigError: the text does not parse, or two volumes are at the same place.
    """
    volumes: list[Volume] = []
    for part in text.split(";"):
        if not part.strip():
            continue
        volume = _volume(part, flag)
        path = PurePosixPath(volume.mount_path)
        if not volume.mount_path:
            raise ConfigError(f"{flag}: {part.strip()!r} does not say where: mount_path=/…")
        _check_absolute(volume.mount_path, f"{flag}: mount_path")
        if path == PurePosixPath("/") or any(path.is_relative_to(taken) for taken in _TAKEN):
            raise ConfigError(
                f"{flag}: nothing can be mounted at {volume.mount_path}; choose "
                "another mount_path, such as /data"
            )
        if any(path == PurePosixPath(other.mount_path) for other in volumes):
            raise ConfigError(f"{flag}: two volumes are mounted at {volume.mount_path}")
        volumes.append(volume)
    return tuple(volumes)


def parse_job_volume(text: str, flag: str) -> Volume | None:
    """Parses the volume that holds the job directory; as of `parse_volumes`, without `mount_path`.

    Returns:
        The volume, or None when the flag is left out.

    Raises:
        ConfigError: the text does not parse, or the volume cannot be written to.
    """
    if not text.strip():
        return None
    volume = _volume(text, flag)
    if volume.mount_path:
        raise ConfigError(f"{flag}: its place in the pods is fixed; leave mount_path out")
    if volume.read_only:
        raise ConfigError(f"{flag}: the job is written down there, so read_only cannot be")
    return volume


def volume_of(path: str, volumes: tuple[Volume, ...]) -> Volume | None:
    """Returns the volume that a path of the pods lies in, or None for a place in the pod itself."""
    place = PurePosixPath(posixpath.normpath(path))
    of_path = [volume for volume in volumes if place.is_relative_to(volume.mount_path)]
    return max(
        of_path, key=lambda volume: len(PurePosixPath(volume.mount_path).parts), default=None
    )


def _volume(text: str, flag: str) -> Volume:
    text = text.strip()
    pairs = parse_pairs(text, flag)
    for name in pairs:
        if name not in _NAMES:
            raise ConfigError(
                f"{flag}: {name!r} in {text!r} is not known; there is {', '.join(sorted(_NAMES))}"
            )
    claim, host = pairs.get("claim_name", ""), pairs.get("host_path", "")
    if bool(claim) is bool(host):
        raise ConfigError(f"{flag}: {text!r} needs either claim_name or host_path")
    if claim:
        parse_names(claim, f"{flag}: claim_name")
    else:
        _check_absolute(host, f"{flag}: host_path")
    kind = pairs.get("type", "")
    if kind and (claim or kind not in _HOST_PATH_TYPES):
        raise ConfigError(
            f"{flag}: type={kind} in {text!r}: there is {' and '.join(_HOST_PATH_TYPES)}, for "
            "host_path"
        )
    sub_path = pairs.get("sub_path", "")
    if sub_path.startswith("/") or ".." in PurePosixPath(sub_path).parts:
        raise ConfigError(f"{flag}: sub_path {sub_path!r} does not stay inside the volume")
    read_only = pairs.get("read_only", "false").lower()
    if read_only not in _BOOLEANS:
        raise ConfigError(f"{flag}: read_only={read_only} is neither true nor false")
    return Volume(pairs.get("mount_path", ""), claim, host, kind, sub_path, _BOOLEANS[read_only])


def _check_absolute(path: str, what: str) -> None:
    strange = path.startswith("//") or ".." in PurePosixPath(path).parts or ":" in path
    if strange or not path.startswith("/"):
        raise ConfigError(f"{what} {path!r} is not an absolute path without '..', '//' and ':'")
