from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import pytest

from elasticdl_like.config import DataConfig, JobConfig
from elasticdl_like.platforms.kubernetes import places
from elasticdl_like.platforms.kubernetes.manifests import (
    JobSecrets,
    job_objects,
    owned_by,
    owner_reference,
    worker_pod,
)
from elasticdl_like.platforms.kubernetes.settings import (
    KubernetesSettings,
    Patches,
    PodSettings,
    Priority,
    Volume,
)
from elasticdl_like.platforms.kubernetes.tls_material import Certificate, TlsMaterial

PLAIN = KubernetesSettings("elasticdl:dev", "team")
JOB = JobConfig("digits", DataConfig("/data/digits"))
ZOO = {"digits/model.py": b"x = 1\n", "labels.bin": b"\xff\x00"}
SECRETS = JobSecrets(
    "the token",
    TlsMaterial(
        b"the authority", Certificate(b"m", b"the master's key"), Certificate(b"w", b"their key")
    ),
    {"PASSWORD": "the password"},
)
OWNER = owner_reference("digits", "uid-1")


def objects(
    settings: KubernetesSettings = PLAIN, zoo: Mapping[str, bytes] = ZOO
) -> dict[tuple[str, str], dict[str, Any]]:
    made = job_objects(settings, JOB, "digits", zoo, SECRETS)
    return {(each["kind"], each["metadata"]["name"]): each for each in made}


def worker(settings: KubernetesSettings = PLAIN, worker_id: int = 2) -> dict[str, Any]:
    return worker_pod(settings, "digits", OWNER, worker_id, "0123456789abcdef")


def pods(
    settings: KubernetesSettings = PLAIN, zoo: Mapping[str, bytes] = ZOO
) -> dict[str, dict[str, Any]]:
    """Returns metadata and specification of the two kinds of pods."""
    template = objects(settings, zoo)["Job", "digits"]["spec"]["template"]
    return {"master": template, "worker": worker(settings)}


