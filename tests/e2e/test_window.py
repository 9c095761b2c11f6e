"""The window on a real job, asked while it trains."""

from __future__ import annotations

import http.client
import json
import shlex
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from elasticdl_command import RunElasticdl, RunningCommand, eventually, run, running
from elasticdl_like.job_directory import JobDirectory

MODEL = """
class CustomDataReader:
    def __init__(self, data_origin, access_key):
        assert access_key == "hunter2"

    def create_shards(self):
        return {"shard": (0, 1000)}

    def read_records(self, task):
        yield from [b"record"] * (task.end - task.start)

def custom_model(api_key):
    raise NotImplementedError
"""
TIMEOUT_S = 20
FOREVER = 10_000


def train_flags(model_zoo: Path, digits: Path, *more: object) -> tuple[object, ...]:
    return (
        *("--model_zoo", model_zoo, "--model_def", "digits.digits_cnn.custom_model"),
        *("--training_data", digits / "train", "--minibatch_size", 64, "--job_dir", "job", *more),
    )


@contextmanager
def elasticdl(directory: Path, *arguments: object) -> Iterator[RunningCommand]:
    with running(["-m", "elasticdl_like", *arguments], directory) as command:
        yield command


def link_of(job: Path, command: RunningCommand) -> str:
    """Returns the link to the page of a job, as soon as there is one."""
    directory = JobDirectory(job)
    return eventually(lambda: job.exists() and directory.status_page(), 60, command) or ""


