"""Flags of ElasticDL for Kubernetes and for the images of its pods."""

from __future__ import annotations

from collections.abc import Mapping

from elasticdl_like.cli.compatibility.entries import ElasticdlFlag, refused, warning, works
from elasticdl_like.cli.compatibility.zoo_flags import LOCAL_PKG_DIR

_NO_IMAGE = "No image is built for a job; `elasticdl zoo build` builds one for `--image_name`."


def _image(
    name: str, *, is_boolean: bool = False, commands: tuple[str, ...] = ("train",)
) -> ElasticdlFlag:
    return refused(name, _NO_IMAGE, is_boolean=is_boolean, commands=commands)


CLUSTER_FLAGS: Mapping[str, tuple[ElasticdlFlag, ...]] = {
    "Kubernetes": (
        works("--image_name", "With `--platform kubernetes`, as all flags of this table."),
        works("--worker_image"),
        works("--image_pull_policy", "`IfNotPresent` when left out, was `Always`."),
        works(
            "--restart_policy",
            "Of the master: `OnFailure` when left out, or `Never`. Lost workers are always "
            "replaced, by new pods.",
        ),
        works("--namespace"),
        works("--master_resource_request"),
        works(
            "--master_resource_limit",
            "What is requested when left out, as before, but as much of the processors as is idle.",
        ),
        works("--worker_resource_request"),
        works("--worker_resource_limit", "As `--master_resource_limit`."),
        works("--master_pod_priority"),
        works(
            "--worker_pod_priority",
            "With `high=0.5` the rest has the cluster's default priority, was `low`; write "
            "`high=0.5,low`. The value `0.5` alone is refused.",
        ),
        works("--volume", "`sub_path` and `read_only` are new."),
        works("--envs", "Kept in a Secret; JSON and `@file` are new."),
        works(
            "--cluster_spec",
            "YAML or JSON merge patches of `pod`, `master_pod`, `worker_pod` and `service`; Python "
            "is not run.",
        ),
        works("--cluster_spec_json", "As `--cluster_spec`; `pod_spec` and its like are refused."),
        refused("--yaml", "Use `elasticdl train --dry_run -o yaml`, which prints it."),
        warning(
            "--force_use_kube_config_file",
            "The kubeconfig is used wherever there is one.",
            is_boolean=True,
        ),
    ),
    "Docker images": (
        _image("--image_base"),
        refused(
            "--extra_pypi_index",
            f"{_NO_IMAGE} `elasticdl zoo init` has this flag.",
            commands=("train", "zoo"),
        ),
        _image("--docker_image_repository", commands=("train", "clean")),
        _image("--docker_image_prefix"),
        _image("--docker_base_url", commands=("train", "zoo", "clean")),
        _image("--docker_tlscert", commands=("train", "zoo", "clean")),
        _image("--docker_tlskey", commands=("train", "zoo", "clean")),
        _image("--push_image", is_boolean=True),
        _image("--repository"),
        works("--image", commands=("zoo",)),
        works(
            "--base_image",
            "`elasticdl:1` when left out, was `python:3.6`. It must have elasticdl.",
            commands=("zoo",),
        ),
        LOCAL_PKG_DIR,
        _image("--all", is_boolean=True, commands=("clean",)),
    ),
}
"""By theme."""
