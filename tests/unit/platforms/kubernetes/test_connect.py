"""What is wrong with the way to a cluster is said, whatever the file is."""

from __future__ import annotations

from pathlib import Path

import pytest

from elasticdl_like.errors import ConfigError
from elasticdl_like.platforms.kubernetes.client import Cluster


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "the kubeconfig cannot be read .*expected the node content"),
        ("hello", "the kubeconfig cannot be read"),
        ("users: 5", "no Kubernetes cluster is configured|the kubeconfig cannot be read"),
        ("", "no Kubernetes cluster is configured"),
    ],
)
def test_a_kubeconfig_that_is_none(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(file))
    with pytest.raises(ConfigError, match=message) as caught:
        Cluster.connect("default")
    assert "\n" not in str(caught.value)


def test_a_namespace_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match="--namespace 'a/b' cannot be the name"):
        Cluster.connect("a/b")
