"""The specifications of the two kinds of pods: what runs in them, what they see, what they may."""

from __future__ import annotations

from typing import Any

from elasticdl_like.platforms.kubernetes import places
from elasticdl_like.platforms.kubernetes.priorities import class_of_worker
from elasticdl_like.platforms.kubernetes.settings import KubernetesSettings, PodSettings, Volume
from elasticdl_like.platforms.kubernetes.tls_material import WORKERS_NAME

# Time to leave a round in order and to write a checkpoint.
_GRACE_S = 30
_USER_ID = 1000


def master_template(settings: KubernetesSettings, name: str) -> dict[str, Any]:
    """Returns the specification of the master pod.

    Args:
        settings: how the job runs on Kubernetes.
        name: the job's name in the cluster.
    """
    command = ["elasticdl", "master-pod", "--name", name, "--root_uid", "$(ROOT_UID)"]
    # The controller of Jobs labels its pods so; reading it here saves a call and a permission.
    root_uid = {"fieldRef": {"fieldPath": "metadata.labels['controller-uid']"}}
    mounts = _Mounts()
    mounts.config_map("config", name, places.CONFIG_DIRECTORY, _config_items())
    _common_mounts(mounts, settings, name, secret=name)
    _mount_jobs(mounts, settings.job_volume)
    container = _container(settings, settings.image, settings.master, name, command, mounts)
    container["env"] = [{"name": "ROOT_UID", "valueFrom": root_uid}]
    container["ports"] = [{"name": "grpc", "containerPort": places.MASTER_PORT}]
    spec = _spec(settings, container, mounts, settings.master.priority.class_name)
    return spec | {
        "restartPolicy": settings.restart_policy,
        "serviceAccountName": settings.service_account,
        "automountServiceAccountToken": True,
    }


def worker_spec(
    settings: KubernetesSettings, name: str, worker_id: int, incarnation: str
) -> dict[str, Any]:
    """Returns the specification of a worker's pod.

    Args:
        settings: how the job runs on Kubernetes.
        name: the job's name in the cluster.
        worker_id: the number of the worker.
        incarnation: the random name of this process of the worker.
    """
    secret = places.SECRET_DIRECTORY
    command = [
        *("elasticdl", "worker"),
        *("--master_addr", places.master_address(name, settings.namespace)),
        *("--token_file", f"{secret}/{places.TOKEN_FILE}"),
        *("--tls_ca_file", f"{secret}/{places.CA_FILE}"),
        *("--tls_cert_file", f"{secret}/{places.CERT_FILE}"),
        *("--tls_key_file", f"{secret}/{places.KEY_FILE}"),
        *("--tls_workers_name", WORKERS_NAME),
        *("--worker_id", str(worker_id), "--incarnation", incarnation),
        *("--master_timeout", str(settings.run.master_timeout_s)),
        *("--log_format", "json"),
    ]
    mounts = _Mounts()
    _common_mounts(mounts, settings, name, secret=places.worker_secret(name))
    if settings.job_volume is not None:
        # Checkpoints are written by a worker and published by the master.
        _mount_jobs(mounts, settings.job_volume)
    # Trainers keep their state where their agent can get at it; a pod has 64 MB for that.
    mounts.empty("shared-memory", "/dev/shm", medium="Memory")
    image = settings.worker_image or settings.image
    container = _container(settings, image, settings.worker, name, command, mounts)
    class_name = class_of_worker(settings.worker.priority, worker_id)
    return _spec(settings, container, mounts, class_name) | {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
    }


