"""Where things are inside the pods of a job, and under which names and labels in the cluster."""

from __future__ import annotations

from collections.abc import Sequence

CONFIG_DIRECTORY = "/elasticdl/config"
"""Holds `JOB_FILE` and `SETTINGS_FILE`, in the master pod."""

JOB_FILE = "job.json"
"""The `JobConfig`, as JSON."""

SETTINGS_FILE = "settings.json"
"""The `KubernetesSettings`, as JSON."""

SECRET_DIRECTORY = "/elasticdl/secret"
"""Holds the job's token and the certificate of the pod, with its key; keys of a Secret."""

TOKEN_FILE = "token"
CA_FILE = "ca.crt"
CERT_FILE = "tls.crt"
KEY_FILE = "tls.key"

MODEL_ZOO_DIRECTORY = "/elasticdl/model_zoo"
"""The files of a model zoo that came with the job."""

JOBS_DIRECTORY = "/elasticdl/jobs"
"""The job volume; the job directory is the one below it that has the job's name."""

MASTER_PORT = 50001
"""Where the master listens."""

STATUS_PAGE_PORT = 50002
"""Where the status page is, on loopback of the master's pod."""

CONTAINER = "elasticdl"
"""The name of the one container of each pod."""

JOB_LABEL = "elasticdl-job-name"
ROLE_LABEL = "elasticdl-replica-type"
WORKER_LABEL = "elasticdl-replica-index"
"""The labels that ElasticDL gave its pods. Roles are `MASTER_ROLE` and `WORKER_ROLE`; the index
is the number of the worker."""

APP_LABELS = {"app": "elasticdl"}
"""On every object of every job."""

_LABELS_OF_JOBS = frozenset({"job-name", "controller-uid"})

RESERVED_LABELS = frozenset(
    {
        *(*APP_LABELS, JOB_LABEL, ROLE_LABEL, WORKER_LABEL),
        *_LABELS_OF_JOBS,
        *(f"batch.kubernetes.io/{name}" for name in _LABELS_OF_JOBS),
    }
)
"""The labels by which elasticdl finds what is a job's, and Kubernetes the pod of the master."""

INCARNATION_ANNOTATION = "elasticdl-incarnation"
"""On worker pods: the incarnation, whole."""

MASTER_ROLE = "master"
WORKER_ROLE = "worker"


def job_directory(job: str) -> str:
    """Returns the job directory in the master pod of a job with this name in the cluster."""
    return f"{JOBS_DIRECTORY}/{job}"


def master_service(job: str) -> str:
    """Returns the name of the Service that leads to the master."""
    return f"{job}-master"


def environment_secret(job: str) -> str:
    """Returns the name of the Secret with the environment variables of all pods."""
    return f"{job}-environment"


def worker_secret(job: str) -> str:
    """Returns the name of the Secret with the workers' certificate and the token."""
    return f"{job}-worker"


def master_hosts(job: str, namespace: str) -> tuple[str, ...]:
    """Returns the names by which the master is reached, the one that workers use first."""
    service = f"{master_service(job)}.{namespace}.svc"
    return service, f"{service}.cluster.local", "localhost"


def master_address(job: str, namespace: str) -> str:
    """Returns where workers find the master, as HOST:PORT."""
    return f"{master_hosts(job, namespace)[0]}:{MASTER_PORT}"


def pod_selector(job: str, role: str) -> str:
    """Returns the label selector of the pods of a job."""
    return f"{JOB_LABEL}={job},{ROLE_LABEL}={role}"


def zoo_keys(paths: Sequence[str]) -> list[tuple[str, str]]:
    """Returns each path below the model zoo with the key that its content has in the ConfigMap.

    A key cannot contain a slash.
    """
    return [(path, f"zoo-{number}") for number, path in enumerate(paths)]
