"""The flags of `--platform kubernetes`, and the settings that they make."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click
from click.core import ParameterSource

from elasticdl_like.cli.flag import Command, option, together
from elasticdl_like.errors import ConfigError
from elasticdl_like.platforms.kubernetes.image_names import parse_image_name
from elasticdl_like.platforms.kubernetes.names import parse_namespace
from elasticdl_like.platforms.kubernetes.pairs import (
    parse_annotations,
    parse_labels,
    parse_names,
)
from elasticdl_like.platforms.kubernetes.patches import parse_patches
from elasticdl_like.platforms.kubernetes.places import RESERVED_LABELS
from elasticdl_like.platforms.kubernetes.priorities import parse_priority
from elasticdl_like.platforms.kubernetes.resources import requests_and_limits
from elasticdl_like.platforms.kubernetes.settings import (
    DEFAULT_NAMESPACE,
    DEFAULT_SERVICE_ACCOUNT,
    KubernetesSettings,
    PodSettings,
    RunSettings,
)
from elasticdl_like.platforms.kubernetes.tolerations import parse_tolerations
from elasticdl_like.platforms.kubernetes.volumes import parse_job_volume, parse_volumes

_MASTER_DEFAULTS = {"cpu": "0.1", "memory": "1024Mi"}
_WORKER_DEFAULTS = {"cpu": "1", "memory": "4096Mi"}


def _resources(role: str, defaults: Mapping[str, str]) -> Callable[[Command], Command]:
    shown = ",".join(f"{name}={amount}" for name, amount in defaults.items())
    return together(
        option(
            f"--{role}_resource_request",
            default="",
            metavar="RESOURCES",
            help=f"What is set aside for a {role} pod, such as cpu=0.5,memory=4Gi,disk=10Gi,gpu=1; "
            f"of processor and memory {shown} by default.",
        ),
        option(
            f"--{role}_resource_limit",
            default="",
            metavar="RESOURCES",
            help=f"The most that a {role} pod can use; by default what is set aside, and as much "
            "of the processors as is idle.",
        ),
    )


namespace_option = option(
    "--namespace", default=DEFAULT_NAMESPACE, help="The namespace of the job's pods."
)

_kubernetes_flags = together(
    option("--image_name", default="", help="The image of the pods. Required on Kubernetes."),
    option("--worker_image", default="", help="Another image for the workers."),
    namespace_option,
    option(
        "--image_pull_policy",
        type=click.Choice(["Always", "IfNotPresent", "Never"]),
        default="IfNotPresent",
        help="When a node fetches the image.",
    ),
    option(
        "--image_pull_secrets",
        default="",
        metavar="NAMES",
        help="Secrets with credentials for the image's registry: a,b.",
    ),
    _resources("master", _MASTER_DEFAULTS),
    _resources("worker", _WORKER_DEFAULTS),
    option(
        "--master_pod_priority", default="", metavar="CLASS", help="PriorityClass of the master."
    ),
    option(
        "--worker_pod_priority",
        default="",
        metavar="CLASSES",
        help="PriorityClass of the workers; high=0.5 for half of them, high=0.5,low with another "
        "for the rest.",
    ),
    option(
        "--volume",
        default="",
        metavar="VOLUMES",
        help="What all pods see: 'claim_name=data,mount_path=/data;host_path=/mnt,"
        "mount_path=/mnt'. Each may also have sub_path, read_only=true and, with host_path, type.",
    ),
    option(
        "--job_volume",
        default="",
        metavar="VOLUME",
        help="Where the job's state and checkpoints are kept: claim_name=jobs, or host_path=/jobs, "
        "each perhaps with sub_path. Without it the state is lost with the master's pod, and "
        "--checkpoint_dir must be in a --volume.",
    ),
    option(
        "--envs",
        default="",
        help="Environment variables of the pods: NAME=value,NAME=value, JSON, or @file. They are "
        "kept in a Secret.",
    ),
    option(
        "--restart_policy",
        type=click.Choice(["OnFailure", "Never"]),
        default="OnFailure",
        help="Whether a master that fails is started again in its pod, or in another one. A worker "
        "that is lost always gets another.",
    ),
    option(
        "--service_account_name",
        default=DEFAULT_SERVICE_ACCOUNT,
        help="The service account of the master, which creates the workers; manifests/rbac.yaml "
        "makes one.",
    ),
    option(
        "--node_selector",
        default="",
        metavar="LABELS",
        help="Labels that the nodes of the pods have: disk=ssd,zone=a.",
    ),
    option(
        "--tolerations",
        default="",
        metavar="TAINTS",
        help="Taints of nodes that do not keep the pods away: gpu=yes:NoSchedule,spot, or JSON.",
    ),
    option("--labels", default="", help="Labels of everything that is created: team=vision."),
    option("--annotations", default="", help="Annotations of everything that is created."),
    option(
        "--cluster_spec",
        default="",
        metavar="FILE",
        help="File, YAML or JSON, of merge patches for what has no flag: an object with pod, "
        "master_pod, worker_pod, service.",
    ),
    option("--cluster_spec_json", default="", metavar="JSON", help="The same, as JSON."),
    option(
        "--detach",
        is_flag=True,
        help="Return as soon as the job is submitted. Without it the command follows the job to "
        "its end; Ctrl-C then leaves the job running.",
    ),
    option(
        "--dry_run",
        is_flag=True,
        help="Print what would be created, without the values of secrets, and create nothing.",
    ),
    option(
        "--manifest_format",
        "-o",
        type=click.Choice(["yaml", "json"]),
        default="yaml",
        help="Format of what --dry_run prints.",
    ),
)

platform_options = together(
    option(
        "--platform",
        type=click.Choice(["local", "kubernetes"]),
        default="local",
        help="Where master and workers run: on this machine, or in pods of the cluster that the "
        "current kubeconfig names. The flags from here to --manifest_format are for Kubernetes.",
    ),
    _kubernetes_flags,
)

_NAMES = frozenset(
    parameter.name
    for parameter in click.command()(_kubernetes_flags(lambda: None)).params
    if parameter.name
)


def refuse_kubernetes_flags() -> None:
    """Makes sure that a job on this machine has no flag that is for Kubernetes alone.

    Raises:
        ConfigError: the command line has one.
    """
    for name in given_flags(_NAMES):
        raise ConfigError(
            f"--{name} is for Kubernetes; give --platform kubernetes, or leave it out for a job on "
            "this machine"
        )


def given_flags(names: frozenset[str]) -> list[str]:
    """Returns which of these parameters the command line itself has, sorted."""
    context = click.get_current_context()
    return sorted(
        name for name in names if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    )


def kubernetes_settings(flags: Mapping[str, Any]) -> KubernetesSettings:
    """Returns the settings that the flags ask for.

    Args:
        flags: those of `platform_options`, `local_job_options` and `safety_options`.

    Raises:
        ConfigError: a flag has a value that cannot be used.
    """
    image, worker_image = flags["image_name"].strip(), flags["worker_image"].strip()
    if not image:
        raise ConfigError("--image_name is missing; it names the image of master and workers")
    parse_image_name(image, "--image_name")
    if worker_image:
        parse_image_name(worker_image, "--worker_image")
    master_priority = parse_priority(flags["master_pod_priority"], "--master_pod_priority")
    if master_priority.fraction != 1:
        raise ConfigError(
            f"--master_pod_priority {flags['master_pod_priority']}: there is one master, of which "
            "no part can have a class"
        )
    accounts = parse_names(flags["service_account_name"], "--service_account_name")
    if len(accounts) > 1:
        raise ConfigError(
            f"--service_account_name {flags['service_account_name']}: there is one master, which "
            "has one service account"
        )
    return KubernetesSettings(
        image=image,
        namespace=parse_namespace(flags["namespace"]),
        worker_image=worker_image,
        image_pull_policy=flags["image_pull_policy"],
        image_pull_secrets=parse_names(flags["image_pull_secrets"], "--image_pull_secrets"),
        service_account=next(iter(accounts), DEFAULT_SERVICE_ACCOUNT),
        restart_policy=flags["restart_policy"],
        master=PodSettings(*_amounts(flags, "master", _MASTER_DEFAULTS), master_priority),
        worker=PodSettings(
            *_amounts(flags, "worker", _WORKER_DEFAULTS),
            parse_priority(flags["worker_pod_priority"], "--worker_pod_priority"),
        ),
        volumes=parse_volumes(flags["volume"], "--volume"),
        job_volume=parse_job_volume(flags["job_volume"], "--job_volume"),
        node_selector=parse_labels(flags["node_selector"], "--node_selector"),
        tolerations=parse_tolerations(flags["tolerations"], "--tolerations"),
        labels=parse_labels(flags["labels"], "--labels", RESERVED_LABELS),
        annotations=parse_annotations(flags["annotations"], "--annotations"),
        patches=parse_patches(flags["cluster_spec"], flags["cluster_spec_json"]),
        run=RunSettings(
            max_worker_restarts=flags["max_worker_restarts"],
            master_timeout_s=flags["master_timeout"],
            journal_sync=flags["journal_sync"],
            allow_changed_data=flags["allow_changed_data"],
            overwrite=flags["overwrite"],
        ),
    )


def _amounts(
    flags: Mapping[str, Any], role: str, defaults: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    request, limit = f"{role}_resource_request", f"{role}_resource_limit"
    return requests_and_limits(
        flags[request], flags[limit], (f"--{request}", f"--{limit}"), defaults
    )
