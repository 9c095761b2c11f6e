from pathlib import Path

import pytest

from elasticdl_like.errors import ConfigError, ImageError
from elasticdl_like.platforms.kubernetes.zoo_image import (
    build_command,
    check_index_url,
    choose_tool,
    dockerfile,
    lacks_requirements,
    push_command,
)

CODE = "COPY --chown=1000:1000 . /model_zoo"


def instructions(text: str) -> list[str]:
    """The lines that do something, those that go on joined."""
    lines = text.replace("\\\n", "").splitlines()
    return [" ".join(line.split()) for line in lines if line and not line.startswith("#")]


def test_a_zoo_without_requirements_is_only_copied() -> None:
    assert instructions(dockerfile("elasticdl:1", None, "")) == ["FROM elasticdl:1", CODE]


def test_requirements_come_before_the_code_and_the_user_stays() -> None:
    assert instructions(dockerfile("r.example/base:2", "numpy\nscikit-learn>=1\n", "")) == [
        "FROM r.example/base:2",
        "COPY requirements.txt /model_zoo/",
        "USER root",
        "RUN cd /model_zoo && pip install --no-cache-dir --root-user-action ignore "
        "--requirement requirements.txt && pip check",
        "USER 1000:1000",
        CODE,
    ]


@pytest.mark.parametrize(
    "line",
    [
        "-r more.txt",
        "--requirement=more.txt",
        "-c constraints.txt",
        "-e .",
        "--find-links wheels",
        "./wheels/mine-1-py3-none-any.whl",
        "wheels/mine-1-py3-none-any.whl",
        "mine-1-py3-none-any.whl",
        "../mine",
        "mine @ file:///model_zoo/mine",
    ],
)
def test_requirements_that_name_files_come_after_the_code(line: str) -> None:
    lines = instructions(dockerfile("elasticdl:1", f"numpy\n  {line}\n", ""))
    assert lines[1] == CODE
    assert [each.split()[0] for each in lines] == ["FROM", "COPY", "USER", "RUN", "USER"]
    assert lines[-1] == "USER 1000:1000"


@pytest.mark.parametrize(
    "line",
    [
        "mine @ https://example/mine-1-py3-none-any.zip",
        "https://example/mine.zip",
        "git+https://example/mine",
        "numpy  # see docs/why.md",
        "# -r more.txt, file:x",
        "--extra-index-url https://example/simple",
        "mine[extra]>=1; python_version > '3'",
    ],
)
def test_requirements_from_elsewhere_come_before_the_code(line: str) -> None:
    assert instructions(dockerfile("elasticdl:1", f"{line}\n", ""))[-1] == CODE


def test_an_index_is_quoted_for_the_shell() -> None:
    text = dockerfile("elasticdl:1", "numpy", "https://example/simple?a=1&b=$(id)")
    assert "--extra-index-url 'https://example/simple?a=1&b=$(id)' " in text


@pytest.mark.parametrize("url", ["https://example/simple", "http://localhost:3141/root/dev"])
def test_an_index_may_be_any_url(url: str) -> None:
    check_index_url(url, "--extra_pypi_index")


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("example/simple", "is no URL of a package index"),
        ("file:///wheels", "is no URL of a package index"),
        ("https://", "is no URL of a package index"),
        ("https://a/simple https://b/simple", "is no URL of a package index"),
        ("https://a/simple\nUSER root", "is no URL of a package index"),
        ("https://[::1/simple", "is no URL"),
    ],
)
def test_what_is_no_index(url: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=f"^--extra_pypi_index .* {problem}"):
        check_index_url(url, "--extra_pypi_index")


def test_a_password_does_not_get_into_a_file_or_a_message() -> None:
    with pytest.raises(ConfigError, match=r"the URL of example has credentials") as caught:
        check_index_url("https://user:hunter2@example/simple", "--extra_pypi_index")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("wanted", "installed", "chosen"),
    [
        (None, ["buildah", "podman", "docker"], "docker"),
        (None, ["buildah", "podman"], "podman"),
        (None, ["buildah"], "buildah"),
        ("buildah", ["docker", "buildah"], "buildah"),
    ],
)
def test_the_tool_is_the_chosen_or_the_first(
    wanted: str | None, installed: list[str], chosen: str
) -> None:
    assert choose_tool(wanted, installed) == chosen


def test_without_a_tool_the_message_says_what_was_looked_for() -> None:
    with pytest.raises(ImageError, match=r"^none of docker, podman, buildah is in PATH.*install"):
        choose_tool(None, [])
    with pytest.raises(ConfigError, match=r"^--tool podman: there is no podman in PATH$"):
        choose_tool("podman", [])
    with pytest.raises(ConfigError, match=r"no podman in PATH; there is docker and buildah$"):
        choose_tool("podman", ["buildah", "docker"])


@pytest.mark.parametrize(
    ("tool", "flags"), [("docker", []), ("podman", []), ("buildah", ["--layers"])]
)
def test_commands(tool: str, flags: list[str]) -> None:
    assert build_command(tool, "r.example/zoo:1", Path("/some/zoo")) == [
        *(tool, "build", *flags),
        *("--file", "/some/zoo/Dockerfile", "--tag", "r.example/zoo:1", "/some/zoo"),
    ]
    assert push_command(tool, "r.example/zoo:1") == [tool, "push", "r.example/zoo:1"]


def test_a_dockerfile_from_before_the_requirements() -> None:
    assert lacks_requirements(dockerfile("elasticdl:1", None, ""))
    assert not lacks_requirements(dockerfile("elasticdl:1", "numpy", ""))
