"""What does it cost a master that somebody looks at its status page?

Dispatch as in `dispatch.py`, of 100 million tasks, by two masters in turns: one has its status page
open, which is a stream of updates, and its metrics scraped each second; the other has none. 0.95 or
better is asked. The page is asked for on a connection of its own, and sent compressed.
"""

from __future__ import annotations

import http.client
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from comparison import Figure, Row, figure_table, table, take_turns
from masters import running_master, synthetic_data
from worker_processes import WorkerProcesses

from elasticdl_like.job_directory import JobDirectory

FOLDER = Path(__file__).parent
NUM_TASKS = 100_000_000
ROUNDS = 7
SAMPLE_S = 4.0
SCRAPE_INTERVAL_S = 1.0
ASKED = 0.95
ASKED_PAGE_BYTES = 300_000
NUM_FIRST_BYTES = 30


class Viewer:
    """Looks at a status page, as a browser and as Prometheus do.

    Args:
        link: the page.
    """

    def __init__(self, link: str) -> None:
        self._address = ("127.0.0.1", urlsplit(link).port)
        self.num_updates = 0
        self.num_scrapes = 0

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Looks as long as the context lasts."""
        stream = self._connect()
        stream.request("GET", "/api/v1/stream")
        response = stream.getresponse()
        stopping = threading.Event()
        threads = [
            threading.Thread(target=self._read, args=(response, stopping)),
            threading.Thread(target=self._scrape, args=(stopping,)),
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stopping.set()
            for thread in threads:
                thread.join()
            stream.close()

    def first_byte_ms(self) -> float:
        """Returns how long the page takes to begin."""
        start_s = time.perf_counter()
        connection = self._connect()
        connection.request("GET", "/", headers={"Accept-Encoding": "gzip"})
        response = connection.getresponse()
        response.read(1)
        taken_ms = 1e3 * (time.perf_counter() - start_s)
        connection.close()
        return taken_ms

    def page_size_bytes(self) -> int:
        """Returns how much is sent for the page."""
        connection = self._connect()
        connection.request("GET", "/", headers={"Accept-Encoding": "gzip"})
        size_bytes = len(connection.getresponse().read())
        connection.close()
        return size_bytes

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._address
        return http.client.HTTPConnection(host, port, timeout=30)

    def _read(self, response: http.client.HTTPResponse, stopping: threading.Event) -> None:
        while not stopping.is_set() and (line := response.readline()):
            self.num_updates += line.startswith(b"data: ")

    def _scrape(self, stopping: threading.Event) -> None:
        while not stopping.wait(SCRAPE_INTERVAL_S):
            connection = self._connect()
            connection.request("GET", "/metrics")
            self.num_scrapes += b"elasticdl_step" in connection.getresponse().read()
            connection.close()


def measure(number: int, max_leases: int) -> tuple[dict[str, list[float]], list[Figure]]:
    """Returns tasks/s of the masters with and without the page, and figures of the page."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:

        def rate(name: str, *flags: str) -> Callable[[], float]:
            job = Path(folder) / name
            master = stack.enter_context(running_master(job, *synthetic_data(NUM_TASKS), *flags))
            command = [sys.executable, str(FOLDER / "dispatch_client.py")]
            command += [master.address, master.token, str(max_leases)]
            return WorkerProcesses(stack, command, number, SAMPLE_S).rate("tasks")

        seen, unseen = rate("seen"), rate("unseen", "--no-status_page")
        link = JobDirectory(Path(folder) / "seen").status_page()
        assert link is not None
        viewer = Viewer(link)

        def looked_at() -> float:
            with viewer.looking():
                return seen()

        samples = take_turns({"seen": looked_at, "unseen": unseen}, ROUNDS)
        if min(viewer.num_updates, viewer.num_scrapes) < ROUNDS * (SAMPLE_S - 2):
            raise AssertionError(
                f"{viewer.num_updates} updates and {viewer.num_scrapes} scrapes came"
            )
        first_bytes_ms = [viewer.first_byte_ms() for _ in range(NUM_FIRST_BYTES)]
        return samples, [
            Figure("first byte of the page, ms", first_bytes_ms),
            Figure("size of the page as sent, bytes", [viewer.page_size_bytes()], ASKED_PAGE_BYTES),
        ]


def main() -> None:
    many, figures = measure(8, 16)
    one, _ = measure(1, 1)
    print(
        table(
            [
                Row(f"{name}, looked at", samples["seen"], "no page", samples["unseen"], ASKED)
                for name, samples in (
                    ("8 workers, 16 tasks a call", many),
                    ("1 worker, 1 task a call", one),
                )
            ],
            "tasks/s",
        )
    )
    print()
    print(figure_table(figures))


if __name__ == "__main__":
    main()
