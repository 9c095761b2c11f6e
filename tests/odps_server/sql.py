"""The few SQL statements by which the client creates and drops tables and partitions."""

from __future__ import annotations

import re

from odps import types

from .errors import ServiceError
from .tables import Catalog, Table

_NAME = r"(?:`?(?P<project>\w+)`?\.)?(?:`?\w+`?\.)?`?(?P<table>\w+)`?"
_CREATE = re.compile(rf"CREATE TABLE (?P<if>IF NOT EXISTS )?{_NAME}\s*\(", re.IGNORECASE)
_DROP = re.compile(rf"DROP TABLE (?P<if>IF EXISTS )?{_NAME}$", re.IGNORECASE)
_ADD_PARTITION = re.compile(
    rf"ALTER TABLE {_NAME} ADD\s+(?P<if>IF NOT EXISTS\s+)?(?P<parts>PARTITION.*)$",
    re.IGNORECASE | re.DOTALL,
)
_DROP_PARTITION = re.compile(
    rf"ALTER TABLE {_NAME} DROP\s+(?P<if>IF EXISTS\s+)?(?P<parts>PARTITION.*)$",
    re.IGNORECASE | re.DOTALL,
)
_TRUNCATE = re.compile(
    rf"TRUNCATE TABLE {_NAME}(?P<parts>\s+PARTITION.*)?$", re.IGNORECASE | re.DOTALL
)
_PARTITION = re.compile(r"PARTITION\s*\(([^)]*)\)", re.IGNORECASE)
_COMMENT = re.compile(r"\s+COMMENT\s+'(?P<comment>(?:[^'\\]|\\.)*)'\s*$", re.IGNORECASE | re.DOTALL)


def execute(catalog: Catalog, project: str, statement: str) -> None:
    """Do what `statement` says.

    Raises:
        ServiceError: It cannot be done, or is no statement that this server knows.
    """
    text = statement.strip().rstrip(";").strip()
    for pattern, run in (
        (_CREATE, _create),
        (_DROP, _drop),
        (_ADD_PARTITION, _add_partitions),
        (_DROP_PARTITION, _drop_partitions),
        (_TRUNCATE, _truncate),
    ):
        match = pattern.match(text)
        if match:
            with catalog.lock:
                run(catalog, match["project"] or project, match)
            return
    raise ServiceError(
        400, "ODPS-0130161", f"ODPS-0130161:Parse exception - this server does not know: {text}"
    )


def _create(catalog: Catalog, project: str, match: re.Match[str]) -> None:
    text = match.string
    end = _closing(text, match.end() - 1)
    columns = _columns(text[match.end() : end])
    rest = text[end + 1 :]
    partitioned = re.search(r"PARTITIONED BY\s*\(", rest, re.IGNORECASE)
    partition_columns: list[types.Column] = []
    if partitioned:
        closing = _closing(rest, partitioned.end() - 1)
        partition_columns = _columns(rest[partitioned.end() : closing])
        rest = rest[: partitioned.start()]
    comment = _COMMENT.search(" " + rest.strip())
    catalog.add(
        Table(
            project,
            match["table"],
            columns,
            [types.Partition(c.name, c.type, c.comment) for c in partition_columns],
            _unescaped(comment["comment"]) if comment else "",
        ),
        if_not_exists=bool(match["if"]),
    )


def _drop(catalog: Catalog, project: str, match: re.Match[str]) -> None:
    catalog.drop(project, match["table"], if_exists=bool(match["if"]))


def _add_partitions(catalog: Catalog, project: str, match: re.Match[str]) -> None:
    table = catalog.get(project, match["table"])
    for partition in _PARTITION.findall(match["parts"]):
        table.add_part(partition, if_not_exists=bool(match["if"]))


def _drop_partitions(catalog: Catalog, project: str, match: re.Match[str]) -> None:
    table = catalog.get(project, match["table"])
    for partition in _PARTITION.findall(match["parts"]):
        table.drop_part(partition, if_exists=bool(match["if"]))


def _truncate(catalog: Catalog, project: str, match: re.Match[str]) -> None:
    table = catalog.get(project, match["table"])
    for partition in _PARTITION.findall(match["parts"] or "") or [""]:
        table.part(partition).set_rows(table.empty_rows())


def _columns(text: str) -> list[types.Column]:
    columns = []
    for clause in _split(text):
        comment = _COMMENT.search(clause)
        described = clause[: comment.start()] if comment else clause
        name, _, column_type = described.strip().partition(" ")
        nullable = not re.search(r"\s+NOT NULL\s*$", column_type, re.IGNORECASE)
        column_type = re.sub(r"\s+NOT NULL\s*$", "", column_type, flags=re.IGNORECASE)
        columns.append(
            types.Column(
                name.strip("`"),
                types.validate_data_type(column_type.strip()),
                _unescaped(comment["comment"]) if comment else None,
                nullable=nullable,
            )
        )
    return columns


def _split(text: str) -> list[str]:
    """At the commas that are in no brackets and no quotes."""
    pieces, depth, quoted, start = [], 0, False, 0
    for index, char in enumerate(text):
        if char == "'" and text[index - 1 : index] != "\\":
            quoted = not quoted
        elif not quoted:
            depth += (char in "(<") - (char in ")>")
            if char == "," and depth == 0:
                pieces.append(text[start:index])
                start = index + 1
    return [*pieces, text[start:]]


def _closing(text: str, opening: int) -> int:
    """Where the bracket at `opening` closes."""
    depth, quoted = 0, False
    for index in range(opening, len(text)):
        char = text[index]
        if char == "'" and text[index - 1] != "\\":
            quoted = not quoted
        elif not quoted:
            depth += (char == "(") - (char == ")")
            if depth == 0:
                return index
    raise ServiceError(
        400, "ODPS-0130161", "ODPS-0130161:Parse exception - a bracket is not closed"
    )


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)
