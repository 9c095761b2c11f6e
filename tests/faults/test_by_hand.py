"""Master and worker started by hand, encrypted, and the master once more."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path

import trustme

from elasticdl_command import RunElasticdl, eventually
from elasticdl_like.job_directory import JobDirectory
from elasticdl_like.master.reports import load_ledger, load_status
from training_job import (
    HELD_AT_STEP,
    HOLD,
    MODEL_DEF,
    NUM_EPOCHS,
    TRAINING_FLAGS,
    WriteModel,
    elasticdl,
    steps_of,
    steps_taken,
    wait_for_step,
)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def test_encrypted_by_hand_the_master_resumes_and_its_worker_waits(
    run_elasticdl: RunElasticdl, write_model: WriteModel, data: Path, tmp_path: Path
) -> None:
    authority, job = trustme.CA(), tmp_path / "job"
    issued = authority.issue_cert("127.0.0.1")
    for name, blob in (
        ("ca.pem", authority.cert_pem),
        ("master.pem", issued.cert_chain_pems[0]),
        ("master.key", issued.private_key_pem),
    ):
        blob.write_to_path(str(tmp_path / name))
    address = f"127.0.0.1:{free_port()}"
    at_address = (
        *("--master_port", address.rpartition(":")[2], "--job_dir", job),
        *("--tls_cert_file", tmp_path / "master.pem", "--tls_key_file", tmp_path / "master.key"),
    )
    new_job = ("--model_zoo", write_model(HOLD), *MODEL_DEF, "--training_data", data)
    client = ("--token_file", tmp_path / "token", "--tls_ca_file", tmp_path / "ca.pem")

    with elasticdl(tmp_path, "master", *at_address, *new_job, *TRAINING_FLAGS) as first:
        eventually(lambda: JobDirectory(job).endpoint() == address, 30, first)
        # As it is copied to another machine.
        (tmp_path / "token").write_text((job / "token").read_text())
        with elasticdl(tmp_path, "worker", "--master_addr", address, *client) as worker:
            wait_for_step(job, HELD_AT_STEP, worker)
            status = run_elasticdl("status", address, *client, "--json")
            assert json.loads(status.stdout)["step"] == HELD_AT_STEP
            unencrypted = run_elasticdl("status", address, "--token_file", tmp_path / "token")
            assert unencrypted.exit_code == 1
            assert "--tls_ca_file" in unencrypted.stderr
            os.kill(first.pid, signal.SIGKILL)
            first.wait(10)
            with elasticdl(tmp_path, "master", "--resume", *at_address) as second:
                eventually(lambda: JobDirectory(job).endpoint() == address, 30, second)
                (tmp_path / "go").touch()
                for process in (worker, second):
                    finished = process.wait(60)
                    assert finished.exit_code == 0, finished.stderr
    assert steps_taken(tmp_path) == [
        step for epoch in range(NUM_EPOCHS) for step in steps_of(epoch)
    ]
    assert load_status(job)["state"] == "finished"
    assert [(each["committed"], each["missing"]) for each in load_ledger(job)["epochs"]] == [
        (100, 0)
    ] * NUM_EPOCHS
    assert run_elasticdl("ledger", job, "--verify").exit_code == 0
