"""Flags of the form `name=value,name=value`: labels, annotations, environment variables."""

from __future__ import annotations

import json
import re
from pathlib import Path

from elasticdl_like.errors import ConfigError

_PREFIX = r"([a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?/)?"
_LABEL_NAME = re.compile(rf"{_PREFIX}[A-Za-z0-9]([-._A-Za-z0-9]{{0,61}}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?)?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# A comma inside a value stays there, as long as no name and equals sign follow.
_NEXT_LINE = re.compile("\n")
_NEXT_VARIABLE = re.compile(r",\s*(?=[A-Za-z_][A-Za-z0-9_]*=)")
_NEXT_ANNOTATION = re.compile(r",\s*(?=[-./\w]+=)")


def parse_pairs(
    text: str, flag: str, separator: re.Pattern[str] = re.compile(",")
) -> dict[str, str]:
    """Parses `name=value,name=value`.

    Args:
        text: the value of the flag.
        flag: its name, for the error message.
        separator: what is between two pairs.

    Raises:
        ConfigError: a part is not of this form, or a name is there twice.
    """
    pairs: dict[str, str] = {}
    for part in separator.split(text):
        if not part.strip():
            continue
        name, equals, value = (each.strip() for each in part.partition("="))
        if not equals or not name:
            raise ConfigError(f"{flag}: {part.strip()!r} is not of the form name=value")
        if name in pairs:
            raise ConfigError(f"{flag}: {name!r} is given twice")
        pairs[name] = value
    return pairs


def parse_labels(text: str, flag: str, reserved: frozenset[str] = frozenset()) -> dict[str, str]:
    """Parses labels, as objects have them and nodes are chosen by.

    Args:
        text: the value of the flag.
        flag: its name, for the error message.
        reserved: names that cannot be chosen.

    Raises:
        ConfigError: the text does not parse, or the cluster would not take a name or a value.
    """
    labels = parse_pairs(text, flag)
    for name, value in labels.items():
        _check_label_name(name, flag, "a label")
        if not _LABEL_VALUE.fullmatch(value):
            raise ConfigError(
                f"{flag}: {value!r} cannot be the value of the label {name}: letters, digits and "
                "-_. inside, at most 63"
            )
        if name in reserved:
            raise ConfigError(f"{flag}: the label {name} is set by elasticdl; choose another name")
    return labels


def parse_annotations(text: str, flag: str) -> dict[str, str]:
    """Parses annotations; their values may have commas.

    Raises:
        ConfigError: the text does not parse, or the cluster would not take a name.
    """
    annotations = parse_pairs(text, flag, _NEXT_ANNOTATION)
    for name in annotations:
        _check_label_name(name, flag, "an annotation")
    return annotations


def parse_environment(text: str, flag: str) -> dict[str, str]:
    """Parses environment variables.

    Three forms: `NAME=value,NAME2=value2` with commas allowed in values, a JSON object, or `@file`
    with either of them inside, or with a variable in each line and lines of comments with `#`.

    Raises:
        ConfigError: the text does not parse, or something cannot be the name of a variable.
    """
    if text.startswith("@"):
        try:
            text = Path(text[1:]).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{flag}: cannot read {text[1:]!r}: {error}") from error
    variables: dict[str, str]
    if text.startswith("{"):
        try:
            variables = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{flag}: not a JSON object: {error}") from error
    elif "\n" in text:
        lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
        variables = parse_pairs("\n".join(lines), flag, _NEXT_LINE)
    else:
        variables = parse_pairs(text, flag, _NEXT_VARIABLE)
    for name, value in variables.items():
        if not _VARIABLE.fullmatch(name):
            raise ConfigError(f"{flag}: {name!r} cannot be the name of an environment variable")
        if not isinstance(value, str):
            raise ConfigError(f"{flag}: the value of {name} is not a string; put it in quotes")
    return variables


def parse_names(text: str, flag: str) -> tuple[str, ...]:
    """Parses names of objects, `name,name`.

    Raises:
        ConfigError: something cannot be the name of an object.
    """
    names = tuple(name for name in (part.strip() for part in text.split(",")) if name)
    for name in names:
        if len(name) > 253 or not re.fullmatch(r"[a-z0-9]([-.a-z0-9]*[a-z0-9])?", name):
            raise ConfigError(f"{flag}: {name!r} cannot be the name of an object of the cluster")
    return names


def _check_label_name(name: str, flag: str, what: str) -> None:
    if not _LABEL_NAME.fullmatch(name):
        raise ConfigError(
            f"{flag}: {name!r} cannot be the name of {what}, such as team or example.com/team"
        )
