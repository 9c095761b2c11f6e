"""PriorityClasses of pods, and which workers get which."""

from __future__ import annotations

import math
import re
from fractions import Fraction

from elasticdl_like.errors import ConfigError
from elasticdl_like.platforms.kubernetes.settings import Priority

_CLASS_NAME = re.compile(r"[a-z0-9]([-.a-z0-9]*[a-z0-9])?")


def parse_priority(text: str, flag: str) -> Priority:
    """Parses the PriorityClass of a kind of pods.

    `CLASS` for all; `CLASS=FRACTION` for a part of them, the rest having the cluster's default;
    `CLASS=FRACTION,OTHER` to name the class of the rest.

    Args:
        text: the value of the flag.
        flag: its name, for the error message.

    Raises:
        ConfigError: the text does not parse.
    """
    if not text:
        return Priority()
    if text.replace(".", "", 1).isdecimal():
        raise ConfigError(f"{flag} {text}: {text} of the pods get which class? Write high={text}")
    first, comma, other = text.partition(",")
    class_name, equals, number = (part.strip() for part in first.partition("="))
    fraction = 1.0
    if equals:
        try:
            fraction = float(number)
        except ValueError as error:
            raise ConfigError(f"{flag} {text!r}: {number!r} is not a number") from error
        if not 0 < fraction <= 1:
            raise ConfigError(f"{flag} {text!r}: the part {number} is not above 0 and up to 1")
    if comma and not equals:
        raise ConfigError(
            f"{flag} {text!r}: which part of the pods gets {class_name!r}? Write "
            f"{class_name}=0.5,{other.strip()}"
        )
    for name in (class_name, other.strip()) if comma else (class_name,):
        if len(name) > 253 or not _CLASS_NAME.fullmatch(name):
            raise ConfigError(
                f"{flag} {text!r}: {name!r} cannot be the name of a PriorityClass; write CLASS, "
                "CLASS=FRACTION or CLASS=FRACTION,CLASS_OF_THE_REST"
            )
    return Priority(class_name, fraction, other.strip())


def class_of_worker(priority: Priority, worker_id: int) -> str:
    """Returns the PriorityClass of a worker, or "" for the cluster's default.

    Of the first n workers the fraction, rounded up, has the class, whatever n is: it does not
    change for a worker when the job is scaled.
    """
    fraction = Fraction(str(priority.fraction))
    has_class = math.ceil((worker_id + 1) * fraction) > math.ceil(worker_id * fraction)
    return priority.class_name if has_class else priority.other_class_name
