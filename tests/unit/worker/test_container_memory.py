from __future__ import annotations

from pathlib import Path

from elasticdl_like.worker.container_memory import ContainerMemory, read_container_memory


def test_version_2(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("2147483648\n")
    (tmp_path / "memory.events").write_text("low 0\nhigh 0\nmax 31\noom 2\noom_kill 1\n")
    assert read_container_memory(tmp_path) == ContainerMemory(1 << 31, 1)


def test_version_1(tmp_path: Path) -> None:
    group = tmp_path / "memory"
    group.mkdir()
    (group / "memory.limit_in_bytes").write_text("1073741824\n")
    (group / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n")
    assert read_container_memory(tmp_path) == ContainerMemory(1 << 30, 3)


def test_no_limit(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.events").write_text("oom_kill 1\n")
    assert read_container_memory(tmp_path) is None


def test_no_limit_in_version_1(tmp_path: Path) -> None:
    group = tmp_path / "memory"
    group.mkdir()
    (group / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    (group / "memory.oom_control").write_text("oom_kill 1\n")
    assert read_container_memory(tmp_path) is None


def test_no_control_groups(tmp_path: Path) -> None:
    assert read_container_memory(tmp_path) is None
