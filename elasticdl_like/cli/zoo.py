"""`elasticdl zoo init`, `build` and `push`: images of model zoos."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import click

from elasticdl_like.cli.compatibility.zoo_flags import NOT_FOR_ZOO_INIT, NOT_FOR_ZOO_TOOLS
from elasticdl_like.cli.elasticdl_flags import elasticdl_flags
from elasticdl_like.cli.flag import option
from elasticdl_like.errors import ConfigError, ImageError
from elasticdl_like.platforms.kubernetes.image_names import ImageName, parse_image_name
from elasticdl_like.platforms.kubernetes.zoo_image import (
    DEFAULT_BASE_IMAGE,
    DOCKERFILE,
    IGNORE_FILE,
    IGNORED,
    REQUIREMENTS_FILE,
    TOOLS,
    ZOO_DIRECTORY,
    build_command,
    check_index_url,
    choose_tool,
    dockerfile,
    lacks_requirements,
    push_command,
)
from elasticdl_like.process_end import describe_end

_tool_option = option(
    "--tool",
    type=click.Choice(TOOLS),
    help=f"The program to call; by default the first that is there of {', '.join(TOOLS)}.",
)


@click.group()
def zoo() -> None:
    """Makes images of model zoos, for jobs on Kubernetes.

    A small model zoo needs none: its files travel with the job. An image is for one that is large,
    or that needs other Python packages.
    """


@zoo.command()
@click.argument("path", default=".")
@option(
    "--base_image",
    default=DEFAULT_BASE_IMAGE,
    help="The image to start from, which has elasticdl, TensorFlow and pip. None is published: "
    f"docker build --tag {DEFAULT_BASE_IMAGE} . in a checkout of elasticdl makes one.",
)
@option(
    "--extra_pypi_index",
    default="",
    metavar="URL",
    help=f"A package index for {REQUIREMENTS_FILE}, besides PyPI.",
)
@option("--overwrite", is_flag=True, help=f"Replace a {DOCKERFILE} that is there.")
@elasticdl_flags(NOT_FOR_ZOO_INIT)
def init(path: str, base_image: str, extra_pypi_index: str, overwrite: bool) -> None:
    """Writes a Dockerfile for the image of a model zoo.

    PATH is the folder of the model zoo, by default the current one. The image has its files in
    /model_zoo, and the packages of its requirements.txt if there is one. Change the Dockerfile as
    you like. A .dockerignore that is there stays as it is.
    """
    parse_image_name(base_image, "--base_image")
    if extra_pypi_index:
        check_index_url(extra_pypi_index, "--extra_pypi_index")
    directory = _model_zoo(path)
    requirements = _read(directory / REQUIREMENTS_FILE)
    if extra_pypi_index and requirements is None:
        _warn(f"--extra_pypi_index has no effect: there is no {directory / REQUIREMENTS_FILE}")
    text = dockerfile(base_image, requirements, extra_pypi_index)
    if not _write(directory / DOCKERFILE, text, overwrite):
        raise ConfigError(
            f"{directory / DOCKERFILE} is there already; --overwrite replaces it, "
            "elasticdl zoo build uses it as it is"
        )
    written = [directory / DOCKERFILE]
    if _write(directory / IGNORE_FILE, IGNORED, overwrite=False):
        written.append(directory / IGNORE_FILE)
    click.echo(f"wrote {' and '.join(map(str, written))}; next:")
    click.echo(f"  elasticdl zoo build --image REGISTRY/NAME:TAG {shlex.quote(path)}")


@zoo.command()
@click.argument("path", default=".")
@option("--image", required=True, help="The name that the image gets, REGISTRY/NAME:TAG.")
@_tool_option
@elasticdl_flags(NOT_FOR_ZOO_TOOLS)
def build(path: str, image: str, tool: str | None) -> None:
    """Builds the image of a model zoo, with docker, podman or buildah.

    PATH is the folder of the model zoo, by default the current one. It has a Dockerfile, such as
    the one that elasticdl zoo init writes.
    """
    name = _name_of_new_image(image, "--image")
    directory = _model_zoo(path)
    text = _read(directory / DOCKERFILE)
    if text is None:
        raise ConfigError(
            f"there is no {directory / DOCKERFILE}; elasticdl zoo init {shlex.quote(path)} makes "
            "one"
        )
    if lacks_requirements(text) and _read(directory / REQUIREMENTS_FILE) is not None:
        _warn(
            f"{directory / DOCKERFILE} does not install {REQUIREMENTS_FILE}; "
            f"elasticdl zoo init --overwrite {shlex.quote(path)} makes one that does"
        )
    if name.moves:
        _warn(
            f"--image {image}: a node that has an older image of this name keeps it; better give "
            f"each build a tag of its own, such as {image.removesuffix(':latest')}:1"
        )
    _run_tool(tool, lambda chosen: build_command(chosen, image, directory.absolute()))
    if name.can_be_pushed:
        click.echo(f"built {image}; next:\n  elasticdl zoo push {image}")
    else:
        click.echo(
            f"built {image}, which without a registry in its name cannot be pushed, only loaded "
            f"into nodes, as with kind load docker-image {image}; then:"
        )
        _show_train(image)


@zoo.command()
@click.argument("image")
@_tool_option
@elasticdl_flags(NOT_FOR_ZOO_TOOLS)
def push(image: str, tool: str | None) -> None:
    """Pushes IMAGE to the registry in its name.

    A registry that asks for a password needs a login first, such as docker login.
    """
    name = _name_of_new_image(image, "IMAGE")
    if not name.can_be_pushed:
        raise ConfigError(
            f"IMAGE {image!r} has no registry in its name, so it cannot be pushed; build it with "
            f"elasticdl zoo build --image REGISTRY/{image}"
        )
    _run_tool(tool, lambda chosen: push_command(chosen, image))
    click.echo(f"pushed {image}; next:")
    _show_train(image)


def _show_train(image: str) -> None:
    click.echo(
        f"  elasticdl train --platform kubernetes --image_name {image} "
        f"--model_zoo {ZOO_DIRECTORY} --model_def …"
    )


def _name_of_new_image(text: str, flag: str) -> ImageName:
    name = parse_image_name(text, flag)
    if name.digest:
        raise ConfigError(f"{flag} {text!r}: give a tag, as a digest comes from the image itself")
    return name


def _model_zoo(path: str) -> Path:
    directory = Path(path)
    try:
        if not directory.exists():
            raise ConfigError(f"there is no folder {path}; give that of the model zoo")
        if not directory.is_dir():
            raise ConfigError(f"{path} is a file; give the folder that has the model zoo")
        next(directory.iterdir(), None)  # fails if it may not be read, which a search passes over
        if next(directory.rglob("*.py"), None) is None:
            _warn(f"{path} has no .py file, so no model definition")
    except OSError as error:
        raise ConfigError(f"cannot read {error.filename}: {error.strerror}") from error
    return directory


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no text in UTF-8: {error}") from error


def _write(path: Path, text: str, overwrite: bool) -> bool:
    """Writes a file; returns False if it is there already and is not to be overwritten."""
    try:
        with path.open("w" if overwrite else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error
    return True


def _warn(text: str) -> None:
    click.echo(f"elasticdl: warning: {text}", err=True)


def _run_tool(wanted: str | None, command_of: Callable[[str], list[str]]) -> None:
    """Runs a command of a tool, whose output is that of this command."""
    installed = [tool for tool in TOOLS if shutil.which(tool)]
    command = command_of(choose_tool(wanted, installed))
    click.echo(f"elasticdl: {shlex.join(command)}", err=True)
    try:
        process = subprocess.Popen(command)
    except OSError as error:
        raise ImageError(f"{command[0]} cannot be run: {error.strerror}") from error
    try:
        exit_code = process.wait()
    except KeyboardInterrupt:
        # A signal to this process alone has not reached the tool, which has things to clean up.
        process.terminate()
        process.wait()
        raise
    if exit_code != 0:
        others = "" if wanted else " and ".join(installed[1:])
        hint = f"; with --tool there is {others} as well" if others else ""
        raise ImageError(
            f"{shlex.join(command[:2])} {describe_end(exit_code)}; what it said is above{hint}"
        )
