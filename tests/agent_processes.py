"""Finds the processes of several workers: their agents, zygotes and trainers."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import psutil

from faults.chaos.points import is_fork

_ZYGOTE = "elasticdl_like.worker.zygote"


class Role(StrEnum):
    """What a process of a worker is."""

    AGENT = "agent"
    ZYGOTE = "zygote"
    TRAINER = "trainer"


@dataclass(frozen=True, order=True)
class Found:
    """A process of a worker."""

    worker_id: int
    role: Role
    pid: int


def find_workers(variable: str, value: str) -> list[Found]:
    """Returns the processes of all workers that have inherited a variable, in order.

    Orphans, whose agent is gone, are left out.
    """
    processes = {
        process.pid: process for process in psutil.process_iter() if _has(process, variable, value)
    }
    found = []
    for process in processes.values():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            worker_id = _worker_id(process)
            if worker_id is None:
                continue
            found.append(Found(worker_id, Role.AGENT, process.pid))
            for child in _children_of(process):
                role = Role.TRAINER if is_fork(child) else Role.ZYGOTE
                found.append(Found(worker_id, role, child))
    return sorted(found)


def pids_of(found: Iterable[Found], role: Role) -> dict[int, int]:
    """Returns the process of one role of each worker, by worker."""
    return {each.worker_id: each.pid for each in found if each.role is role}


def left_processes(variable: str, value: str) -> list[str]:
    """Returns the processes that have inherited a variable and have not ended, as words."""
    found = []
    for process in psutil.process_iter():
        if _has(process, variable, value):
            with contextlib.suppress(psutil.NoSuchProcess):
                found.append(f"{process.pid} ({process.status()}): {' '.join(process.cmdline())}")
    return found


def kill_all(variable: str, value: str) -> None:
    """Kills all processes that have inherited a variable."""
    for process in psutil.process_iter():
        if process.pid != os.getpid() and _has(process, variable, value):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)


def _has(process: psutil.Process, variable: str, value: str) -> bool:
    try:
        return process.environ().get(variable) == value and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def _worker_id(agent: psutil.Process) -> int | None:
    """Returns the number of the worker whose agent this is; None if it is no agent."""
    words = agent.cmdline()
    if "worker" not in words or "--worker_id" not in words:
        return None
    return int(words[words.index("--worker_id") + 1])


def _children_of(agent: psutil.Process) -> list[int]:
    """Returns the children of an agent that run the zygote's program."""
    found = []
    for child in agent.children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.status() != psutil.STATUS_ZOMBIE and _ZYGOTE in child.cmdline():
                found.append(child.pid)
    return found
