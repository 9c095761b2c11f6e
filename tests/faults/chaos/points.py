"""Points in the processes of several workers: what happens there, and what is written down.

The file named by the environment variable CHAOS_PLAN has what is to happen (`round_plan.py`).
Imported by trainers and agents under test, so it imports nothing that they would not.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import json
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_PLAN = Path(os.environ.get("CHAOS_PLAN", "no plan"))
RUN = _PLAN.parent
TRACE_FILE = "trace.jsonl"
STOPPED_FILE = "stopped.txt"
_SO_ATTACH_FILTER = 26  # <asm-generic/socket.h>; Python does not name it
_SO_DETACH_FILTER = 27
_PF_FORKNOEXEC = 0x40  # of <linux/sched.h>, in /proc/PID/stat
_ZYGOTE = "elasticdl_like.worker.zygote"


@functools.cache
def plan() -> dict[str, Any]:
    """Returns the plan of the run that this process is part of."""
    found: dict[str, Any] = json.loads(_PLAN.read_text(encoding="utf-8"))
    return found


def note(what: str, **fields: object) -> None:
    """Writes a line of the run's trace; whole lines, whoever writes at the same time."""
    line = json.dumps({"what": what, "at_s": time.monotonic(), "pid": os.getpid(), **fields})
    with (RUN / TRACE_FILE).open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def pass_point(point: str, rank: int | None, agent: int) -> None:
    """Does what the plan has for a point that this process has got to.

    Args:
        point: which one.
        rank: that of the trainer; None in an agent.
        agent: the process of the agent: this one, or that of this trainer.
    """
    for number, blow in enumerate(plan()["blows"]):
        if blow["point"] != point or (RUN / f"fired-{number}").exists():
            continue
        if blow["rank"] != "any" and (blow["rank"] == "chief") != (rank == 0):
            continue
        # How often it was passed, by all processes, is the size of a file: no death can spoil that.
        with (RUN / f"passed-{number}").open("a") as counter:
            counter.write(".")
            counter.flush()
            passed = counter.tell()
        if passed < blow["count"]:
            continue
        try:
            with (RUN / f"fired-{number}").open("x") as file:
                file.write(f"{os.getpid()}")
        except FileExistsError:
            continue
        note("blow", kind=blow["kind"], point=point, rank=rank)
        strike = functools.partial(_strike, blow, agent)
        if blow["delay_s"]:
            # What was called goes on meanwhile.
            _later(blow["delay_s"], strike)
        else:
            strike()


def with_point(owner: Any, name: str, before: Callable[..., None]) -> None:
    """Has a function of the product call another one first, with its own arguments."""
    wrapped = getattr(owner, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        before(*args, **kwargs)
        return wrapped(*args, **kwargs)

    setattr(owner, name, call)


def is_fork(pid: int) -> bool:
    """Returns whether a process runs its parent's program, as a trainer does that of its zygote."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return bool(int(text.rpartition(")")[2].split()[6]) & _PF_FORKNOEXEC)


def _strike(blow: dict[str, Any], agent: int) -> None:
    command = int((RUN / "command.pid").read_text())
    duration_s = blow["duration_s"]
    match blow["kind"]:
        case "kill trainer":
            _kill(os.getpid())
        case "kill zygote":
            _kill(_zygote_of(agent))
        case "kill agent":
            _kill(agent)
        case "kill worker":
            _kill(agent, _zygote_of(agent), os.getpid())
        case "kill all trainers":
            _kill(*filter(is_fork, _processes_of_run(_ZYGOTE)))
        case "kill all workers":
            _kill(*_processes_of_run("--worker_id"), *_processes_of_run(_ZYGOTE))
        case "kill command":
            _kill(command)
        case "kill everything":
            _kill(
                command,
                *_processes_of_run("--worker_id"),
                *_processes_of_run(_ZYGOTE),
            )
        case "stop trainer":
            _stop(os.getpid(), duration_s)
        case "stop zygote":
            _stop(_zygote_of(agent), duration_s)
        case "stop agent":
            _stop(agent, duration_s)
        case "stop command":
            _stop(command, duration_s)
        case "cut connections":
            for peer in _connections_to_peers():
                with contextlib.suppress(OSError):  # the other end has just been closed
                    peer.shutdown(socket.SHUT_RDWR)
                peer.close()
        case "mute connections":
            _mute(_connections_to_peers(), duration_s)
        case unknown:
            raise ValueError(unknown)


def _kill(*pids: int) -> None:
    """Kills processes, this one last."""
    for pid in sorted(set(pids) - {0}, key=lambda each: each == os.getpid()):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _stop(pid: int, duration_s: float) -> None:
    """Stops a process; the run lets it go on, because this one may be the one, or dead, by then."""
    if pid:
        with (RUN / STOPPED_FILE).open("a") as file:
            file.write(f"{pid} {time.monotonic() + duration_s}\n")
        os.kill(pid, signal.SIGSTOP)


def _processes_of_run(word: str) -> list[int]:
    """Returns the processes of this run that have a word on their command line."""
    marker = f"CHAOS_PLAN={_PLAN}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if (
                entry.name.isdigit()
                and word.encode() in (entry / "cmdline").read_bytes()
                and marker in (entry / "environ").read_bytes().split(b"\0")
            ):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def _zygote_of(agent: int) -> int:
    """Returns the zygote of an agent; 0 when there is none."""
    children = Path(f"/proc/{agent}/task/{agent}/children").read_text().split()
    return next((pid for pid in map(int, children) if not is_fork(pid)), 0)


def _connections_to_peers() -> list[socket.socket]:
    """Returns this process's connections, other than those to the master."""
    masters = set((RUN / "masters.txt").read_text().split())
    return [each for each in _connections() if _remote_address(each) not in masters]


def _connections() -> Iterator[socket.socket]:
    for entry in Path("/proc/self/fd").iterdir():
        try:
            if not str(entry.readlink()).startswith("socket:"):
                continue
            connection = socket.socket(fileno=os.dup(int(entry.name)))
            connection.getpeername()
        except OSError:
            continue
        if connection.family in (socket.AF_INET, socket.AF_INET6):
            yield connection


def _remote_address(connection: socket.socket) -> str:
    host, port, *_ = connection.getpeername()
    return f"{host.removeprefix('::ffff:')}:{port}"


def _mute(connections: list[socket.socket], duration_s: float) -> None:
    """Has the kernel drop whatever comes in, as a network does that has failed."""
    # A packet filter of one instruction, "return 0"; the kernel copies it.
    instruction = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    program = struct.pack("HP", 1, ctypes.addressof(instruction))
    for connection in connections:
        connection.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)

    def unmute() -> None:
        for connection in connections:
            with contextlib.suppress(OSError):  # it has no filter where it is one of two copies
                connection.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
            connection.close()

    _later(duration_s, unmute)


def _later(delay_s: float, do: Callable[[], object]) -> None:
    timer = threading.Timer(delay_s, do)
    timer.daemon = True
    timer.start()
