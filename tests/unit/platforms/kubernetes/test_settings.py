from __future__ import annotations

import pytest

from elasticdl_like.errors import ConfigError
from elasticdl_like.platforms.kubernetes.settings import (
    KubernetesSettings,
    Patches,
    PodSettings,
    Priority,
    RunSettings,
    Volume,
)

FULL = KubernetesSettings(
    image="elasticdl:dev",
    namespace="team",
    worker_image="elasticdl:gpu",
    image_pull_policy="Always",
    image_pull_secrets=("registry",),
    service_account="trainer",
    restart_policy="Never",
    master=PodSettings({"cpu": "0.1"}, {"memory": "1Gi"}, Priority("high")),
    worker=PodSettings({"cpu": "2"}, {"memory": "4Gi"}, Priority("high", 0.5, "low")),
    volumes=(Volume("/data", claim_name="data", sub_path="a", read_only=True),),
    job_volume=Volume("", host_path="/jobs", host_path_type="Directory"),
    node_selector={"disk": "ssd"},
    tolerations=({"key": "spot", "operator": "Exists"},),
    labels={"team": "vision"},
    annotations={"note": "a, b"},
    patches=Patches(worker_pod={"spec": {"hostNetwork": None}}),
    run=RunSettings(5, 60.0, "full", True),
    model_zoo_files=("digits/model.py",),
)


@pytest.mark.parametrize("settings", [FULL, KubernetesSettings("elasticdl:dev")])
def test_settings_survive_the_way_to_the_master(settings: KubernetesSettings) -> None:
    assert KubernetesSettings.from_json(settings.to_json()) == settings


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", FULL.to_json().replace('"namespace"', '"name_space"')]
)
def test_settings_of_another_version_are_refused_in_words(text: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read .*the version of elasticdl"):
        KubernetesSettings.from_json(text)
