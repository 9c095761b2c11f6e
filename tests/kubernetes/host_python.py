"""Jobs whose pods run this very Python, without an image, on a node that is this machine.

`ELASTICDL_TEST_HOST_PYTHON` names the program that prints how, `host-python-pod` of the testbed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from elasticdl_command import run
from elasticdl_like.platforms.kubernetes import places
from elasticdl_like.platforms.kubernetes.manifests import owner_reference, worker_pod
from elasticdl_like.platforms.kubernetes.settings import KubernetesSettings

PROGRAM = os.environ.get("ELASTICDL_TEST_HOST_PYTHON", "")

_INCARNATION = "0" * 32


def with_host_python(directory: Any, arguments: Sequence[object]) -> list[object]:
    """Returns arguments of `elasticdl train`, and patches that make its pods run this Python."""
    printed = subprocess.run(
        [PROGRAM, sys.prefix], check=True, stdout=subprocess.PIPE, text=True, timeout=30
    )
    host = json.loads(printed.stdout)
    image = ["--image_name", host["container"]["image"]]
    shown = run(*arguments, *image, "--dry_run", "-o", "json", directory=directory)
    assert shown.exit_code == 0, shown.stderr
    objects = {each["kind"]: each for each in json.loads(shown.stdout)["items"]}
    settings = KubernetesSettings.from_json(objects["ConfigMap"]["data"][places.SETTINGS_FILE])
    name = objects["Job"]["metadata"]["name"]
    worker = worker_pod(settings, name, owner_reference(name, "uid"), 0, _INCARNATION)
    patches = {
        "master_pod": {"spec": _patched(objects["Job"]["spec"]["template"]["spec"], host)},
        "worker_pod": {"spec": _of_any_worker(_patched(worker["spec"], host))},
    }
    return [*arguments, *image, "--cluster_spec_json", json.dumps(patches)]


def _patched(spec: dict[str, Any], host: dict[str, Any]) -> dict[str, Any]:
    """Returns what changes in a specification; a merge patch replaces lists as a whole."""
    (container,) = spec["containers"]
    container = container | {
        "command": [sys.executable, "-m", "elasticdl_like", *container["command"][1:]],
        "env": [*container.get("env", []), *host["container"].get("env", [])],
        "volumeMounts": [*container["volumeMounts"], *host["container"]["volumeMounts"]],
    }
    return {"containers": [container], "volumes": [*spec["volumes"], *host["volumes"]]}


def _of_any_worker(spec: dict[str, Any]) -> dict[str, Any]:
    """Returns the patch of one worker as that of any, who finds out who it is by itself."""
    (container,) = spec["containers"]
    command = container["command"]
    command[command.index("--worker_id") + 1] = "$(WORKER_ID)"
    command[command.index("--incarnation") + 1] = "$(INCARNATION)"
    fields = {
        "WORKER_ID": f"metadata.labels['{places.WORKER_LABEL}']",
        "INCARNATION": f"metadata.annotations['{places.INCARNATION_ANNOTATION}']",
    }
    container["env"] += [
        {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
        for name, path in fields.items()
    ]
    return spec
