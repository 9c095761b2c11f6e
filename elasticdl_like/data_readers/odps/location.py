"""Which table, and which partition of it, a data origin names."""

from __future__ import annotations

import re
from dataclasses import dataclass

from elasticdl_like.errors import ConfigError

_SCHEME = "odps://"
_NAME = re.compile(r"\w+", re.ASCII)
_EXPECTED = "expected odps://PROJECT/TABLE, PROJECT.TABLE or TABLE"


@dataclass(frozen=True)
class OdpsLocation:
    """A table, or one partition of it.

    Attributes:
        project: its project, "" for that of the credentials.
        table: its name.
        partition: a partition or the beginning of several, `ds=20260101,hh=01`; "" for none.
    """

    project: str
    table: str
    partition: str = ""

    @classmethod
    def parse(cls, text: str) -> OdpsLocation:
        """Reads a data origin.

        Args:
            text: `odps://project/table`, `odps://project/tables/table`, either of them with
                `/ds=20260101/hh=01` behind it; `project.table`, or `table`.

        Raises:
            ConfigError: it is none of these.
        """
        needs_project = text.lower().startswith(_SCHEME)
        if needs_project:
            project, *parts = text[len(_SCHEME) :].rstrip("/").split("/")
            if len(parts) > 1 and parts[0] == "tables" and "=" not in parts[1]:
                del parts[0]
            table, *partition = parts or [""]
        else:
            project, dot, table = text.rpartition(".")
            needs_project = bool(dot)
            partition = []
        if (
            not _NAME.fullmatch(table)
            or not (_NAME.fullmatch(project) or (not project and not needs_project))
            or not all("=" in part for part in partition)
        ):
            raise ConfigError(f"{text!r} names no table of MaxCompute: {_EXPECTED}")
        return cls(project, table, ",".join(partition))
