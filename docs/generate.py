"""Rewrites the generated parts of the documentation, in place.

    python docs/generate.py            rewrite what is stale
    python docs/generate.py --check    change nothing; exit 1 and name the files that are stale

A generated part stands between `<!-- generated: NAME -->` and `<!-- end -->`, each on a line of
its own. To add one, write the markers into the file, write a function that returns the text
between them, and add both to `PARTS`.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from elasticdl_like.cli.compatibility.entries import ElasticdlFlag, Verdict
from elasticdl_like.cli.compatibility.flags import FLAGS_BY_THEME
from elasticdl_like.cli.compatibility.model_names import MODEL_NAMES_BY_PLACE
from elasticdl_like.cli.main import elasticdl

DOCS = Path(__file__).resolve().parent

_VERDICTS: Mapping[Verdict, str] = {
    Verdict.WORKS: "works",
    Verdict.WARNING: "warning",
    Verdict.REFUSED: "**refused**",
}


def flag_tables() -> str:
    """Returns the tables of ElasticDL's flags, one for each theme."""
    return "\n\n".join(
        _section(
            theme,
            ("Flag", "Here", "Note"),
            ((f"`{flag.name}`", _VERDICTS[flag.verdict], _flag_note(flag)) for flag in flags),
        )
        for theme, flags in FLAGS_BY_THEME.items()
    )


def model_name_tables() -> str:
    """Returns the tables of the names of model definition files, one for each place."""
    return "\n\n".join(
        _section(
            place,
            ("Name", "Here", "Note"),
            ((f"`{name.name}`", _VERDICTS[name.verdict], name.note) for name in names),
        )
        for place, names in MODEL_NAMES_BY_PLACE.items()
    )


def command_reference() -> str:
    """Returns the help of every command, with its arguments and flags; hidden ones left out."""
    return "\n\n".join(
        section
        for path, command in commands(elasticdl, ("elasticdl",))
        for section in _command_sections(path, command)
    )


def commands(
    command: click.Command, path: tuple[str, ...]
) -> Iterable[tuple[tuple[str, ...], click.Command]]:
    """Yields a command and every command below it, each with its words."""
    yield path, command
    if isinstance(command, click.Group):
        for name in sorted(command.commands):
            yield from commands(command.commands[name], (*path, name))


@dataclass(frozen=True)
class Part:
    """A generated part of one file.

    Attributes:
        file: the file's name in `docs/`.
        name: the name in the marker.
        render: returns the text between the markers.
    """

    file: str
    name: str
    render: Callable[[], str]


PARTS: Sequence[Part] = (
    Part("from_elasticdl.md", "flags", flag_tables),
    Part("from_elasticdl.md", "model names", model_name_tables),
    Part("cli.md", "commands", command_reference),
)


def stale_files() -> dict[Path, str]:
    """Returns the files whose generated parts are not fresh, each with its fresh text."""
    fresh: dict[Path, str] = {}
    for part in PARTS:
        path = DOCS / part.file
        text = fresh[path] if path in fresh else path.read_text(encoding="utf-8")
        fresh[path] = _replace_part(text, part, path)
    return {path: text for path, text in fresh.items() if text != path.read_text(encoding="utf-8")}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the script; returns its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when stale")
    check = parser.parse_args(arguments).check
    stale = stale_files()
    for path, text in stale.items():
        if check:
            print(f"{path} is stale: run python docs/generate.py", file=sys.stderr)
        else:
            path.write_text(text, encoding="utf-8")
            print(f"{path} rewritten")
    return 1 if check and stale else 0


def _replace_part(text: str, part: Part, path: Path) -> str:
    start_marker, end_marker = f"<!-- generated: {part.name} -->\n", "<!-- end -->"
    before, found, rest = text.partition(start_marker)
    _, end_found, after = rest.partition(end_marker)
    if not found or not end_found:
        raise SystemExit(f"{path} lacks {start_marker.strip()} or the {end_marker} after it")
    return f"{before}{start_marker}\n{part.render().strip()}\n\n{end_marker}{after}"


def _section(heading: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"### {heading}", "", _row(columns), _row(["---"] * len(columns))]
    lines += [_row(row) for row in rows]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    escaped = (cell.replace("|", r"\|") for cell in cells)
    return "| " + " | ".join(escaped).rstrip() + " |"


def _flag_note(flag: ElasticdlFlag) -> str:
    sentences = [flag.note] if flag.note else []
    if "train" not in flag.commands:
        sentences.append(f"(Of ElasticDL's {' and '.join(flag.commands)}.)")
    if flag.harmless_values:
        values = " or ".join(f"`{value}`" for value in flag.harmless_values)
        sentences.append(f"Accepted when it is {values}.")
    return " ".join(sentences)


def _command_sections(path: Sequence[str], command: click.Command) -> Iterable[str]:
    context = click.Context(command, info_name=" ".join(path))
    yield f"## `{context.info_name}`"
    yield inspect.cleandoc(command.help or "")
    yield f"    {context.info_name} {' '.join(command.collect_usage_pieces(context))}"
    if isinstance(command, click.Group):
        return
    options = [
        each for each in command.params if isinstance(each, click.Option) and not each.hidden
    ]
    yield "\n".join(
        [
            _row(("Flag", "Default", "Environment variable", "Help")),
            _row(["---"] * 4),
            *(_row(_option_cells(each)) for each in options),
        ]
    )


def _option_cells(option: click.Option) -> Sequence[str]:
    values = "" if option.is_flag else f" {_values(option.type)}"
    names = [f"`{name}{values}`" for name in (*option.opts, *option.secondary_opts)]
    default = "required" if option.required else _default(option)
    variable = f"`{option.envvar}`" if option.envvar else ""
    return ", ".join(names), default, variable, option.help or ""


def _values(kind: click.ParamType) -> str:
    if isinstance(kind, click.Choice):
        return "|".join(map(str, kind.choices))
    if isinstance(kind, click.IntRange) or kind is click.INT:
        return "INTEGER"
    return "NUMBER" if isinstance(kind, click.FloatRange) else "TEXT"


def _default(option: click.Option) -> str:
    if option.is_flag:
        chosen = option.opts if option.default is True else option.secondary_opts
        return f"`{chosen[0]}`" if chosen else ""
    default = option.to_info_dict()["default"]
    return "" if default in (None, "") else f"`{default}`"


if __name__ == "__main__":
    sys.exit(main())
