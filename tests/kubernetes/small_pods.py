"""Pods that run a line of shell."""

from __future__ import annotations

import os
from typing import Any

from elasticdl_like.platforms.kubernetes import places
from elasticdl_like.platforms.kubernetes.transport import load_configuration

IMAGE = os.environ.get("ELASTICDL_TEST_IMAGE", "elasticdl:test")
"""The image of this project, made from its Dockerfile; the nodes have it, or can get it."""

SLEEP = "trap 'exit 143' TERM; while :; do sleep 0.1; done"
LABELS = {"app": "elasticdl-test"}
SELECTOR = "app=elasticdl-test"


def small_pod(name: str, line: str, **spec: Any) -> dict[str, Any]:
    """Returns a pod with further fields of its specification."""
    container = {
        "name": places.CONTAINER,
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", line],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": LABELS},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 3,
            "containers": [container],
            **spec,
        },
    }


def own_configuration() -> Any:
    """Returns the configuration of the kubeconfig, for a test to change."""
    configuration = load_configuration()
    # It would set everything again with each request.
    configuration.refresh_api_key_hook = None
    return configuration
