from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from elasticdl_like.errors import ConfigError
from elasticdl_like.platforms.kubernetes.patches import check_patches, parse_patches
from elasticdl_like.platforms.kubernetes.settings import Patches

_YAML = """
pod:
  metadata: {labels: {site: here}}
worker_pod:
  spec:
    hostNetwork: true
    enableServiceLinks: null
"""


def test_patches_come_from_yaml_or_json(tmp_path: Path) -> None:
    patches = Patches(
        pod={"metadata": {"labels": {"site": "here"}}},
        worker_pod={"spec": {"hostNetwork": True, "enableServiceLinks": None}},
    )
    file = tmp_path / "spec.yaml"
    file.write_text(_YAML)
    assert parse_patches(str(file), "") == patches
    text = json.dumps({"pod": patches.pod, "worker_pod": patches.worker_pod})
    file.write_text(text)
    assert parse_patches(str(file), "") == patches
    assert parse_patches("", text) == patches


def test_there_may_be_no_patch(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").touch()
    assert parse_patches("", "") == Patches()
    assert parse_patches(str(tmp_path / "empty.yaml"), "") == Patches()


def test_python_is_not_run(tmp_path: Path) -> None:
    file = tmp_path / "spec.py"
    file.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(ConfigError, match="Python is not run here"):
        parse_patches(str(file), "")
    tagged = tmp_path / "spec.yaml"
    tagged.write_text(f"pod: !!python/object/apply:open [{tmp_path / 'ran'}, w]")
    with pytest.raises(ConfigError, match=r"spec\.yaml is neither YAML nor JSON"):
        parse_patches(str(tagged), "")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ([], "is not an object with pod, master_pod, worker_pod, service"),
        ({"pods": {}}, "'pods' is not known"),
        ({"pod_spec": {"labels": {}}}, "'pod_spec' is of ElasticDL"),
        ({"pod": []}, "--x: pod is not a merge patch"),
        ({"pod": {"spec": []}}, "--x: pod is not a merge patch"),
        ({"pod": {"labels": {}}}, "'labels' cannot be patched"),
        ({"pod": {"metadata": {"name": "x"}}}, "metadata.name is set by elasticdl"),
        ({"pod": {"metadata": {"labels": {"app": "x"}}}}, "metadata.labels.app is set by"),
        ({"pod": {"metadata": {"labels": None}}}, "is set by elasticdl"),
        ({"worker_pod": {"spec": {"restartPolicy": "Always"}}}, "spec.restartPolicy is set"),
        ({"pod": {"metadata": {"labels": {"job-name": "x"}}}}, "labels.job-name is set by"),
        ({"pod": {"metadata": {"annotations": None}}}, "elasticdl-incarnation is set by"),
        ({"pod": {"spec": {"containers": None}}}, "spec.containers replaces the list as a whole"),
        ({"pod": {"spec": {"containers": [{"name": "x"}]}}}, "needs one with name: elasticdl"),
        ({"service": {"spec": {"ports": [5]}}}, "spec.ports replaces the list as a whole, and"),
        ({"pod": {"spec": {"x": float("nan")}}}, "cannot be written as JSON: Out of range float"),
        ({"service": {"spec": {"selector": None}}}, "service: spec.selector is set"),
        ({"service": {"metadata": {"ownerReferences": []}}}, "metadata.ownerReferences is set"),
    ],
)
def test_what_cannot_be_patched_is_refused(plain: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_patches(plain, "--x")
    assert message in str(caught.value)


@pytest.mark.parametrize("value", ["2026-01-01", "!!binary aGVsbG8=", "*spec"])
def test_what_only_yaml_can_say_is_refused(value: str, tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(f"pod:\n  spec: &spec\n    x: {value}\n")
    with pytest.raises(ConfigError, match=r"spec\.yaml holds what cannot be written as JSON"):
        parse_patches(str(file), "")


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="use one of them"):
        parse_patches("a.yaml", "{}")
    with pytest.raises(ConfigError, match="--cluster_spec: cannot read"):
        parse_patches(str(tmp_path / "nowhere.yaml"), "")
    with pytest.raises(ConfigError, match="--cluster_spec_json is not JSON"):
        parse_patches("", "{")
