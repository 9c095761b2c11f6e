"""From words on the command line to what the cluster is asked for."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from elasticdl_command import run as run_command
from elasticdl_like.cli.kubernetes_flags import kubernetes_settings
from elasticdl_like.cli.main import elasticdl
from elasticdl_like.config import JobConfig
from elasticdl_like.errors import ConfigError, ElasticdlError, ModelDefinitionError
from elasticdl_like.platforms.kubernetes.manifests import owner_reference, worker_pod
from elasticdl_like.platforms.kubernetes.settings import (
    KubernetesSettings,
    Patches,
    PodSettings,
    Priority,
    RunSettings,
    Volume,
)

_JOB = (
    *("train", "--platform", "kubernetes", "--image_name", "elasticdl:dev"),
    *("--model_zoo", "zoo", "--model_def", "digits.digits_cnn.make"),
    *("--training_data", "/data/digits"),
)
_JOB_VOLUME = ("--job_volume", "claim_name=jobs")


@pytest.fixture(autouse=True)
def _in_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("zoo", "digits").mkdir(parents=True)
    Path("zoo", "digits", "digits_cnn.py").write_text("make = 1\n")


def run(*words: str) -> None:
    elasticdl.main(list(words), standalone_mode=False)


def refusal(*words: str) -> str:
    """Returns why a job is refused."""
    with pytest.raises(ElasticdlError) as caught:
        run(*_JOB, *words, "--dry_run")
    return str(caught.value)


def manifests(
    capsys: pytest.CaptureFixture[str], *words: str
) -> dict[tuple[str, str], dict[str, Any]]:
    run(*_JOB, *words, "--dry_run")
    made = yaml.safe_load_all(capsys.readouterr().out)
    return {(each["kind"], each["metadata"]["name"]): each for each in made}


def job(made: dict[tuple[str, str], dict[str, Any]]) -> JobConfig:
    (config_map,) = [each for (kind, _), each in made.items() if kind == "ConfigMap"]
    return JobConfig.from_json(config_map["data"]["job.json"])


def settings(*words: str) -> KubernetesSettings:
    command = elasticdl.commands["train"]
    flags = command.make_context("train", [*_JOB[1:], *words]).params
    return kubernetes_settings(flags)


def test_every_flag_reaches_the_settings() -> None:
    assert settings(
        *("--namespace", "team", "--worker_image", "elasticdl:gpu"),
        *("--image_pull_policy", "Always", "--image_pull_secrets", "registry"),
        *("--service_account_name", "trainer", "--restart_policy", "Never"),
        *("--master_resource_request", "cpu=1", "--master_resource_limit", "memory=2Gi"),
        *("--worker_resource_request", "memory=1Gi", "--worker_resource_limit", "gpu=1"),
        *("--master_pod_priority", "first", "--worker_pod_priority", "high=0.5,low"),
        *("--volume", "claim_name=data,mount_path=/data", "--job_volume", "host_path=/jobs"),
        *("--node_selector", "disk=ssd", "--tolerations", "spot"),
        *("--labels", "team=vision", "--annotations", "note=a"),
        *("--cluster_spec_json", '{"pod": {"spec": {"hostNetwork": true}}}'),
        *("--max_worker_restarts", "7", "--master_timeout", "60"),
        *("--journal_sync", "full", "--allow_changed_data"),
    ) == KubernetesSettings(
        image="elasticdl:dev",
        namespace="team",
        worker_image="elasticdl:gpu",
        image_pull_policy="Always",
        image_pull_secrets=("registry",),
        service_account="trainer",
        restart_policy="Never",
        master=PodSettings({"cpu": "1", "memory": "1024Mi"}, {"memory": "2Gi"}, Priority("first")),
        worker=PodSettings(
            {"cpu": "1", "memory": "1Gi"},
            {"memory": "1Gi", "nvidia.com/gpu": "1"},
            Priority("high", 0.5, "low"),
        ),
        volumes=(Volume("/data", claim_name="data"),),
        job_volume=Volume("", host_path="/jobs"),
        node_selector={"disk": "ssd"},
        tolerations=({"key": "spot", "operator": "Exists"},),
        labels={"team": "vision"},
        annotations={"note": "a"},
        patches=Patches(pod={"spec": {"hostNetwork": True}}),
        run=RunSettings(7, 60.0, "full", True),
    )


def test_a_dry_run_prints_what_would_be_created(capsys: pytest.CaptureFixture[str]) -> None:
    made = manifests(capsys, *_JOB_VOLUME, "--num_workers", "2", "--job_name", "My_digits")
    assert list(made) == [
        ("Job", "my-digits"),
        ("Secret", "my-digits"),
        ("Secret", "my-digits-worker"),
        ("Secret", "my-digits-environment"),
        ("ConfigMap", "my-digits"),
        ("Service", "my-digits-master"),
    ]
    config = job(made)
    assert (config.name, config.workers.num_workers) == ("My_digits", 2)
    assert config.model is not None
    assert config.model.model_zoo == "/elasticdl/model_zoo"
    assert config.checkpoint.directory == "/elasticdl/jobs/my-digits/checkpoints"
    assert config.index_dir.startswith("/elasticdl/jobs/my-digits/")
    assert config.data.training_data == "/data/digits"
    assert made["ConfigMap", "my-digits"]["data"]["zoo-0"] == "make = 1\n"
    owners = {
        owner["name"]
        for (kind, _), each in made.items()
        for owner in each["metadata"].get("ownerReferences", [])
        if kind != "Job"
    }
    assert owners == {"my-digits"}
    assert not Path("jobs").exists()


def test_a_dry_run_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    run(*_JOB, *_JOB_VOLUME, "--dry_run", "-o", "json")
    items = json.loads(capsys.readouterr().out)["items"]
    assert items[0]["metadata"]["name"] == "digits-cnn"


def test_secrets_go_into_a_secret_and_are_not_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "hush-1")
    Path("params").write_text("access_id=hush-2; access_key=env:MY_KEY")
    words = ("--envs", "TOKEN=hush-3", "--custom_data_reader_params", "@params", *_JOB_VOLUME)
    run(*_JOB, *words, "--dry_run")
    out = capsys.readouterr().out
    for number in "123":
        assert f"hush-{number}" not in out
        assert base64.b64encode(f"hush-{number}".encode()).decode() not in out
    (environment,) = [
        each
        for each in yaml.safe_load_all(out)
        if each["metadata"]["name"] == "digits-cnn-environment"
    ]
    assert set(environment["stringData"]) == {
        *("HOME", "TOKEN", "MY_KEY", "ELASTICDL_READER_ACCESS_ID")
    }


def test_a_variable_that_the_job_refers_to_must_be_set() -> None:
    words = ("--custom_data_reader_params", "access_key=env:NOT_SET_HERE", *_JOB_VOLUME)
    assert "NOT_SET_HERE, which is not set here" in refusal(*words)
    run(*_JOB, *words, "--envs", "NOT_SET_HERE=x", "--dry_run")


def test_submitting_needs_a_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    # Another process: the client of Kubernetes looks at the variable when it is imported.
    done = run_command(*_JOB, *_JOB_VOLUME, directory=tmp_path)
    assert done.exit_code == 1
    assert "no Kubernetes cluster is configured" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "give --job_volume claim_name=…, or --checkpoint_dir in a --volume"),
        (("--image_name", " "), "--image_name is missing"),
        (("--image_name", "a b"), "--image_name 'a b' is no name of an image"),
        (("--worker_image", "Team/a"), "--worker_image 'Team/a' is no name of an image"),
        (("--service_account_name", "a,b"), "--service_account_name a,b: there is one master"),
        (("--labels", "job-name=x"), "the label job-name is set by elasticdl"),
        (("--namespace", "My_Team"), "--namespace 'My_Team'"),
        (("--worker_resource_request", "memory=4GB"), "--worker_resource_request: memory=4GB"),
        (("--master_pod_priority", "high=0.5"), "there is one master"),
        (("--labels", "app=x"), "the label app is set by elasticdl"),
        (("--job_dir", "here"), "--job_dir is for a job on this machine"),
        (("--status_port", "1"), "--status_port is for a job on this machine"),
        (("--output", "/out"), "--output /out is in no --volume"),
        (("--output", "out"), "--output out is in no --volume"),
        (("--checkpoint_dir", "/c"), "--checkpoint_dir /c is in no --volume"),
        (("--resume_from", "c"), "--resume_from c is in no --volume"),
        (
            ("--output", "/o/x", "--volume", "claim_name=c,mount_path=/o,read_only=true"),
            "--output /o/x is in a --volume with read_only=true",
        ),
        (("--training_data", "zoo"), "--training_data zoo is on this machine"),
        (("--model_zoo", "nowhere"), "--model_zoo 'nowhere' is no directory of this machine"),
        (("--model_def", ""), "--model_def is missing"),
    ],
)
def test_a_wrong_value_is_refused_in_words(words: tuple[str, ...], message: str) -> None:
    volume = _JOB_VOLUME if words else ()
    assert message in refusal(*volume, *words)


def test_a_job_may_begin_anew_on_its_volume() -> None:
    assert settings(*_JOB_VOLUME, "--overwrite").run.overwrite
    assert not settings(*_JOB_VOLUME).run.overwrite


def test_a_missing_model_file_is_refused() -> None:
    with pytest.raises(ModelDefinitionError, match="there is no file"):
        run(*_JOB, *_JOB_VOLUME, "--model_def", "digits.other.make", "--dry_run")


def test_checkpoints_may_be_in_a_volume_instead_of_the_job_volume(
    capsys: pytest.CaptureFixture[str],
) -> None:
    volume = ("--volume", "claim_name=c,mount_path=/c")
    made = manifests(capsys, *volume, "--checkpoint_dir", "/c/points", "--output", "/c/out")
    assert job(made).checkpoint.directory == "/c/points"
    assert job(made).output == "/c/out"


def test_a_model_may_go_into_the_job_volume(capsys: pytest.CaptureFixture[str]) -> None:
    output = "/elasticdl/jobs/digits-cnn/model"
    assert job(manifests(capsys, *_JOB_VOLUME, "--output", output)).output == output


@pytest.mark.parametrize("place", ["/model_zoo", "/data/zoo"])
def test_a_model_zoo_may_be_in_the_image_or_in_a_volume(
    place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    volume = ("--volume", "claim_name=data,mount_path=/data")
    made = manifests(capsys, *_JOB_VOLUME, *volume, "--model_zoo", place)
    model = job(made).model
    assert model is not None
    assert model.model_zoo == place
    assert set(made["ConfigMap", "digits-cnn"]["data"]) == {"job.json", "settings.json"}


@pytest.mark.parametrize(
    "words", [("--image_name", "x"), ("--namespace", "x"), ("--dry_run",), ("-o", "json")]
)
def test_a_job_of_this_machine_has_no_flags_of_kubernetes(words: tuple[str, ...]) -> None:
    local = [word for word in _JOB if word not in ("--platform", "kubernetes")]
    del local[local.index("--image_name") : local.index("--image_name") + 2]
    with pytest.raises(ConfigError, match="is for Kubernetes; give --platform kubernetes"):
        run(*local, *words)


def test_pods_run_commands_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    root = manifests(capsys, *_JOB_VOLUME)["Job", "digits-cnn"]
    master = root["spec"]["template"]
    worker = worker_pod(settings(), "digits-cnn", owner_reference("digits-cnn", "uid"), 3, "abc")
    for pod in (master, worker):
        (container,) = pod["spec"]["containers"]
        program, name, *words = container["command"]
        assert program == "elasticdl"
        elasticdl.commands[name].make_context(name, words)
