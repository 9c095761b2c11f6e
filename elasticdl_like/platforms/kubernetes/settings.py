"""How a job runs on Kubernetes, in small frozen dataclasses.

The command line makes the settings; the master reads them from a ConfigMap of the job, as JSON.
They hold no secrets: those are in Secrets.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from elasticdl_like.errors import ConfigError

DEFAULT_NAMESPACE = "default"

DEFAULT_SERVICE_ACCOUNT = "elasticdl-master"
"""The service account of master pods; `manifests/rbac.yaml` makes it."""


@dataclass(frozen=True)
class Volume:
    """A place outside the pods that they see as a directory.

    Attributes:
        mount_path: where they see it; "" for the job volume, whose place is fixed.
        claim_name: a PersistentVolumeClaim of the namespace.
        host_path: a directory of the node; one of the two is "".
        host_path_type: what must be at `host_path`, such as `Directory`; "" for anything.
        sub_path: a directory inside of it, to see that alone; "" for all of it.
        read_only: whether it cannot be written to.
    """

    mount_path: str
    claim_name: str = ""
    host_path: str = ""
    host_path_type: str = ""
    sub_path: str = ""
    read_only: bool = False


@dataclass(frozen=True)
class Priority:
    """The PriorityClass of a kind of pods, or those of parts of them.

    Attributes:
        class_name: the class, or "" for the cluster's default.
        fraction: the part of the pods that have it, above 0 and up to 1.
        other_class_name: the class of the rest, or "" for the cluster's default.
    """

    class_name: str = ""
    fraction: float = 1.0
    other_class_name: str = ""


@dataclass(frozen=True)
class PodSettings:
    """What a kind of pods gets.

    Attributes:
        requests: resources that are set aside for it, full name -> quantity.
        limits: the most that it can use.
        priority: its PriorityClass.
    """

    requests: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, str] = field(default_factory=dict)
    priority: Priority = field(default_factory=Priority)


@dataclass(frozen=True)
class Patches:
    """Merge patches (RFC 7396) of what the cluster is asked for.

    Attributes:
        pod: of every pod; applied first.
        master_pod: of the master pod.
        worker_pod: of worker pods.
        service: of the Service.
    """

    pod: Mapping[str, Any] = field(default_factory=dict)
    master_pod: Mapping[str, Any] = field(default_factory=dict)
    worker_pod: Mapping[str, Any] = field(default_factory=dict)
    service: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RunSettings:
    """How the master runs the job, and its workers theirs; what flags say to a local job.

    Attributes:
        max_worker_restarts: how often a worker may crash before the job fails.
        master_timeout_s: how long a worker waits for a silent master.
        journal_sync: "normal" or "full".
        allow_changed_data: go on although the data set has changed.
        overwrite: remove what an earlier job of the same name has left, once.
    """

    max_worker_restarts: int = 3
    master_timeout_s: float = 600.0
    journal_sync: str = "normal"
    allow_changed_data: bool = False
    overwrite: bool = False


@dataclass(frozen=True)
class KubernetesSettings:
    """Everything about a job that only Kubernetes has to know.

    Attributes:
        image: the image of master and workers.
        namespace: where everything is created.
        worker_image: the image of workers; "" for the same.
        image_pull_policy: `Always`, `IfNotPresent` or `Never`.
        image_pull_secrets: Secrets of the namespace with credentials for registries.
        service_account: what the master pod uses to ask for worker pods.
        restart_policy: of the master's container: `OnFailure` starts it again in the same pod,
            `Never` in another pod. A worker is always replaced by a new pod.
        master: what the master pod gets.
        worker: what each worker pod gets.
        volumes: seen by all pods.
        job_volume: where the job directory is; None for a directory that lives as long as the
            master pod.
        node_selector: labels that the node of each pod must have.
        tolerations: taints of nodes that pods bear, each as in a pod's specification.
        labels: further labels of all objects.
        annotations: further annotations of all objects.
        patches: changes to pods and Service.
        run: how the master runs the job.
        model_zoo_files: paths, below the model zoo, of the files that came with the job, sorted;
            none when the model zoo is in the image or in a volume.
    """

    image: str
    namespace: str = DEFAULT_NAMESPACE
    worker_image: str = ""
    image_pull_policy: str = "IfNotPresent"
    image_pull_secrets: Sequence[str] = ()
    service_account: str = DEFAULT_SERVICE_ACCOUNT
    restart_policy: str = "OnFailure"
    master: PodSettings = field(default_factory=PodSettings)
    worker: PodSettings = field(default_factory=PodSettings)
    volumes: Sequence[Volume] = ()
    job_volume: Volume | None = None
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: Sequence[Mapping[str, Any]] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    patches: Patches = field(default_factory=Patches)
    run: RunSettings = field(default_factory=RunSettings)
    model_zoo_files: Sequence[str] = ()

    def to_json(self) -> str:
        """Returns the settings as one line of JSON."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> KubernetesSettings:
        """Reads what `to_json` wrote.

        Raises:
            ConfigError: the text holds no settings, or those of another version.
        """
        try:
            plain = json.loads(text)
            job_volume = plain.pop("job_volume")
            return cls(
                master=_pod_settings(plain.pop("master")),
                worker=_pod_settings(plain.pop("worker")),
                volumes=tuple(Volume(**each) for each in plain.pop("volumes")),
                job_volume=None if job_volume is None else Volume(**job_volume),
                patches=Patches(**plain.pop("patches")),
                run=RunSettings(**plain.pop("run")),
                image_pull_secrets=tuple(plain.pop("image_pull_secrets")),
                tolerations=tuple(plain.pop("tolerations")),
                model_zoo_files=tuple(plain.pop("model_zoo_files")),
                **plain,
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ConfigError(
                f"the job's settings for Kubernetes cannot be read ({error!r}); use images with "
                "the version of elasticdl that the job was submitted with"
            ) from error


def _pod_settings(plain: Mapping[str, Any]) -> PodSettings:
    return PodSettings(plain["requests"], plain["limits"], Priority(**plain["priority"]))
