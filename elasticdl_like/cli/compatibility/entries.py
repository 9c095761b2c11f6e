"""A name of ElasticDL, a flag or one of the model definition file, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What happens to a name of ElasticDL."""

    WORKS = "works"
    WARNING = "warning"  # accepted, and has no effect
    REFUSED = "refused"


_TRUE_WORDS = ("true", "yes", "t", "y")


@dataclass(frozen=True)
class ElasticdlFlag:
    """A command-line flag of ElasticDL.

    Attributes:
        name: the flag, with its two dashes.
        verdict: what happens to it here.
        note: works: what differs, or "" when nothing does; warning: why it has no effect;
            refused: the reason, and what to use instead. Whole sentences.
        is_boolean: whether the value may be left out, which means true. Of the values, "true",
            "yes", "t" and "y" mean true and all others false.
        harmless_values: values of a refused flag that ask for what happens here anyway.
        commands: the commands or processes of ElasticDL that took it. "train" stands for
            `evaluate` and `predict` too.
    """

    name: str
    verdict: Verdict
    note: str = ""
    is_boolean: bool = False
    harmless_values: tuple[str, ...] = ()
    commands: tuple[str, ...] = ("train",)

    def verdict_of(self, value: str | None) -> Verdict:
        """Returns what happens to the flag with this value; None is a boolean's left-out value."""
        if self.is_boolean:
            is_true = value is None or value.lower() in _TRUE_WORDS
            value = "true" if is_true else "false"
        return Verdict.WORKS if value in self.harmless_values else self.verdict

    @property
    def message(self) -> str:
        """What a user who gives the flag is told, or "" for nothing."""
        match self.verdict:
            case Verdict.WARNING:
                return f"{self.name} has no effect. {self.note}"
            case Verdict.REFUSED:
                return f"{self.name} is not supported. {self.note}"
            case _:
                return ""


@dataclass(frozen=True)
class ModelName:
    """A name that ElasticDL's model definition files define, use or import.

    Attributes:
        name: the name.
        verdict: what happens to it here.
        note: as for `ElasticdlFlag`.
    """

    name: str
    verdict: Verdict
    note: str = ""


def works(name: str, note: str = "", *, commands: tuple[str, ...] = ("train",)) -> ElasticdlFlag:
    """Returns a flag that works; the note says what differs."""
    return ElasticdlFlag(name, Verdict.WORKS, note, commands=commands)


def warning(
    name: str, note: str, *, is_boolean: bool = False, commands: tuple[str, ...] = ("train",)
) -> ElasticdlFlag:
    """Returns a flag that is accepted and has no effect; the note says why."""
    return ElasticdlFlag(name, Verdict.WARNING, note, is_boolean, commands=commands)


def refused(
    name: str,
    note: str,
    *,
    is_boolean: bool = False,
    unless: tuple[str, ...] = (),
    commands: tuple[str, ...] = ("train",),
) -> ElasticdlFlag:
    """Returns a flag that is refused, but for the values `unless`; the note says why."""
    return ElasticdlFlag(name, Verdict.REFUSED, note, is_boolean, unless, commands)
