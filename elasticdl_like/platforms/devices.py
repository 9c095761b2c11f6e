"""Which GPU of this machine is which worker's."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

VISIBLE_DEVICES = "CUDA_VISIBLE_DEVICES"
"""The variable that tells a process which GPUs it may use."""

_DRIVER_DIRECTORY = Path("/proc/driver/nvidia/gpus")
_LISTING_TIMEOUT_S = 20.0


def count_devices() -> int:
    """Returns the number of GPUs that this machine's driver knows."""
    if shutil.which("nvidia-smi") is not None:
        try:
            listing = subprocess.run(
                ["nvidia-smi", "-L"],
                capture_output=True,
                text=True,
                timeout=_LISTING_TIMEOUT_S,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            pass  # it can be there without a driver; that has a directory
        else:
            return sum(line.startswith("GPU ") for line in listing.stdout.splitlines())
    return len(list(_DRIVER_DIRECTORY.glob("*")))


def usable_devices(visible: str | None, num_devices: int) -> list[str]:
    """Returns the names of the GPUs that workers may use.

    Args:
        visible: the value of `VISIBLE_DEVICES`, as CUDA reads it: names up to the first that is
            empty or negative; None where it is not set.
        num_devices: how many GPUs this machine has.
    """
    if visible is None:
        return [str(number) for number in range(num_devices)]
    names: list[str] = []
    for name in (each.strip() for each in visible.split(",")):
        if not name or name.startswith("-"):
            break
        names.append(name)
    return names


def worker_environment(worker_id: int, devices: Sequence[str]) -> Mapping[str, str]:
    """Returns the variables that give a worker one GPU, in turn; none where there are none."""
    return {VISIBLE_DEVICES: devices[worker_id % len(devices)]} if devices else {}
