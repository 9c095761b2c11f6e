"""`--cluster_spec`: changes to pods and Service that no flag is there for, as merge patches."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from elasticdl_like.data_readers.extras import import_extra
from elasticdl_like.errors import ConfigError
from elasticdl_like.platforms.kubernetes import places
from elasticdl_like.platforms.kubernetes.settings import Patches

_PARTS = ("pod", "master_pod", "worker_pod", "service")
_OF_POD = ("metadata", "spec")
_OLD_PARTS = {
    "pod_spec": "pod",
    "master_spec": "master_pod",
    "worker_spec": "worker_pod",
    "service_spec": "service",
}
_FIXED = (
    ("metadata", "name"),
    ("metadata", "generateName"),
    ("metadata", "namespace"),
    ("metadata", "ownerReferences"),
    *(("metadata", "labels", label) for label in sorted(places.RESERVED_LABELS)),
    ("metadata", "annotations", places.INCARNATION_ANNOTATION),
    ("spec", "restartPolicy"),
    ("spec", "selector"),
)


def parse_patches(path: str, json_text: str) -> Patches:
    """Parses the values of --cluster_spec, a file of YAML or JSON, and --cluster_spec_json.

    Raises:
        ConfigError: both are given, the file cannot be read, or something cannot be patched.
    """
    if path and json_text:
        raise ConfigError("--cluster_spec and --cluster_spec_json are the same; use one of them")
    if json_text:
        try:
            return check_patches(json.loads(json_text), "--cluster_spec_json")
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"--cluster_spec_json is not JSON: {error}") from error
    return check_patches(_read(path), f"--cluster_spec {path}") if path else Patches()


def check_patches(plain: Any, where: str) -> Patches:
    """Returns patches that were read from somewhere.

    Args:
        plain: what was read.
        where: the flag and the file, for the error message.

    Raises:
        ConfigError: they are not patches of the parts that there are, or change what elasticdl
            finds the pods by.
    """
    if plain is None:
        return Patches()
    if not isinstance(plain, Mapping):
        raise ConfigError(f"{where} is not an object with {', '.join(_PARTS)}")
    for part, patch in plain.items():
        if part in _OLD_PARTS:
            raise ConfigError(
                f"{where}: {part!r} is of ElasticDL; write it as a merge patch: "
                f'{{"{_OLD_PARTS[part]}": {{"metadata": {{"labels": …}}, "spec": '
                '{"affinity": …}}}; for variables use --envs'
            )
        if part not in _PARTS:
            raise ConfigError(f"{where}: {part!r} is not known; there is {', '.join(_PARTS)}")
        _check_patch(patch, f"{where}: {part}")
    try:
        # YAML has words for more than JSON has: dates, numbers that are none, cycles.
        json.dumps(plain, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where} holds what cannot be written as JSON: {error}") from error
    return Patches(**plain)


def _check_patch(patch: Any, where: str) -> None:
    if not isinstance(patch, Mapping) or not all(
        isinstance(patch.get(key, {}), Mapping) for key in _OF_POD
    ):
        raise ConfigError(f"{where} is not a merge patch, an object with metadata or spec in it")
    for name in patch:
        if name not in _OF_POD:
            raise ConfigError(f"{where}: {name!r} cannot be patched; there is metadata and spec")
    _check_list(patch, "containers", "name", places.CONTAINER, where)
    _check_list(patch, "ports", "port", places.MASTER_PORT, where)
    for steps in _FIXED:
        if _reaches(patch, steps):
            raise ConfigError(f"{where}: {'.'.join(steps)} is set by elasticdl; leave it out")


def _check_list(
    patch: Mapping[str, Any], name: str, key: str, needed: str | int, where: str
) -> None:
    """Makes sure that a list, which a patch replaces as a whole, still has what is needed."""
    spec = patch.get("spec", {})
    if name not in spec:
        return
    items = spec[name]
    if not isinstance(items, list) or not any(
        isinstance(each, Mapping) and each.get(key) == needed for each in items
    ):
        raise ConfigError(
            f"{where}: spec.{name} replaces the list as a whole, and needs one with {key}: {needed}"
        )


def _reaches(patch: Mapping[str, Any], steps: tuple[str, ...]) -> bool:
    """Returns whether a patch changes what is there, or removes something that it is in."""
    value: Any = patch
    for step in steps:
        if not isinstance(value, Mapping):
            return True
        if step not in value:
            return False
        value = value[step]
    return True


def _read(path: str) -> Any:
    if path.endswith(".py"):
        raise ConfigError(
            f"--cluster_spec {path}: Python is not run here; write merge patches for "
            f"{', '.join(_PARTS)} as YAML or JSON"
        )
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--cluster_spec: cannot read {path!r}: {error}") from error
    yaml = import_extra("yaml", "kubernetes", "reading YAML")
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"--cluster_spec {path} is neither YAML nor JSON: {reason}") from error
