"""Resources of a pod: `cpu=1,memory=4Gi,disk=10Gi,gpu=1`, or the full names of Kubernetes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

from elasticdl_like.errors import ConfigError
from elasticdl_like.platforms.kubernetes.pairs import parse_pairs

_SHORT_NAMES = {"disk": "ephemeral-storage", "gpu": "nvidia.com/gpu"}
_MEMORY, _DISK, _CPU = "memory", "ephemeral-storage", "cpu"
_EXTENDED_NAME = re.compile(
    r"([a-z0-9]([-.a-z0-9]*[a-z0-9])?)/[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?"
)
_QUANTITY = re.compile(
    r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,2})?"
)
_THOUSANDS = {"n": -3, "u": -2, "m": -1, "": 0, "k": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_LEAST_BYTES = 1 << 20


def quantity(text: str) -> Fraction | None:
    """Returns the number that a quantity of Kubernetes stands for, or None if it is not one."""
    found = _QUANTITY.fullmatch(text)
    if found is None:
        return None
    number, suffix = Fraction(found[1].rstrip(".") or 0), found[2] or ""
    base, exponent = 10, 0
    if suffix in _BINARY:
        base, exponent = 1024, _BINARY[suffix]
    elif suffix in _THOUSANDS:
        base, exponent = 1000, _THOUSANDS[suffix]
    else:
        exponent = int(suffix[1:])
    factor: int = base ** abs(exponent)
    return number * factor if exponent >= 0 else number / factor


def parse_resources(text: str, flag: str) -> dict[str, str]:
    """Parses `name=quantity,name=quantity`.

    Args:
        text: the value of the flag.
        flag: its name, for the error message.

    Returns:
        The full name of each resource, and its quantity as it was written.

    Raises:
        ConfigError: the text does not parse, a name is not known or a quantity makes no sense.
    """
    resources: dict[str, str] = {}
    for written, amount in parse_pairs(text, flag).items():
        name = _SHORT_NAMES.get(written, written)
        if name in resources:
            raise ConfigError(f"{flag}: {name} is given twice, under two names, in {text!r}")
        resources[name] = _checked(name, amount, f"{flag}: {written}={amount}")
    return resources


def requests_and_limits(
    requests: str, limits: str, flags: tuple[str, str], defaults: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Returns what is set aside for a pod, and the most that it can use.

    What is not requested is taken from the defaults, or from the limit where that is lower. A
    limit that is left out is what is requested; of processors there is then no limit, for a
    pod that may use idle ones starts faster.

    Args:
        requests: the value of the flag for the requests.
        limits: the value of the flag for the limits.
        flags: the names of both, for the error message.
        defaults: requests of what neither names.

    Raises:
        ConfigError: a value does not parse, or more is requested than the limit.
    """
    asked, most = parse_resources(requests, flags[0]), parse_resources(limits, flags[1])
    for name, amount in defaults.items():
        if name not in asked:
            lower = name in most and _number(most[name]) < _number(amount)
            asked[name] = most[name] if lower else amount
    for name, amount in most.items():
        if name in asked and _number(asked[name]) > _number(amount):
            raise ConfigError(
                f"{flags[0]} {name}={asked[name]} is more than {flags[1]} {name}={amount}"
            )
    for name in sorted(name for name in {**asked, **most} if "/" in name):
        if name in asked and name in most and _number(asked[name]) != _number(most[name]):
            raise ConfigError(
                f"{flags[0]} {name}={asked[name]} differs from {flags[1]} {name}={most[name]}; "
                "devices cannot be shared, so leave one of the two out"
            )
    return asked, {**{name: n for name, n in asked.items() if name != _CPU}, **most}


def _number(amount: str) -> Fraction:
    number = quantity(amount)
    assert number is not None  # parse_resources has seen it
    return number


def _checked(name: str, amount: str, where: str) -> str:
    is_known = name in (_CPU, _MEMORY, _DISK) or name.startswith("hugepages-")
    if not is_known and not _EXTENDED_NAME.fullmatch(name):
        raise ConfigError(
            f"{where}: there is no resource {name!r}; there is cpu, memory, disk, gpu, and full "
            "names such as example.com/device"
        )
    number = quantity(amount)
    if number is None:
        raise ConfigError(
            f"{where}: {amount!r} is not a quantity of Kubernetes, such as 0.5, 500m, 4Gi or 4G"
        )
    if name in (_MEMORY, _DISK) and number < _LEAST_BYTES:
        raise ConfigError(
            f"{where}: that is less than one MiB ({float(number):g} bytes); write 512Mi or 4Gi"
        )
    if number <= 0 and name == _CPU:
        raise ConfigError(f"{where}: a pod without any processor would never run")
    if "/" in name and number.denominator != 1:
        raise ConfigError(f"{where}: a device cannot be divided; write a whole number")
    return amount
