"""How many tasks/s does a master hand out and take back, against DLRover's?

Optional: it installs DLRover 0.6.1 from PyPI into a virtual environment of its own, in a temporary
directory. Both masters are processes with 8 worker processes; tasks of 64 x 8 records, each leased
and reported. DLRover's workers use its own client, one call to get a task and one to report it;
ours use the generated stub, or `MasterClient`, and one call for 16 of both. Ours keeps a journal,
DLRover keeps its state in memory; its log is turned down to warnings. 10 times is asked.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from comparison import Row, table, take_turns
from dispatch import MAX_LEASES, NUM_TASKS, WORKERS
from masters import end, running_master, synthetic_data
from worker_processes import WorkerProcesses

FOLDER = Path(__file__).parent
PACKAGES = ("dlrover[k8s]==0.6.1", "protobuf")
ROUNDS = 7
ASKED_RATIO = 10.0
START_TIMEOUT_S = 60.0
# What turns its log down, in its own words.
QUIET = {"DLROVER_LOG_LEVEL": "WARNING"}


def install(environment: Path) -> Path:
    """Installs DLRover, and returns its Python."""
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return python


@contextmanager
def dlrover_master(python: Path, log_path: Path) -> Iterator[str]:
    """Runs DLRover's master; yields its address."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [python, "-m", "dlrover.python.master.main", "--platform=local", "--job_name=bench"]
    command += [f"--port={port}", f"--node_num={WORKERS}"]
    with log_path.open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | QUIET)
    try:
        give_up_s = time.monotonic() + START_TIMEOUT_S
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > give_up_s:
                raise RuntimeError(f"DLRover did not start:\n{log_path.read_text()}")
            time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        end(process)


def _listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def main() -> None:
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        python = install(folder / "dlrover")
        theirs = stack.enter_context(dlrover_master(python, folder / "dlrover.log"))
        master = stack.enter_context(running_master(folder / "job", *synthetic_data(NUM_TASKS)))
        dlrover_client = [str(python), str(FOLDER / "dlrover_client.py"), theirs]
        ours = [sys.executable, str(FOLDER / "dispatch_client.py")]
        ours += [master.address, master.token, str(MAX_LEASES)]
        samples = take_turns(
            {
                name: WorkerProcesses(stack, command, WORKERS).rate("tasks")
                for name, command in (
                    ("DLRover", dlrover_client),
                    ("stub", ours),
                    ("MasterClient", [*ours, "--master_client"]),
                )
            },
            ROUNDS,
        )
    print(
        table(
            [
                Row("stub", samples["stub"], "DLRover 0.6.1", samples["DLRover"], ASKED_RATIO),
                Row(
                    "MasterClient",
                    samples["MasterClient"],
                    "DLRover 0.6.1",
                    samples["DLRover"],
                    None,
                ),
            ],
            "tasks/s",
        )
    )


if __name__ == "__main__":
    main()