def get(link: str, path: str, **headers: str) -> str:
    request = urllib.request.Request(link.rstrip("/") + path, headers=headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
        text: str = response.read().decode()
        return text


def refusal(link: str, path: str, **headers: str) -> int:
    with pytest.raises(urllib.error.HTTPError) as refused:
        get(link, path, **headers)
    refused.value.close()
    return refused.value.code


def metric(link: str, name: str, **labels: str) -> float:
    """Returns the value of a metric; 0 as long as it is not there."""
    for family in text_string_to_metric_families(get(link, "/metrics")):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return sample.value
    return 0.0


def read_update(response: http.client.HTTPResponse) -> dict[str, Any]:
    """Returns the next update of a stream."""
    while not (line := response.readline()).startswith(b"data: "):
        assert line, "the stream has ended"
    update: dict[str, Any] = json.loads(line.removeprefix(b"data: "))
    return update


def test_a_job_that_trains(tmp_path: Path, model_zoo: Path, digits: Path) -> None:
    flags = train_flags(model_zoo, digits, "--num_epochs", FOREVER, "--log_loss_steps", 10)
    with elasticdl(tmp_path, "train", *flags, "--overwrite") as command:
        job = tmp_path / "job"
        link = link_of(job, command)
        assert f"status page: {link}" in command.stderr

        # Numbers move.
        eventually(lambda: metric(link, "elasticdl_step") > 30, 90, command)
        step = metric(link, "elasticdl_step")
        eventually(lambda: metric(link, "elasticdl_step") > step, 60, command)
        eventually(lambda: metric(link, "elasticdl_loss") > 0, 60, command)
        trained_s = {"worker": "0", "activity": "training"}
        eventually(
            lambda: metric(link, "elasticdl_worker_seconds_total", **trained_s) > 0, 60, command
        )
        assert metric(link, "elasticdl_job_state", state="running") == 1
        assert get(link, "/healthz") == "ok\n"
        assert "<html" in get(link, "/")

        # The stream delivers events: the first update tells of the worker.
        connection = http.client.HTTPConnection("127.0.0.1", urlsplit(link).port, timeout=TIMEOUT_S)
        connection.request("GET", "/api/v1/stream")
        response = connection.getresponse()
        first = read_update(response)
        assert first["status"]["state"] == "running"
        assert first["coverage"]["shards"]
        assert "worker_joined" in {event["kind"] for event in first["events"]}
        later = read_update(response)
        assert later["status"]["step"] >= first["status"]["step"]

        # Documents agree with the command, which has the link.
        shown = run("status", "job", directory=tmp_path)
        assert f"status page: {link}\n" in shown.stdout
        ledger = json.loads(get(link, "/api/v1/ledger"))
        assert ledger["epochs"][0]["committed"] > 0
        events = json.loads(get(link, "/api/v1/events"))
        assert json.loads(get(link, f"/api/v1/events?after={events[-1]['id']}")) != events
        assert json.loads(get(link, "/api/v1/history"))["samples"]["time_s"]
        status = json.loads(get(link, "/api/v1/status"))
        assert status["started_s"] == pytest.approx(events[0]["time_s"])

        # What goes on with it is what was typed, but for --overwrite.
        config = json.loads(get(link, "/api/v1/config"))
        words = ["cd", str(tmp_path), "&&", "elasticdl", "train", *map(str, flags)]
        assert shlex.split(config["resume_command"]) == words
        assert config["job_dir"] == str(job)

        assert refusal(link, "/api/v1/status", Host="evil.example") == 403

        # The page ends with the job.
        command.press_ctrl_c()
        command.wait(30)
        connection.close()
        with pytest.raises(urllib.error.URLError):
            get(link, "/healthz")
        assert JobDirectory(job).status_page() is None
        assert "Traceback" not in command.stderr


def test_the_stream_says_how_the_job_ended(tmp_path: Path, model_zoo: Path, digits: Path) -> None:
    flags = train_flags(model_zoo, digits, "--num_epochs", 2)
    with elasticdl(tmp_path, "train", *flags) as command:
        link = link_of(tmp_path / "job", command)
        connection = http.client.HTTPConnection("127.0.0.1", urlsplit(link).port, timeout=TIMEOUT_S)
        connection.request("GET", "/api/v1/stream")
        response = connection.getresponse()
        state = ""
        while state != "finished":
            state = (read_update(response)["status"] or {"state": state})["state"]
        assert response.read().endswith(b"\n\n") or response.isclosed()
        connection.close()
        assert command.wait(60).exit_code == 0


def test_beyond_this_machine_the_token_is_needed(
    tmp_path: Path, model_zoo: Path, digits: Path
) -> None:
    flags = train_flags(model_zoo, digits, "--status_host", "0.0.0.0", "--insecure")
    with elasticdl(tmp_path, "master", *flags) as command:
        directory = JobDirectory(tmp_path / "job")
        port = urlsplit(link_of(directory.path, command)).port
        link = f"http://127.0.0.1:{port}"
        token = directory.token()

        for path in ("/", "/metrics", "/healthz", "/api/v1/stream", "/api/v1/config"):
            assert refusal(link, path) == 401
            assert refusal(link, path, Authorization="Bearer wrong") == 401
        assert get(link, "/healthz", Authorization=f"Bearer {token}") == "ok\n"
        assert json.loads(get(link, f"/api/v1/status?token={token}"))["state"] == "running"
        for text in (
            get(link, "/api/v1/config", Authorization=f"Bearer {token}"),
            get(link, "/api/v1/events", Authorization=f"Bearer {token}"),
            command.stderr,
        ):
            assert token not in text
        assert str(directory.path / "token") in command.stderr


def test_no_page_and_a_page_that_cannot_be(
    tmp_path: Path, model_zoo: Path, digits: Path, run_elasticdl: RunElasticdl
) -> None:
    flags = train_flags(model_zoo, digits, "--num_epochs", 1)

    open_to_all = run_elasticdl("train", *flags, "--status_host", "0.0.0.0")
    assert open_to_all.exit_code == 1
    assert "--status_host 0.0.0.0: other machines can reach" in open_to_all.stderr
    assert not (tmp_path / "job").exists()

    without = run_elasticdl("train", *flags, "--no-status_page")
    assert without.exit_code == 0, without.stderr
    assert "status page" not in without.stderr


def test_secrets_are_in_no_document(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "params").write_text("access_key=hunter2")
    flags = (
        *("--model_zoo", ".", "--model_def", "model.custom_model", "--data_only"),
        *("--training_data", "https://me:hunter2@example.com/", "--job_dir", "job"),
        *("--data_reader_params", "@params", "--model_params", "api_key=hunter2; width=3"),
    )
    with elasticdl(tmp_path, "master", *flags) as command:
        link = link_of(tmp_path / "job", command)

        for name in ("status", "ledger", "events", "history", "coverage", "config"):
            assert "hunter2" not in get(link, f"/api/v1/{name}")
        config = json.loads(get(link, "/api/v1/config"))
        assert config["data"]["reader_params"]["access_key"].startswith("env:")
        assert config["model"]["params"]["width"] == 3
        assert "--data_reader_params @params" in config["resume_command"]
        assert "hunter2" not in get(link, "/metrics")
        assert "hunter2" not in command.stderr
