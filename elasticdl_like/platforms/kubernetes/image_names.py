"""Names of images, as registries and the tools that build images take them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from elasticdl_like.errors import ConfigError

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?")
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LONGEST_REPOSITORY = 255


@dataclass(frozen=True)
class ImageName:
    """The name of an image.

    Attributes:
        registry: host and perhaps port of its registry; "" for the tool's own, which is Docker Hub.
        path: the name in the registry.
        tag: "" if there is none, which means latest.
        digest: of its content, or "".
    """

    registry: str
    path: str
    tag: str
    digest: str

    @property
    def moves(self) -> bool:
        """Whether what it names is another image after each build."""
        return not self.digest and self.tag in ("", "latest")

    @property
    def can_be_pushed(self) -> bool:
        """Whether it says where to; names of one word are those of Docker Hub's own images."""
        return bool(self.registry) or "/" in self.path


def parse_image_name(text: str, flag: str) -> ImageName:
    """Returns the parts of the name of an image: REGISTRY/PATH:TAG@DIGEST, of which PATH must be.

    Args:
        text: the name.
        flag: where it comes from, for the message.

    Raises:
        ConfigError: no image can have this name.
    """
    name, _, digest = text.partition("@")
    if "@" in text and not _DIGEST.fullmatch(digest):
        raise _wrong(text, flag, f"{digest!r} is no digest, which is sha256: and 64 digits")
    # A colon before the last slash belongs to the port of the registry.
    colon = name.find(":", name.rfind("/") + 1)
    repository, tag = (name, "") if colon < 0 else (name[:colon], name[colon + 1 :])
    if colon >= 0 and not _TAG.fullmatch(tag):
        raise _wrong(text, flag, f"{tag!r} is no tag")
    registry, slash, path = repository.partition("/")
    if not slash or not (registry == "localhost" or "." in registry or ":" in registry):
        registry, path = "", repository
    elif not _REGISTRY.fullmatch(registry):
        raise _wrong(text, flag, f"{registry!r} is no host of a registry")
    for component in path.split("/"):
        if not _COMPONENT.fullmatch(component):
            hint = "; capital letters are not allowed" if component != component.lower() else ""
            raise _wrong(text, flag, f"{component!r} cannot be a part of it{hint}")
    if len(repository) > _LONGEST_REPOSITORY:
        problem = f"it is longer than {_LONGEST_REPOSITORY} characters"
        raise _wrong(text, flag, problem)
    return ImageName(registry, path, tag, digest)


def _wrong(text: str, flag: str, problem: str) -> ConfigError:
    return ConfigError(
        f"{flag} {text!r} is no name of an image, such as registry.example/team/zoo:1: {problem}"
    )
