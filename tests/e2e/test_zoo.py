"""`elasticdl zoo`, with programs in place of docker, podman and buildah that note each call."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from elasticdl_command import RunElasticdl, eventually, running

InstallTool = Callable[..., None]
IMAGE = "registry.example/team/zoo:1"


@pytest.fixture
def called(tmp_path: Path) -> Path:
    """What the tools were called with, an argument a line."""
    return tmp_path / "called"


@pytest.fixture
def install_tool(tmp_path: Path, called: Path, monkeypatch: pytest.MonkeyPatch) -> InstallTool:
    """Puts a program in the one directory of PATH, which is empty at first."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))

    def install(name: str, script: str = "exit 0") -> None:
        tool = directory / name
        tool.write_text(f"#!/bin/sh\nprintf '%s\\n' {name} \"$@\" >>{called}\n{script}\n")
        tool.chmod(0o755)

    return install


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """A model zoo in `zoo`, below the directory in which the command runs."""
    directory = tmp_path / "zoo"
    directory.mkdir()
    (directory / "model.py").write_text("")
    return directory


def one_error(stderr: str) -> str:
    (line,) = [line for line in stderr.splitlines() if line.startswith("elasticdl: error: ")]
    assert "Traceback" not in stderr
    return line.removeprefix("elasticdl: error: ")


def test_from_a_model_zoo_to_an_image_in_a_registry(
    zoo: Path, install_tool: InstallTool, called: Path, run_elasticdl: RunElasticdl
) -> None:
    install_tool("podman", "echo STEP 1; echo caching >&2")
    install_tool("buildah")
    (zoo / "requirements.txt").write_text("scikit-learn\n")

    done = run_elasticdl("zoo", "init", "--base_image", "elasticdl:7", "zoo")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("wrote zoo/Dockerfile and zoo/.dockerignore; next:\n")
    text = (zoo / "Dockerfile").read_text()
    assert "\nFROM elasticdl:7\n" in text
    assert "--requirement requirements.txt" in text
    assert "Dockerfile" in (zoo / ".dockerignore").read_text().splitlines()

    done = run_elasticdl("zoo", "build", "--image", IMAGE, "zoo")
    build = ["podman", "build", "--file", f"{zoo}/Dockerfile", "--tag", IMAGE, str(zoo)]
    assert called.read_text().splitlines() == build
    assert done.exit_code == 0
    assert done.stdout == f"STEP 1\nbuilt {IMAGE}; next:\n  elasticdl zoo push {IMAGE}\n"
    assert done.stderr == f"elasticdl: {' '.join(build)}\ncaching\n"

    done = run_elasticdl("zoo", "push", IMAGE)
    assert called.read_text().splitlines() == [*build, "podman", "push", IMAGE]
    assert done.exit_code == 0
    assert done.stdout.endswith(
        f"pushed {IMAGE}; next:\n  elasticdl train --platform kubernetes --image_name {IMAGE} "
        "--model_zoo /model_zoo --model_def …\n"
    )


def test_the_current_folder_and_another_tool(
    tmp_path: Path, install_tool: InstallTool, called: Path, run_elasticdl: RunElasticdl
) -> None:
    install_tool("docker")
    install_tool("buildah")
    (tmp_path / "model.py").write_text("")
    assert run_elasticdl("zoo", "init").exit_code == 0
    done = run_elasticdl("zoo", "build", "--image", "zoo:1", "--tool", "buildah")
    assert done.exit_code == 0
    assert called.read_text().splitlines()[:3] == ["buildah", "build", "--layers"]
    assert "cannot be pushed" in done.stdout
    assert "--image_name zoo:1 --model_zoo /model_zoo" in done.stdout


