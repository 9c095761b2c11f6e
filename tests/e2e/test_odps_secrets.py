"""Credentials for MaxCompute reach the workers, and are to be seen nowhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from elasticdl_command import RunElasticdl, RunningCommand, running
from odps_server import Control, Fault, Kind, odps_server_process
from odps_server.faults import Action

ACCESS_ID = "an-id-to-be-hidden"
ACCESS_KEY = "a-key-to-be-hidden"
TOKEN = "a-token-to-be-hidden"
SECRETS = (ACCESS_ID, ACCESS_KEY, TOKEN)
LENGTHS = ("sepal_length", "sepal_width", "petal_length", "petal_width")


def parameters(server: Control) -> dict[str, str]:
    return {
        "endpoint": server.endpoint,
        "tunnel_endpoint": server.tunnel_endpoint,
        "access_id": ACCESS_ID,
        "access_key": ACCESS_KEY,
        "security_token": TOKEN,
    }


def command_lines(command: RunningCommand) -> str:
    lines = []
    for pid in command.processes():
        try:
            lines.append(Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8"))
        except OSError:
            continue  # it has ended
    return "\n".join(lines)


def test_they_are_in_no_file_no_output_and_no_command_line(tmp_path: Path, model_zoo: Path) -> None:
    with odps_server_process(
        *("--access_id", ACCESS_ID, "--access_key", ACCESS_KEY, "--security_token", TOKEN)
    ) as server:
        server.add_table("iris", dict.fromkeys(LENGTHS, "double") | {"species": "bigint"})
        server.append("iris", [(1.0, 2.0, 3.0, 4.0, row % 3) for row in range(500)])
        server.add_fault(Fault(Action.STATUS, kind=Kind.DATA, status=503, times=2))
        file = tmp_path / "parameters"
        file.write_text(json.dumps(parameters(server)), encoding="utf-8")
        seen = ""
        with running(
            [
                *("-m", "elasticdl_like", "train", "--model_zoo", model_zoo),
                *("--model_def", "iris_odps.iris_dnn.custom_model", "--log_level", "DEBUG"),
                *("--training_data", f"odps://{server.project}/iris", "--job_dir", "job"),
                *("--data_reader_params", f"@{file}", "--odps_retry_timeout", 20),
            ],
            tmp_path,
        ) as command:
            while command.exit_code is None:
                seen += command_lines(command)
            finished = command.wait(1)
        assert finished.exit_code == 0, finished.stderr
    file.unlink()
    assert "elasticdl_like\0worker" in seen
    seen += finished.stdout + finished.stderr
    for path in (tmp_path / "job").rglob("*"):
        if path.is_file():
            seen += path.read_bytes().decode("latin-1")
    assert "env:ELASTICDL_READER_ACCESS_KEY" in seen
    assert [secret for secret in SECRETS if secret in seen] == []


@pytest.mark.parametrize("command", ["train", "head"])
def test_on_the_command_line_they_are_refused(run_elasticdl: RunElasticdl, command: str) -> None:
    source = ["data", "head"] if command == "head" else ["train", "--training_data"]
    finished = run_elasticdl(
        *source, "odps://p/t", "--custom_data_reader_params", f"endpoint=e; access_key={ACCESS_KEY}"
    )
    assert finished.exit_code == 1
    assert "access_key on the command line can be read by everyone" in finished.stderr
    assert ACCESS_KEY not in finished.stdout + finished.stderr
