"""The image of a model zoo: what its Dockerfile says, and the commands that build and push it.

Nothing is read or run here.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection
from pathlib import Path
from urllib.parse import urlsplit

from elasticdl_like.errors import ConfigError, ImageError

TOOLS = ("docker", "podman", "buildah")
"""The programs that make images, in the order of preference."""

DEFAULT_BASE_IMAGE = "elasticdl:1"
"""The image that `docker build --tag elasticdl:1 .` makes of this project."""

DOCKERFILE = "Dockerfile"
IGNORE_FILE = ".dockerignore"
REQUIREMENTS_FILE = "requirements.txt"

ZOO_DIRECTORY = "/model_zoo"
"""Where the model zoo is in its image."""

IGNORED = """\
# What the image of the model zoo can do without.
Dockerfile
**/.*
**/__pycache__
**/*.pyc
"""
"""The text of `IGNORE_FILE`."""

# A user of the pods owns the files, who can read them then whatever modes they have.
_USER = "1000:1000"
_OTHER_FILES = re.compile(
    r"^\s*(?:"
    r"-[rcef]|--(?:requirement|constraint|editable|find-links)\b"  # other lists, folders
    r"|[^\s#:@]*/"  # a path, but neither a URL nor NAME @ URL
    r"|[^\s#:@]+\.whl\b"
    r"|[^#]*\bfile:"
    r")",
    re.MULTILINE,
)


def dockerfile(base_image: str, requirements: str | None, extra_index: str) -> str:
    """Returns the text of the Dockerfile of a model zoo.

    Args:
        base_image: the image that has elasticdl.
        requirements: what the model zoo's `REQUIREMENTS_FILE` says, or None if it has none.
        extra_index: URL of a package index besides the usual one, or "".
    """
    code = f"COPY --chown={_USER} . {ZOO_DIRECTORY}\n"
    parts = [f"# Made by elasticdl zoo init, and yours to change.\nFROM {base_image}\n"]
    if requirements is None:
        parts.append(code)
    elif _OTHER_FILES.search(requirements):
        # They name files of the model zoo, which have to be there.
        parts += [code, _install(extra_index)]
    else:
        parts.append(
            f"# Before the code, so that a change of code does not install them again.\n"
            f"COPY {REQUIREMENTS_FILE} {ZOO_DIRECTORY}/\n{_install(extra_index)}"
        )
        parts.append(code)
    return "\n".join(parts)


def _install(extra_index: str) -> str:
    index = f" --extra-index-url {shlex.quote(extra_index)}" if extra_index else ""
    return (
        "USER root\n"
        f"RUN cd {ZOO_DIRECTORY} \\\n"
        f"    && pip install --no-cache-dir --root-user-action ignore{index} \\\n"
        f"      --requirement {REQUIREMENTS_FILE} \\\n"
        "    && pip check\n"
        f"USER {_USER}\n"
    )


def check_index_url(url: str, flag: str) -> None:
    """Makes sure that a URL may stand in a Dockerfile.

    Raises:
        ConfigError: it is none, or has a password, which everybody who has the image could read.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ConfigError(f"{flag} {url!r} is no URL: {error}") from error
    if parts.username is not None:
        raise ConfigError(
            f"{flag}: the URL of {parts.hostname} has credentials, which all could read who have "
            "the image; leave them out, and let the Dockerfile give pip a build secret"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"\s", url):
        raise ConfigError(f"{flag} {url!r} is no URL of a package index, such as https://…/simple")


def choose_tool(wanted: str | None, installed: Collection[str]) -> str:
    """Returns the program that is to make images.

    Args:
        wanted: the one that the user has chosen, if any.
        installed: those of `TOOLS` that are there.

    Raises:
        ImageError: none is there.
        ConfigError: the chosen one is not.
    """
    found = [tool for tool in TOOLS if tool in installed]
    if wanted and wanted not in found:
        others = f"; there is {' and '.join(found)}" if found else ""
        raise ConfigError(f"--tool {wanted}: there is no {wanted} in PATH{others}")
    if not found:
        raise ImageError(
            f"none of {', '.join(TOOLS)} is in PATH, and images are made by one of them; install "
            "one, such as podman with the package manager of this machine"
        )
    return wanted or found[0]


def build_command(tool: str, image: str, directory: Path) -> list[str]:
    """Returns the command that builds the image of the model zoo in an absolute directory."""
    # The others keep the layers of earlier builds by themselves, and prefer files of other names.
    layers = ["--layers"] if tool == "buildah" else []
    file = str(directory / DOCKERFILE)
    return [tool, "build", *layers, "--file", file, "--tag", image, str(directory)]


def push_command(tool: str, image: str) -> list[str]:
    """Returns the command that pushes an image to the registry that its name says."""
    return [tool, "push", image]


def lacks_requirements(text: str) -> bool:
    """Returns whether a Dockerfile says nothing of the model zoo's `REQUIREMENTS_FILE`."""
    return REQUIREMENTS_FILE not in text
