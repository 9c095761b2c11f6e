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
            JSON: what it did, such as calls and tasks, and seconds that it took.
        number: how many there are.
        sample_s: that number of seconds.
    """

    def __init__(
        self, stack: ExitStack, command: Sequence[str], number: int, sample_s: float = SAMPLE_S
    ) -> None:
        self._sample_s = sample_s
        self._processes = []
        for _ in range(number):
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            stack.callback(end, process)
            self._processes.append(process)

    def rate(self, what: str) -> Callable[[], float]:
        """Returns what measures `calls`, say, a second, of all processes together."""
        return lambda: sum(result[what] / result["seconds"] for result in self._work())

    def _work(self) -> list[dict[str, Any]]:
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"{self._sample_s}\n".encode())
            process.stdin.flush()
        results = []
        for process in self._processes:
            assert process.stdout is not None
            results.append(json.loads(process.stdout.readline()))
        return results
