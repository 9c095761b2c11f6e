"""How many tasks/s does a master hand out and take back, against a gRPC server that does nothing?

Loopback, journal on, every task (64 x 8 records) leased and reported; master, servers and workers
are processes of their own and share the machine. The server that does nothing speaks the same
messages of the same sizes with the same worker; there is a threaded and an asyncio one. With one
worker and one task a call, 0.8 or better of the faster of the two is asked; with 8 workers and 16
leases a call, 20,000 tasks/s. The stub is what gRPC generates; `MasterClient` is what workers use.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from comparison import Figure, Row, figure_table, table, take_turns
from masters import end, running_master, synthetic_data
from worker_processes import WorkerProcesses

FOLDER = Path(__file__).parent
NUM_TASKS = 100_000_000
ROUNDS = 7
WORKERS = 8
MAX_LEASES = 16
ASKED_RATIO = 0.8
ASKED_TASKS_PER_S = 20_000


@contextmanager
def do_nothing_server(kind: str, num_leases: int) -> Iterator[str]:
    """Runs a server that does nothing; yields its address."""
    command = [sys.executable, str(FOLDER / "do_nothing_server.py"), kind, str(num_leases)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield f"127.0.0.1:{int(process.stdout.readline())}"
    finally:
        end(process)


def measure(number: int, max_leases: int, what: str) -> dict[str, list[float]]:
    """Returns the samples of a master and of both servers, with so many workers."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        master = stack.enter_context(
            running_master(Path(folder) / "job", *synthetic_data(NUM_TASKS))
        )

        def workers(address: str, *options: str) -> Callable[[], float]:
            command = [sys.executable, str(FOLDER / "dispatch_client.py")]
            command += [address, master.token, str(max_leases), *options]
            return WorkerProcesses(stack, command, number).rate(what)

        servers = {
            kind: stack.enter_context(do_nothing_server(kind, max_leases))
            for kind in ("sync", "aio")
        }
        return take_turns(
            {
                "stub": workers(master.address),
                "sync": workers(servers["sync"]),
                "aio": workers(servers["aio"]),
                "MasterClient": workers(master.address, "--master_client"),
            },
            ROUNDS,
        )


def main() -> None:
    one = measure(1, 1, "calls")
    many = measure(WORKERS, MAX_LEASES, "tasks")
    rows = []
    for name, samples, asked in (
        ("1 worker, 1 task a call", one, ASKED_RATIO),
        (f"{WORKERS} workers, {MAX_LEASES} tasks a call", many, None),
    ):
        fastest = [max(pair) for pair in zip(samples["sync"], samples["aio"], strict=True)]
        for ours, other_name, other, limit in (
            ("stub", "the faster server of each turn", fastest, asked),
            ("stub", "threaded server", samples["sync"], None),
            ("stub", "asyncio server", samples["aio"], None),
            ("MasterClient", "the faster server of each turn", fastest, None),
        ):
            rows.append(Row(f"{name}, {ours}", samples[ours], other_name, other, limit))
    print(table(rows, "tasks/s"))
    print()
    print(
        figure_table(
            [
                Figure(
                    f"tasks/s, {WORKERS} workers, {MAX_LEASES} tasks a call, stub",
                    many["stub"],
                    at_least=ASKED_TASKS_PER_S,
                ),
                Figure("the same, MasterClient", many["MasterClient"]),
            ]
        )
    )


if __name__ == "__main__":
    main()
