"""The documentation holds what is there: commands that parse, links that lead somewhere."""

import ast
import re
import shlex
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

from elasticdl_like.cli.main import elasticdl
from elasticdl_like.testing import check_data_reader

ROOT = Path(__file__).parents[3]
PAGES = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "model_zoo").glob("*/README.md")),
)


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


def commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for each in command.commands.values():
            yield from commands(each, f"{name} {each.name}")


COMMANDS = dict(commands(elasticdl, "elasticdl"))
LEAVES = {name: each for name, each in COMMANDS.items() if not isinstance(each, click.Group)}


def shown_commands(page: Path) -> list[str]:
    """The command lines in the indented and fenced blocks of a page, but not lines of usage."""
    text = page.read_text("utf-8").replace("\\\n", " ")
    lines = re.findall(r"^(?: {4}|\$ )(?:\$ )?(elasticdl [^\n]*)", text, re.MULTILINE)
    return [line for line in lines if "[OPTIONS]" not in line]


def python_blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def reader_class(source: str) -> ast.ClassDef:
    (found,) = [
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef) and node.name == "CustomDataReader"
    ]
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    assert re.fullmatch(r"[A-Z].*\.\s*", COMMANDS[name].help or "", re.DOTALL)


@pytest.mark.parametrize("name", LEAVES)
def test_every_flag_has_help(name: str) -> None:
    for option in LEAVES[name].params:
        if isinstance(option, click.Option) and not option.hidden:
            assert re.fullmatch(r"[A-Z].*\.", option.help or ""), option.name


@pytest.mark.parametrize("name", ["train", "master", "worker"])
def test_every_flag_of_a_job_has_an_environment_variable(name: str) -> None:
    for option in elasticdl.commands[name].params:
        if isinstance(option, click.Option) and not option.hidden:
            assert f"ELASTICDL_{option.opts[0].lstrip('-').upper()}" == option.envvar


def test_every_command_and_flag_is_in_the_reference() -> None:
    sections = re.split(r"^## ", (ROOT / "docs" / "cli.md").read_text("utf-8"), flags=re.MULTILINE)
    by_title = {section.partition("\n")[0]: section for section in sections}
    for name, command in LEAVES.items():
        for option in command.params:
            if isinstance(option, click.Option):
                for flag in (*option.opts, *option.secondary_opts):
                    shown = re.search(rf"`{flag}[ `]", by_title[f"`{name}`"])
                    assert bool(shown) is not option.hidden, f"{name} {flag}"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_commands_in_the_documentation_are_understood(page: Path) -> None:
    for line in shown_commands(page):
        words = shlex.split(line, comments=True)[1:]
        command: click.Command = elasticdl
        while isinstance(command, click.Group):
            assert words, line
            assert words[0] in command.commands, line
            command = command.commands[words.pop(0)]
        command.make_context(line, [word for word in words if word != "…"])


def test_readme_begins_with_the_two_commands() -> None:
    first_screen = (ROOT / "README.md").read_text("utf-8").splitlines()[:25]
    for target in ("make train", "make test"):
        assert any(line.strip().startswith(target) for line in first_screen)


def test_readme_shows_the_training_command_in_action() -> None:
    assert any(line.startswith("elasticdl train") for line in shown_commands(ROOT / "README.md"))


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text("utf-8")):
        if not target.startswith("https://"):
            path, _, anchor = target.partition("#")
            linked = page.parent / path if path else page
            assert linked.exists(), target
            if not anchor:
                continue
            headings = re.findall(r"^#+ (.*)$", linked.read_text("utf-8"), re.MULTILINE)
            anchors = [re.sub(r"[^a-z0-9-]", "", h.lower().replace(" ", "-")) for h in headings]
            assert anchor in anchors, target


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_python_in_the_documentation_is_python(page: Path) -> None:
    for block in python_blocks(page):
        compile(block, str(page), "exec")


@pytest.mark.parametrize("page", ["README.md", "docs/write_a_reader.md"])
def test_shown_reader_is_that_of_the_model_zoo(page: str) -> None:
    original = (ROOT / "model_zoo" / "custom_reader" / "sqlite_reader.py").read_text("utf-8")
    shown = python_blocks(ROOT / page)[0]
    assert ast.dump(reader_class(shown)) == ast.dump(reader_class(original))


def test_shown_reader_keeps_the_contract(tmp_path: Path) -> None:
    database = tmp_path / "iris.db"
    connection = sqlite3.connect(database)
    connection.execute("CREATE TABLE train (a REAL, b REAL, c REAL, d REAL, species INTEGER)")
    rows = [(index, 0.5, 1.5, 2.5, index % 3) for index in range(50)]
    connection.executemany("INSERT INTO train VALUES (?, ?, ?, ?, ?)", rows)
    connection.commit()
    connection.close()
    namespace: dict[str, Any] = {}
    exec(python_blocks(ROOT / "docs" / "write_a_reader.md")[0], namespace)
    readers: list[Any] = []

    def make_reader() -> Any:
        readers.append(namespace["CustomDataReader"]("train", database))
        return readers[-1]

    check_data_reader(make_reader)
    for reader in readers:
        reader.connection.close()


def test_shown_batch_reader_keeps_the_contract(tmp_path: Path) -> None:
    np.savez(tmp_path / "rows.npz", x=np.arange(3000.0), y=np.arange(3000.0))
    namespace: dict[str, Any] = {}
    exec(python_blocks(ROOT / "docs" / "write_a_reader.md")[1], namespace)
    check_data_reader(lambda: namespace["CustomDataReader"](tmp_path / "rows.npz"))
