from __future__ import annotations

import stat
from pathlib import Path

import pytest

from elasticdl_like.platforms import devices
from elasticdl_like.platforms.devices import count_devices, usable_devices, worker_environment


@pytest.mark.parametrize(
    ("visible", "num_devices", "names"),
    [
        (None, 0, []),
        (None, 3, ["0", "1", "2"]),
        ("2,0", 4, ["2", "0"]),
        (" GPU-12ab , GPU-34cd", 4, ["GPU-12ab", "GPU-34cd"]),
        ("", 4, []),
        ("-1", 4, []),
        ("1,-1,2", 4, ["1"]),
    ],
)
def test_what_the_user_made_visible_is_shared_out(
    visible: str | None, num_devices: int, names: list[str]
) -> None:
    assert usable_devices(visible, num_devices) == names


def test_workers_take_devices_in_turn() -> None:
    names = ["2", "GPU-1"]
    assert [worker_environment(number, names) for number in range(3)] == [
        {"CUDA_VISIBLE_DEVICES": "2"},
        {"CUDA_VISIBLE_DEVICES": "GPU-1"},
        {"CUDA_VISIBLE_DEVICES": "2"},
    ]
    assert worker_environment(1, []) == {}


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The driver's tool of a machine whose driver shows no devices, a script yet to be written."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(devices, "_DRIVER_DIRECTORY", tmp_path / "gpus")
    return tmp_path / "nvidia-smi"


def write_tool(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_devices_that_the_drivers_tool_lists(tool: Path) -> None:
    lines = ["GPU 0: NVIDIA H100", "  MIG 1g.10gb Device 0: (UUID: MIG-1)", "GPU 1: NVIDIA H100"]
    write_tool(tool, "\n".join(f"echo '{line}'" for line in lines))
    assert count_devices() == 2


def test_devices_that_the_driver_shows(tool: Path) -> None:
    assert count_devices() == 0
    (tool.parent / "gpus" / "0000:01:00.0").mkdir(parents=True)
    assert count_devices() == 1
    write_tool(tool, "exit 9")
    assert count_devices() == 1
