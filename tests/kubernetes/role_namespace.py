"""A new namespace with the role of masters, as an administrator prepares one for jobs."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path

import yaml
from small_pods import small_pod

from elasticdl_command import eventually
from elasticdl_like.errors import ClusterError, ClusterUnavailableError
from elasticdl_like.platforms.kubernetes.transport import Transport

_ROLE = Path(__file__).parents[2] / "manifests" / "rbac.yaml"
_NAMESPACES = "/api/v1/namespaces"


@contextlib.contextmanager
def role_namespace(transport: Transport) -> Iterator[str]:
    """Makes a namespace that takes pods, and lasts as long as the context; yields its name."""
    name = f"elasticdl-test-{uuid.uuid4().hex[:8]}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    transport.request(f"create Namespace {name}", "POST", _NAMESPACES, body=body)
    try:
        for plain in yaml.safe_load_all(_ROLE.read_text(encoding="utf-8")):
            group = plain["apiVersion"]
            root = f"/apis/{group}" if "/" in group else f"/api/{group}"
            path = f"{root}/namespaces/{name}/{plain['kind'].lower()}s"
            for subject in plain.get("subjects", ()):
                subject["namespace"] = name
            transport.request(f"create {plain['kind']} of-masters", "POST", path, body=plain)
        eventually(lambda: _takes_pods(transport, name), 60)
        yield name
    finally:
        transport.request(f"delete Namespace {name}", "DELETE", f"{_NAMESPACES}/{name}")


def _takes_pods(transport: Transport, namespace: str) -> bool:
    """Returns whether the namespace is ready: its default service account comes a little later."""
    path, pod = f"{_NAMESPACES}/{namespace}/pods", small_pod("first", "true")
    try:
        transport.request("try Pod first", "POST", path, {"dryRun": "All"}, body=pod)
    except (ClusterError, ClusterUnavailableError):
        return False
    return True