def mounts(pod: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns mount path -> the volume, and what the mount says besides."""
    volumes = {each["name"]: each for each in pod["spec"]["volumes"]}
    assert len(volumes) == len(pod["spec"]["volumes"])
    (container,) = pod["spec"]["containers"]
    seen = {
        mount["mountPath"]: {**volumes.pop(mount["name"]), **mount}
        for mount in container["volumeMounts"]
    }
    assert not volumes, "volumes that the container does not see"
    return seen


def test_the_root_comes_first_and_everything_is_of_the_job() -> None:
    made = job_objects(PLAIN, JOB, "digits", ZOO, SECRETS)
    assert [(each["kind"], each["metadata"]["name"]) for each in made] == [
        ("Job", "digits"),
        ("Secret", "digits"),
        ("Secret", "digits-worker"),
        ("Secret", "digits-environment"),
        ("ConfigMap", "digits"),
        ("Service", "digits-master"),
    ]
    for each in made:
        assert each["metadata"]["namespace"] == "team"
        assert each["metadata"]["labels"] == {"app": "elasticdl", "elasticdl-job-name": "digits"}
        assert "ownerReferences" not in each["metadata"]


def test_an_owner_is_added_to_a_copy() -> None:
    secret = objects()["Secret", "digits"]
    owned = owned_by(OWNER, secret)
    assert owned["metadata"]["ownerReferences"] == [OWNER]
    assert (OWNER["kind"], OWNER["name"], OWNER["uid"]) == ("Job", "digits", "uid-1")
    assert "ownerReferences" not in secret["metadata"]


def test_the_service_leads_to_the_master_alone() -> None:
    service = objects()["Service", "digits-master"]
    selector = service["spec"]["selector"].items()
    found = {role: selector <= pod["metadata"]["labels"].items() for role, pod in pods().items()}
    assert found == {"master": True, "worker": False}
    (port,) = service["spec"]["ports"]
    command = worker()["spec"]["containers"][0]["command"]
    address = command[command.index("--master_addr") + 1]
    assert address == f"digits-master.team.svc:{port['port']}"


def test_secrets_are_nowhere_but_in_secrets() -> None:
    hidden = [b"the token", b"the password", SECRETS.tls.master.key, SECRETS.tls.worker.key]
    others = [each for (kind, _), each in objects().items() if kind != "Secret"]
    text = json.dumps([*others, worker()])
    for secret in hidden:
        assert secret.decode() not in text
        assert base64.b64encode(secret).decode() not in text
    assert "the token" not in repr(SECRETS)
    assert "the password" not in repr(SECRETS)


def test_each_kind_of_pod_has_its_own_certificate_and_no_other_key() -> None:
    made = objects()
    for role, pod in pods().items():
        name = mounts(pod)["/elasticdl/secret"]["secret"]["secretName"]
        data = made["Secret", name]["data"]
        decoded = {key: base64.b64decode(value) for key, value in data.items()}
        own = {"master": SECRETS.tls.master, "worker": SECRETS.tls.worker}[role]
        assert decoded == {
            "token": b"the token",
            "ca.crt": b"the authority",
            "tls.crt": own.certificate,
            "tls.key": own.key,
        }


def test_variables_reach_all_pods_through_a_secret() -> None:
    data = objects()["Secret", "digits-environment"]["data"]
    assert base64.b64decode(data["PASSWORD"]) == b"the password"
    assert base64.b64decode(data["HOME"]) == b"/tmp"
    for pod in pods().values():
        (container,) = pod["spec"]["containers"]
        assert container["envFrom"] == [{"secretRef": {"name": "digits-environment"}}]


def test_the_master_finds_job_and_settings() -> None:
    data = objects()["ConfigMap", "digits"]["data"]
    assert JobConfig.from_json(data["job.json"]) == JOB
    settings = KubernetesSettings.from_json(data["settings.json"])
    assert settings == dataclasses.replace(PLAIN, model_zoo_files=tuple(sorted(ZOO)))


def test_workers_see_the_files_of_the_model_zoo_under_their_paths() -> None:
    made = objects()["ConfigMap", "digits"]
    settings = KubernetesSettings.from_json(made["data"]["settings.json"])
    content = {key: value.encode() for key, value in made["data"].items()}
    content |= {key: base64.b64decode(value) for key, value in made["binaryData"].items()}
    for pod in pods(settings).values():
        source = mounts(pod)["/elasticdl/model_zoo"]["configMap"]
        assert source["name"] == "digits"
        assert {item["path"]: content[item["key"]] for item in source["items"]} == ZOO


def test_a_model_zoo_in_the_image_is_not_mounted() -> None:
    made = objects(zoo={})["ConfigMap", "digits"]
    assert set(made["data"]) == {"job.json", "settings.json"}
    assert "binaryData" not in made
    for pod in pods(zoo={}).values():
        assert "/elasticdl/model_zoo" not in mounts(pod)


@pytest.mark.parametrize("role", ["master", "worker"])
def test_pods_may_do_nothing_that_they_need_not(role: str) -> None:
    spec = pods()[role]["spec"]
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = spec["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert spec["automountServiceAccountToken"] is (role == "master")
    assert ("serviceAccountName" in spec) is (role == "master")


@pytest.mark.parametrize("role", ["master", "worker"])
def test_configuration_cannot_be_written_to_and_scratch_can(role: str) -> None:
    seen = mounts(pods()[role])
    assert {path for path, each in seen.items() if not each.get("readOnly")} == {
        "master": {"/tmp", "/elasticdl/jobs"},
        "worker": {"/tmp", "/dev/shm"},
    }[role]


def test_the_job_volume_is_seen_by_all() -> None:
    settings = dataclasses.replace(
        PLAIN, job_volume=Volume("", claim_name="jobs", sub_path="team"), volumes=()
    )
    for pod in pods(settings).values():
        mount = mounts(pod)["/elasticdl/jobs"]
        assert mount["persistentVolumeClaim"] == {"claimName": "jobs"}
        assert mount["subPath"] == "team"


def test_volumes_are_seen_by_all() -> None:
    volumes = (
        Volume("/data", claim_name="data", read_only=True),
        Volume("/out", host_path="/mnt/out", host_path_type="DirectoryOrCreate"),
    )
    for pod in pods(dataclasses.replace(PLAIN, volumes=volumes)).values():
        data, out = (mounts(pod)[path] for path in ("/data", "/out"))
        assert data["persistentVolumeClaim"] == {"claimName": "data", "readOnly": True}
        assert data["readOnly"]
        assert out["hostPath"] == {"path": "/mnt/out", "type": "DirectoryOrCreate"}
        assert "readOnly" not in out


def test_a_worker_has_a_name_of_its_own_and_is_found_by_its_number() -> None:
    pod = worker()
    metadata = pod["metadata"]
    assert metadata["name"] == "digits-worker-2-01234567"
    assert metadata["ownerReferences"] == [OWNER]
    assert metadata["labels"][places.WORKER_LABEL] == "2"
    assert metadata["annotations"][places.INCARNATION_ANNOTATION] == "0123456789abcdef"
    selector = places.pod_selector("digits", places.WORKER_ROLE)
    assert set(selector.split(",")) <= {f"{k}={v}" for k, v in metadata["labels"].items()}
    command = pod["spec"]["containers"][0]["command"]
    for flag, value in (("--worker_id", "2"), ("--incarnation", "0123456789abcdef")):
        assert command[command.index(flag) + 1] == value
    assert pod["spec"]["restartPolicy"] == "Never"


def test_each_kind_of_pod_gets_its_image_resources_and_priority() -> None:
    settings = dataclasses.replace(
        PLAIN,
        worker_image="elasticdl:gpu",
        master=PodSettings({"cpu": "1"}, {"memory": "1Gi"}, Priority("first")),
        worker=PodSettings({"cpu": "2"}, {"memory": "2Gi"}, Priority("high", 0.5, "low")),
    )
    both = {role: pod["spec"] for role, pod in pods(settings).items()}
    assert {role: spec["containers"][0]["image"] for role, spec in both.items()} == {
        "master": "elasticdl:dev",
        "worker": "elasticdl:gpu",
    }
    assert both["master"]["containers"][0]["resources"]["requests"] == {"cpu": "1"}
    assert both["worker"]["containers"][0]["resources"]["limits"] == {"memory": "2Gi"}
    assert both["master"]["priorityClassName"] == "first"
    classes = [worker(settings, number)["spec"]["priorityClassName"] for number in range(4)]
    assert classes == ["high", "low", "high", "low"]
    assert "priorityClassName" not in worker()["spec"]


def test_where_pods_run_and_what_they_are_labelled_with_is_for_all() -> None:
    settings = dataclasses.replace(
        PLAIN,
        node_selector={"disk": "ssd"},
        tolerations=({"key": "spot", "operator": "Exists"},),
        image_pull_secrets=("registry",),
        labels={"team": "vision"},
        annotations={"note": "a"},
    )
    for pod in pods(settings).values():
        assert pod["spec"]["nodeSelector"] == {"disk": "ssd"}
        assert pod["spec"]["tolerations"] == [{"key": "spot", "operator": "Exists"}]
        assert pod["spec"]["imagePullSecrets"] == [{"name": "registry"}]
        assert pod["metadata"]["labels"]["team"] == "vision"
        assert pod["metadata"]["annotations"]["note"] == "a"
    for each in objects(settings).values():
        assert each["metadata"]["labels"]["team"] == "vision"
        assert each["metadata"]["annotations"] == {"note": "a"}


def test_patches_reach_what_they_are_for() -> None:
    settings = dataclasses.replace(
        PLAIN,
        patches=Patches(
            pod={"spec": {"hostNetwork": True, "dnsPolicy": "Default"}},
            master_pod={"spec": {"dnsPolicy": "None"}},
            worker_pod={"metadata": {"labels": {"kind": "w"}}, "spec": {"hostNetwork": None}},
            service={"spec": {"type": "NodePort"}},
        ),
    )
    master, of_worker = pods(settings).values()
    assert (master["spec"]["hostNetwork"], master["spec"]["dnsPolicy"]) == (True, "None")
    assert "hostNetwork" not in of_worker["spec"]
    assert of_worker["spec"]["dnsPolicy"] == "Default"
    assert of_worker["metadata"]["labels"]["kind"] == "w"
    assert of_worker["metadata"]["ownerReferences"] == [OWNER]
    service = objects(settings)["Service", "digits-master"]
    assert service["spec"]["type"] == "NodePort"
    assert service["spec"]["selector"] == objects()["Service", "digits-master"]["spec"]["selector"]


@pytest.mark.parametrize("role", ["master", "worker"])
def test_a_claim_that_is_mounted_in_several_places_is_one_volume(role: str) -> None:
    # Kubernetes waits for ever for the second volume of a claim.
    data = Volume("/data", claim_name="files", sub_path="data", read_only=True)
    labels = Volume("/labels", claim_name="files", sub_path="labels", read_only=True)
    jobs = Volume("", claim_name="files", sub_path="jobs")

    def claim(settings: KubernetesSettings) -> tuple[dict[str, Any], dict[str, Any]]:
        spec = pods(settings)[role]["spec"]
        (volume,) = [each for each in spec["volumes"] if "persistentVolumeClaim" in each]
        (container,) = spec["containers"]
        places_of_it = {
            mount["mountPath"]: (mount.get("subPath"), mount.get("readOnly", False))
            for mount in container["volumeMounts"]
            if mount["name"] == volume["name"]
        }
        return volume["persistentVolumeClaim"], places_of_it

    read = dataclasses.replace(PLAIN, volumes=(data, labels))
    in_two_places = {"/data": ("data", True), "/labels": ("labels", True)}
    assert claim(read) == ({"claimName": "files", "readOnly": True}, in_two_places)
    written = dataclasses.replace(read, job_volume=jobs)
    assert claim(written) == (
        {"claimName": "files"},
        {**in_two_places, places.JOBS_DIRECTORY: ("jobs", False)},
    )