class _Mounts:
    """Volumes of a pod, and where its container sees them."""

    def __init__(self) -> None:
        self.volumes: list[dict[str, Any]] = []
        self.mounts: list[dict[str, Any]] = []

    def add(self, name: str, source: dict[str, Any], mount_path: str, **mount: Any) -> None:
        """Adds a volume of its own, and its mount."""
        self.volumes.append({"name": name, **source})
        self._mount(name, mount_path, **mount)

    def empty(self, name: str, mount_path: str, medium: str = "") -> None:
        """Adds a directory that is empty at first and lives as long as the pod."""
        source = {"medium": medium} if medium else {}
        self.add(name, {"emptyDir": source}, mount_path)

    def config_map(
        self, name: str, config_map: str, mount_path: str, items: list[dict[str, str]]
    ) -> None:
        """Adds files from a ConfigMap."""
        source = {"configMap": {"name": config_map, "items": items}}
        self.add(name, source, mount_path, readOnly=True)

    def outside(self, name: str, volume: Volume, mount_path: str) -> None:
        """Adds a place outside the pod."""
        if volume.claim_name:
            name = self._claim(name, volume)
        else:
            source = {"hostPath": {"path": volume.host_path}}
            if volume.host_path_type:
                source["hostPath"]["type"] = volume.host_path_type
            self.volumes.append({"name": name, **source})
        self._mount(name, mount_path, subPath=volume.sub_path, readOnly=volume.read_only)

    def _claim(self, name: str, volume: Volume) -> str:
        """Returns the name of the one volume of a claim: nodes wait for ever for a second one.

        It is read-only as a whole, which some storage wants of all but one node, if each place is.
        """
        for each in self.volumes:
            claim = each.get("persistentVolumeClaim", {})
            if claim.get("claimName") == volume.claim_name:
                if not volume.read_only:
                    claim.pop("readOnly", None)
                return str(each["name"])
        claim = {"claimName": volume.claim_name} | ({"readOnly": True} if volume.read_only else {})
        self.volumes.append({"name": name, "persistentVolumeClaim": claim})
        return name

    def _mount(self, name: str, mount_path: str, **mount: Any) -> None:
        """Adds a mount; None, False and "" among its attributes are left out."""
        further = {key: value for key, value in mount.items() if value}
        self.mounts.append({"name": name, "mountPath": mount_path, **further})


def _config_items() -> list[dict[str, str]]:
    return [{"key": name, "path": name} for name in (places.JOB_FILE, places.SETTINGS_FILE)]


def _common_mounts(mounts: _Mounts, settings: KubernetesSettings, name: str, secret: str) -> None:
    if settings.model_zoo_files:
        items = [
            {"key": key, "path": path} for path, key in places.zoo_keys(settings.model_zoo_files)
        ]
        mounts.config_map("model-zoo", name, places.MODEL_ZOO_DIRECTORY, items)
    # Readable by the group, which is that of the pod, and by nobody else.
    source = {"secret": {"secretName": secret, "defaultMode": 0o440}}
    mounts.add("secret", source, places.SECRET_DIRECTORY, readOnly=True)
    mounts.empty("tmp", "/tmp")
    for number, volume in enumerate(settings.volumes):
        mounts.outside(f"volume-{number}", volume, volume.mount_path)


def _mount_jobs(mounts: _Mounts, volume: Volume | None) -> None:
    if volume is None:
        mounts.empty("jobs", places.JOBS_DIRECTORY)
    else:
        mounts.outside("jobs", volume, places.JOBS_DIRECTORY)


def _container(
    settings: KubernetesSettings,
    image: str,
    pod: PodSettings,
    name: str,
    command: list[str],
    mounts: _Mounts,
) -> dict[str, Any]:
    return {
        "name": places.CONTAINER,
        "image": image,
        "imagePullPolicy": settings.image_pull_policy,
        "command": command,
        "envFrom": [{"secretRef": {"name": places.environment_secret(name)}}],
        "workingDir": "/tmp",
        # The last lines of the log of one that fails become part of the pod's status.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {"requests": dict(pod.requests), "limits": dict(pod.limits)},
        "volumeMounts": mounts.mounts,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def _spec(
    settings: KubernetesSettings, container: dict[str, Any], mounts: _Mounts, priority_class: str
) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "containers": [container],
        "volumes": mounts.volumes,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER_ID,
            "runAsGroup": _USER_ID,
            "fsGroup": _USER_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationGracePeriodSeconds": _GRACE_S,
        # The variables of other Services would look like flags of elasticdl.
        "enableServiceLinks": False,
    }
    if settings.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in settings.image_pull_secrets]
    if settings.node_selector:
        spec["nodeSelector"] = dict(settings.node_selector)
    if settings.tolerations:
        spec["tolerations"] = [dict(each) for each in settings.tolerations]
    if priority_class:
        spec["priorityClassName"] = priority_class
    return spec
