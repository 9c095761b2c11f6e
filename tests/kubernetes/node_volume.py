"""A directory of the one node as a claim of a namespace, with the digits in it."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from small_pods import IMAGE

from elasticdl_command import eventually
from elasticdl_like.platforms.kubernetes import places
from elasticdl_like.platforms.kubernetes.client import Cluster
from elasticdl_like.platforms.kubernetes.transport import Transport

CLAIM = "elasticdl-test"
FOLDER = "/var/tmp/elasticdl-test"
MOUNT_PATH = "/mnt/volume"
_PODS_USER = 1000
_VOLUMES = "/api/v1/persistentvolumes"


@contextlib.contextmanager
def claimed_volume(transport: Transport, cluster: Cluster, data: Path) -> Iterator[None]:
    """Claims a volume that has `data/`, and `jobs/` which pods can write to.

    Args:
        transport: requests as the one who runs the tests.
        cluster: the namespace.
        data: copied into the volume; less than a MB.
    """
    name = cluster.namespace
    _create(transport, _VOLUMES, _volume(name))
    try:
        claims = f"/api/v1/namespaces/{name}/persistentvolumeclaims"
        _create(transport, claims, _claim(name))
        files = sorted(path.relative_to(data) for path in data.rglob("*") if path.is_file())
        content = {str(path).replace("/", "."): (data / path).read_bytes() for path in files}
        cluster.create(_config_map(content))
        items = [{"key": str(path).replace("/", "."), "path": str(path)} for path in files]
        source = {"name": "from", "configMap": {"name": CLAIM, "items": items}}
        run_on_volume(
            cluster,
            "prepare",
            "cp -rL /mnt/from/* data && chmod -R a+rX data && mkdir jobs && "
            f"chown {_PODS_USER} jobs",
            [source],
        )
        yield
        for kind in ("Job", "Pod"):
            for left in cluster.list_objects(kind, "app").items:
                cluster.delete(kind, left["metadata"]["name"], 0)
        folder = {"name": "folder", "hostPath": {"path": FOLDER}}
        run_on_volume(cluster, "clean", f"rm -r /mnt/folder/{name}", [folder])
    finally:
        transport.request(f"delete PersistentVolume {name}", "DELETE", f"{_VOLUMES}/{name}")


def run_on_volume(
    cluster: Cluster, name: str, line: str, further_volumes: Sequence[Mapping[str, Any]] = ()
) -> str:
    """Runs a line of shell in the volume, as root, to its end; returns what it printed."""
    volumes = [{"name": "volume", "persistentVolumeClaim": {"claimName": CLAIM}}, *further_volumes]
    container = {
        "name": places.CONTAINER,
        "image": IMAGE,
        "command": ["sh", "-ec", line],
        "workingDir": MOUNT_PATH,
        "securityContext": {"runAsUser": 0},
        "volumeMounts": [
            # Where the pods of jobs see it.
            {"name": "volume", "subPath": "data", "mountPath": "/data"},
            *({"name": each["name"], "mountPath": f"/mnt/{each['name']}"} for each in volumes),
        ],
    }
    spec = {"restartPolicy": "Never", "containers": [container], "volumes": volumes}
    metadata = {"name": name, "labels": {"app": "elasticdl-test"}}
    cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})

    def ended() -> str:
        phase: str = cluster.read("Pod", name)["status"]["phase"]
        return phase if phase in ("Succeeded", "Failed") else ""

    phase = eventually(ended, 120)
    printed = b"\n".join(cluster.read_log(name)).decode()
    assert phase == "Succeeded", f"{line}: {printed}"
    cluster.delete_pod(name, 0)
    return printed


def _create(transport: Transport, path: str, plain: Mapping[str, Any]) -> None:
    what = f"create {plain['kind']} {plain['metadata']['name']}"
    transport.request(what, "POST", path, body=plain)


def _volume(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "",
            "claimRef": {"namespace": name, "name": CLAIM},
            "hostPath": {"path": f"{FOLDER}/{name}", "type": "DirectoryOrCreate"},
        },
    }


def _claim(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": CLAIM},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "storageClassName": "",
            "volumeName": name,
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }


def _config_map(content: Mapping[str, bytes]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": CLAIM},
        "binaryData": {key: base64.b64encode(value).decode() for key, value in content.items()},
    }
