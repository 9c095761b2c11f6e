"""How much memory this process's container may use, and how often it wanted more."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_CONTROL_GROUPS = Path("/sys/fs/cgroup")
# Version 1 of control groups says so where there is no limit, in a number near 2^63.
_NO_LIMIT_BYTES = 1 << 60


@dataclass(frozen=True)
class ContainerMemory:
    """The memory of a container that has a limit.

    Attributes:
        limit_bytes: the limit.
        num_kills: how many of its processes were killed because it had used its limit up.
    """

    limit_bytes: int
    num_kills: int


def read_container_memory(directory: Path = _CONTROL_GROUPS) -> ContainerMemory | None:
    """Returns the memory of this container, or None where there is none, or no limit.

    Args:
        directory: where a container sees its control group, of either version.
    """
    for limit_name, kills_name in (
        ("memory.max", "memory.events"),
        ("memory/memory.limit_in_bytes", "memory/memory.oom_control"),
    ):
        try:
            limit = (directory / limit_name).read_text(encoding="ascii").strip()
            lines = (directory / kills_name).read_text(encoding="ascii").splitlines()
        except OSError:
            continue
        if not limit.isdecimal() or int(limit) >= _NO_LIMIT_BYTES:
            return None
        kills = [line.split()[1] for line in lines if line.startswith("oom_kill ")]
        return ContainerMemory(int(limit), int(kills[0])) if kills else None
    return None
