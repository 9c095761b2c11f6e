"""What a job asks the cluster for, as plain dicts; decided here, asked elsewhere.

The root is a `batch/v1` Job, whose pod is the master's. Everything else belongs to it and goes
when it goes.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from elasticdl_like.config import JobConfig
from elasticdl_like.platforms.kubernetes import places
from elasticdl_like.platforms.kubernetes.merge_patch import merged
from elasticdl_like.platforms.kubernetes.names import check_job_name, worker_pod_name
from elasticdl_like.platforms.kubernetes.pod_template import master_template, worker_spec
from elasticdl_like.platforms.kubernetes.settings import KubernetesSettings
from elasticdl_like.platforms.kubernetes.tls_material import Certificate, TlsMaterial

# Restarts of the master's container count as failures of the Job, and a job may run for months.
_MOST_MASTER_RESTARTS = 1000
# Of a user that the image need not know; elsewhere nothing can be written.
_HOME = {"HOME": "/tmp"}


@dataclass(frozen=True)
class JobSecrets:
    """What nobody but the pods of a job may know.

    Attributes:
        token: the job's token.
        tls: the job's certificates.
        environment: environment variables of all pods.
    """

    token: str = field(repr=False)
    tls: TlsMaterial
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


def job_objects(
    settings: KubernetesSettings,
    job: JobConfig,
    name: str,
    zoo_files: Mapping[str, bytes],
    secrets: JobSecrets,
) -> list[dict[str, Any]]:
    """Returns what submitting a job creates, in this order.

    The first is the root. The others get an owner reference to it, see `owned_by`, once it has
    been created.

    Args:
        settings: how the job runs on Kubernetes.
        job: the job, with paths as the pods see them.
        name: the job's name in the cluster, from `names.job_name_in_cluster`.
        zoo_files: path below the model zoo -> content, of the files that the pods get.
        secrets: token, certificates and environment.
    """
    check_job_name(name)
    settings = dataclasses.replace(settings, model_zoo_files=tuple(sorted(zoo_files)))
    certificates = secrets.tls
    return [
        _root(settings, name),
        _secret(settings, name, name, _credentials(secrets, certificates.master)),
        _secret(
            settings, name, places.worker_secret(name), _credentials(secrets, certificates.worker)
        ),
        _secret(
            settings,
            name,
            places.environment_secret(name),
            {key: value.encode() for key, value in {**_HOME, **secrets.environment}.items()},
        ),
        _config_map(settings, job, name, zoo_files),
        _service(settings, name),
    ]


def worker_pod(
    settings: KubernetesSettings,
    name: str,
    owner: Mapping[str, Any],
    worker_id: int,
    incarnation: str,
) -> dict[str, Any]:
    """Returns the pod of a worker.

    Args:
        settings: as the master has read them.
        name: the job's name in the cluster.
        owner: what `owner_reference` returned.
        worker_id: the number of the worker.
        incarnation: the random name of this process of the worker.
    """
    metadata = _metadata(settings, name, worker_pod_name(name, worker_id, incarnation))
    metadata["labels"] |= {
        places.ROLE_LABEL: places.WORKER_ROLE,
        places.WORKER_LABEL: str(worker_id),
    }
    metadata["annotations"] = {
        **metadata.get("annotations", {}),
        places.INCARNATION_ANNOTATION: incarnation,
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": worker_spec(settings, name, worker_id, incarnation),
    }
    patches = settings.patches
    return owned_by(owner, merged(merged(pod, patches.pod), patches.worker_pod))


def owner_reference(name: str, uid: str) -> dict[str, Any]:
    """Returns the reference to the root of a job.

    Args:
        name: the job's name in the cluster.
        uid: the `metadata.uid` that the root has got.
    """
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": name,
        "uid": uid,
        "controller": False,
        "blockOwnerDeletion": False,
    }


def owned_by(owner: Mapping[str, Any], plain: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an object that goes when its owner goes."""
    return {**plain, "metadata": {**plain["metadata"], "ownerReferences": [dict(owner)]}}


def _metadata(settings: KubernetesSettings, job: str, name: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": settings.namespace,
        "labels": {**settings.labels, **places.APP_LABELS, places.JOB_LABEL: job},
    }
    if settings.annotations:
        metadata["annotations"] = dict(settings.annotations)
    return metadata


def _root(settings: KubernetesSettings, name: str) -> dict[str, Any]:
    template_metadata = _metadata(settings, name, name)
    del template_metadata["name"], template_metadata["namespace"]
    template_metadata["labels"][places.ROLE_LABEL] = places.MASTER_ROLE
    template = {"metadata": template_metadata, "spec": master_template(settings, name)}
    patches = settings.patches
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(settings, name, name),
        "spec": {
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": _MOST_MASTER_RESTARTS,
            "template": merged(merged(template, patches.pod), patches.master_pod),
        },
    }


def _service(settings: KubernetesSettings, name: str) -> dict[str, Any]:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(settings, name, places.master_service(name)),
        "spec": {
            "selector": {places.JOB_LABEL: name, places.ROLE_LABEL: places.MASTER_ROLE},
            "ports": [
                {"name": "grpc", "port": places.MASTER_PORT, "targetPort": places.MASTER_PORT}
            ],
        },
    }
    return merged(service, settings.patches.service)


def _secret(
    settings: KubernetesSettings, job: str, name: str, content: Mapping[str, bytes]
) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(settings, job, name),
        "type": "Opaque",
        "data": {key: _base64(value) for key, value in content.items()},
    }


def _credentials(secrets: JobSecrets, own: Certificate) -> dict[str, bytes]:
    return {
        places.TOKEN_FILE: secrets.token.encode(),
        places.CA_FILE: secrets.tls.authority,
        places.CERT_FILE: own.certificate,
        places.KEY_FILE: own.key,
    }


def _config_map(
    settings: KubernetesSettings, job: JobConfig, name: str, zoo_files: Mapping[str, bytes]
) -> dict[str, Any]:
    data = {places.JOB_FILE: job.to_json(), places.SETTINGS_FILE: settings.to_json()}
    binary_data = {}
    for path, key in places.zoo_keys(settings.model_zoo_files):
        try:
            data[key] = zoo_files[path].decode("utf-8")
        except UnicodeDecodeError:
            binary_data[key] = _base64(zoo_files[path])
    plain = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(settings, job=name, name=name),
        "data": data,
    }
    return plain | ({"binaryData": binary_data} if binary_data else {})


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
