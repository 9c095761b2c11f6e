"""`elasticdl zoo build` makes a real image, with whichever of docker, podman and buildah works.

It starts from a tiny image, in which pip is a script. Images of podman and buildah are kept apart
from the machine's.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from elasticdl_command import RunElasticdl
from elasticdl_like.platforms.kubernetes.zoo_image import TOOLS

pytestmark = pytest.mark.kubernetes

_PIP = """\
#!/bin/sh
test -f requirements.txt && echo "$@" > /pip-$1
"""
_BASE = """\
FROM scratch
COPY sh pip /bin/
COPY passwd /etc/
USER 1000:1000
"""


class Tool:
    """One of docker, podman and buildah, and the images that it makes for a test."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.base_image = f"elasticdl-test-base:{uuid.uuid4().hex}"
        self._images = [self.base_image]
        self._directory = directory

    def new_image(self) -> str:
        """Returns the name of an image that is removed after the test."""
        image = f"elasticdl-test-zoo:{uuid.uuid4().hex}"
        self._images.append(image)
        return image

    def build_base(self, busybox: str) -> str:
        """Makes the image that a zoo's starts from; returns "", or why the tool does not work."""
        folder = self._directory / f"base-{self.name}"
        folder.mkdir()
        shutil.copy(busybox, folder / "sh")
        (folder / "pip").write_text(_PIP)
        (folder / "pip").chmod(0o755)
        (folder / "passwd").write_text("root:x:0:0::/:/bin/sh\n")
        (folder / "Dockerfile").write_text(_BASE)
        return self._call("build", "--tag", self.base_image, folder)

    def files_and_settings(self, image: str) -> tuple[dict[str, tarfile.TarInfo], dict[str, Any]]:
        """Returns the files of an image by name, and its settings, such as User."""
        archive = self._directory / "image.tar"
        save = {"buildah": ("push", image, f"docker-archive:{archive}")}
        problem = self._call(*save.get(self.name, ("save", "--output", archive, image)))
        assert not problem, problem
        with tarfile.open(archive) as parts:

            def part(name: str) -> Any:
                content = parts.extractfile(name)
                assert content is not None
                return content

            (manifest,) = json.load(part("manifest.json"))
            settings = json.load(part(manifest["Config"]))["config"]
            files = {}
            for layer in manifest["Layers"]:
                with tarfile.open(fileobj=part(layer)) as members:
                    files.update({f"/{each.name.removeprefix('./')}": each for each in members})
        return files, settings

    def remove_images(self) -> None:
        for image in self._images:
            self._call("rmi", "--force", image)

    def _call(self, *arguments: object) -> str:
        command = [self.name, *map(str, arguments)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=100)
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return f"{self.name}: {said[-1]}" if done.returncode else ""


@pytest.fixture
def tool(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Tool]:
    directory = tmp_path_factory.mktemp("images")
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("there is no busybox, of which the base image is made")
    storage = directory / "storage.conf"
    storage.write_text(
        f'[storage]\ndriver = "vfs"\nrunroot = "{directory}/run"\ngraphroot = "{directory}/root"\n'
    )
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(storage))
    # Needs no control groups, and no rights that a machine may keep from its root.
    monkeypatch.setenv("BUILDAH_ISOLATION", "chroot")
    problems = []
    for name in filter(shutil.which, TOOLS):
        tool = Tool(name, directory)
        problem = tool.build_base(busybox)
        if not problem:
            try:
                yield tool
            finally:
                tool.remove_images()
            return
        problems.append(problem)
    pytest.skip(f"no docker, podman or buildah works: {'; '.join(problems) or 'none is there'}")


def test_the_image_has_the_zoo_and_its_packages(
    tool: Tool, tmp_path: Path, run_elasticdl: RunElasticdl
) -> None:
    zoo = tmp_path / "zoo"
    (zoo / "vision" / "__pycache__").mkdir(parents=True)
    (zoo / "vision" / "model.py").write_text("private = True\n")
    (zoo / "vision" / "model.py").chmod(0o600)
    (zoo / "vision" / "__pycache__" / "model.cpython-311.pyc").write_bytes(b"")
    (zoo / ".git").mkdir()
    (zoo / ".git" / "config").write_text("")
    (zoo / "requirements.txt").write_text("scikit-learn\n")
    image = tool.new_image()

    done = run_elasticdl("zoo", "init", "--base_image", tool.base_image, "zoo")
    assert done.exit_code == 0, done.stderr
    done = run_elasticdl("zoo", "build", "--tool", tool.name, "--image", image, "zoo", timeout=100)
    assert done.exit_code == 0, done.stderr
    assert f"--image_name {image} --model_zoo /model_zoo" in done.stdout

    files, settings = tool.files_and_settings(image)
    assert {name for name in files if name.startswith("/model_zoo/") and files[name].isfile()} == {
        "/model_zoo/vision/model.py",
        "/model_zoo/requirements.txt",
    }
    # The pods' user can read them, whoever else may.
    assert files["/model_zoo/vision/model.py"].uid == 1000
    assert settings["User"] == "1000:1000"
    assert {"/pip-install", "/pip-check"} <= set(files)