def test_what_a_user_has_written_stays(zoo: Path, run_elasticdl: RunElasticdl) -> None:
    (zoo / "Dockerfile").write_text("FROM mine\n")
    (zoo / ".dockerignore").write_text("data\n")
    done = run_elasticdl("zoo", "init", "zoo")
    assert done.exit_code == 1
    assert one_error(done.stderr).startswith("zoo/Dockerfile is there already; --overwrite ")
    assert (zoo / "Dockerfile").read_text() == "FROM mine\n"

    done = run_elasticdl("zoo", "init", "zoo", "--overwrite")
    assert done.exit_code == 0
    assert done.stdout.startswith("wrote zoo/Dockerfile; next:\n")
    assert "FROM elasticdl:1" in (zoo / "Dockerfile").read_text()
    assert (zoo / ".dockerignore").read_text() == "data\n"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["init", "nowhere"], "there is no folder nowhere; give that of the model zoo"),
        (["init", "zoo/model.py"], "zoo/model.py is a file; give the folder that has"),
        (["init", "zoo", "--base_image", "Base"], "--base_image 'Base' is no name of an image"),
        (["init", "--extra_pypi_index", "pypi"], "--extra_pypi_index 'pypi' is no URL"),
        (["init", "--model_zoo", "zoo"], "--model_zoo is not supported. The folder is"),
        (["init", "--local_pkg_dir", "w"], "--local_pkg_dir is not supported. Put the wheels"),
        (["build", "--image", IMAGE, "nowhere"], "there is no folder nowhere"),
        (["build", "--image", IMAGE, "zoo"], "there is no zoo/Dockerfile; elasticdl zoo init zoo"),
        (["build", "--image", "Team/zoo", "zoo"], "--image 'Team/zoo' is no name of an image"),
        (["build", "--image", f"zoo@sha256:{'0' * 64}"], "--image 'zoo@sha256:"),
        (["build", "--image", IMAGE, "--docker_base_url", "x"], "--docker_base_url is not"),
        (["push", "Team/zoo"], "IMAGE 'Team/zoo' is no name of an image"),
        (["push", "zoo:1"], "IMAGE 'zoo:1' has no registry in its name"),
        (["push", IMAGE], "none of docker, podman, buildah is in PATH"),
        (["push", IMAGE, "--tool", "podman"], "--tool podman: there is no podman in PATH"),
    ],
)
def test_errors_come_before_anything_is_run(
    zoo: Path,
    install_tool: InstallTool,
    called: Path,
    run_elasticdl: RunElasticdl,
    arguments: list[str],
    error: str,
) -> None:
    if not error.startswith(("none", "--tool")):
        install_tool("docker")
    done = run_elasticdl("zoo", *arguments)
    assert done.exit_code == 1
    assert one_error(done.stderr).startswith(error)
    assert not called.exists()
    assert sorted(path.name for path in zoo.iterdir()) == ["model.py"]


def test_warnings(zoo: Path, install_tool: InstallTool, run_elasticdl: RunElasticdl) -> None:
    install_tool("docker")
    (zoo / "model.py").unlink()
    done = run_elasticdl(
        *("zoo", "init", "zoo", "--cluster_spec", "spec.py"),
        *("--extra_pypi_index", "https://example/simple"),
    )
    assert done.exit_code == 0
    assert "warning: --cluster_spec has no effect" in done.stderr
    assert "warning: --extra_pypi_index has no effect" in done.stderr
    assert "warning: zoo has no .py file" in done.stderr

    (zoo / "requirements.txt").write_text("scikit-learn\n")
    done = run_elasticdl("zoo", "build", "zoo", "--image", "registry:5000/zoo:latest")
    assert done.exit_code == 0
    assert "zoo/Dockerfile does not install requirements.txt" in done.stderr
    assert "such as registry:5000/zoo:1" in done.stderr


def test_a_tool_that_fails_says_why_itself(
    zoo: Path, install_tool: InstallTool, run_elasticdl: RunElasticdl
) -> None:
    install_tool("docker", "echo 'Cannot connect to the Docker daemon.' >&2; exit 17")
    install_tool("buildah", "kill -9 $$")
    assert run_elasticdl("zoo", "init", "zoo").exit_code == 0

    done = run_elasticdl("zoo", "build", "zoo", "--image", IMAGE)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-2:] == [
        "Cannot connect to the Docker daemon.",
        "elasticdl: error: docker build ended with exit code 17; what it said is above; with "
        "--tool there is buildah as well",
    ]
    done = run_elasticdl("zoo", "push", IMAGE, "--tool", "buildah")
    assert (done.exit_code, done.stdout) == (1, "")
    assert one_error(done.stderr) == "buildah push was killed by SIGKILL; what it said is above"


def test_a_program_that_cannot_be_run(
    tmp_path: Path, install_tool: InstallTool, run_elasticdl: RunElasticdl
) -> None:
    install_tool("docker")
    (tmp_path / "bin" / "docker").write_bytes(b"\0not a program")
    done = run_elasticdl("zoo", "push", IMAGE)
    assert done.exit_code == 1
    assert one_error(done.stderr) == "docker cannot be run: Exec format error"


def test_the_tool_ends_before_the_command_that_is_told_to_end(
    tmp_path: Path, install_tool: InstallTool, called: Path
) -> None:
    # A trap waits for the end of a program, but not of the shell's own `read`.
    install_tool("docker", f"trap 'echo told >>{called}; exit 3' TERM\necho ready\nread line")
    with running(["-m", "elasticdl_like", "zoo", "push", IMAGE], tmp_path) as command:
        eventually(lambda: "ready" in command.stdout, 60, command)
        os.kill(command.pid, signal.SIGTERM)
        finished = command.wait(60)
    assert finished.exit_code == 130
    assert called.read_text().splitlines() == ["docker", "push", IMAGE, "told"]
