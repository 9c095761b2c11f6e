"""Names of objects in the cluster (RFC 1123), made from names that people chose."""

from __future__ import annotations

import hashlib
import re

from elasticdl_like.errors import ConfigError

_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_LABEL = 63
# The names of a job's other objects are longer: "-environment", "-worker-1234-" and 8 digits.
_LONGEST_JOB_NAME = 40
_HASH_DIGITS = 6


def job_name_in_cluster(name: str) -> str:
    """Returns the name that a job has in the cluster: its own, or the nearest that is allowed.

    A name that has to be cut gets a short hash, so that long names which begin alike stay apart.

    Raises:
        ConfigError: nothing of the name can be kept.
    """
    safe = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not safe:
        raise ConfigError(f"--job_name {name!r} has no letter or digit that a cluster would take")
    if not safe[0].isalpha():
        safe = f"job-{safe}"
    if len(safe) > _LONGEST_JOB_NAME:
        digits = hashlib.sha256(name.encode()).hexdigest()[:_HASH_DIGITS]
        safe = f"{safe[: _LONGEST_JOB_NAME - _HASH_DIGITS - 1].rstrip('-')}-{digits}"
    return safe


def check_job_name(name: str) -> None:
    """Makes sure that a name is one that `job_name_in_cluster` returned.

    Raises:
        ConfigError: it is not.
    """
    if len(name) > _LONGEST_JOB_NAME or not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot be the name of a job in a cluster: lower-case letters, digits and "
            f"hyphens, a letter first, at most {_LONGEST_JOB_NAME}"
        )


def worker_pod_name(job: str, worker_id: int, incarnation: str) -> str:
    """Returns the name of a worker's pod, which no earlier pod of the job has had.

    Args:
        job: the job's name in the cluster.
        worker_id: the number of the worker.
        incarnation: the random name of the process, hexadecimal.
    """
    return f"{job}-worker-{worker_id}-{incarnation[:8]}"


def parse_namespace(text: str) -> str:
    """Returns the name of a namespace.

    Raises:
        ConfigError: no namespace can have this name.
    """
    if len(text) > _LABEL or not _NAMESPACE.fullmatch(text):
        raise ConfigError(f"--namespace {text!r} cannot be the name of a namespace")
    return text
