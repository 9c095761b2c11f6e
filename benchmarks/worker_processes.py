"""Worker processes that wait, and work for a while when they are told."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from masters import end

SAMPLE_S = 1.0


class WorkerProcesses:
    """Some processes of one command, such as `dispatch_client.py`.

    Args:
        stack: ends them.
        command: reads a number of seconds a line, works that long, and answers with a line of
            JSON: calls, tasks, and seconds that it took.
        number: how many there are.
    """

    def __init__(self, stack: ExitStack, command: Sequence[str], number: int) -> None:
        self._processes = []
        for _ in range(number):
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            stack.callback(end, process)
            self._processes.append(process)

    def rate(self, what: str) -> Callable[[], float]:
        """Returns what measures `calls` or `tasks` a second, of all processes together."""
        return lambda: sum(result[what] / result["seconds"] for result in self._work())

    def _work(self) -> list[dict[str, Any]]:
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"{SAMPLE_S}\n".encode())
            process.stdin.flush()
        results = []
        for process in self._processes:
            assert process.stdout is not None
            results.append(json.loads(process.stdout.readline()))
        return results
