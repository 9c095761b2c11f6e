"""What becomes of each command-line flag of ElasticDL.

Data only. The command line reads it to say why a flag is refused or has no effect, and
`docs/from_elasticdl.md` is made from it. The flags are those of ElasticDL's whole history, from
its first job flags of April 2019 to its last commit of January 2024, and of its tutorials. Flags
that were spelled with hyphens until May 2019 are listed under their later spelling.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

from elasticdl_like.cli.compatibility.cluster_flags import CLUSTER_FLAGS
from elasticdl_like.cli.compatibility.command_flags import COMMAND_FLAGS
from elasticdl_like.cli.compatibility.entries import ElasticdlFlag
from elasticdl_like.cli.compatibility.former_flags import FORMER_FLAGS
from elasticdl_like.cli.compatibility.job_flags import JOB_FLAGS

FLAGS_BY_THEME: Mapping[str, tuple[ElasticdlFlag, ...]] = {
    **JOB_FLAGS,
    **CLUSTER_FLAGS,
    **COMMAND_FLAGS,
    **FORMER_FLAGS,
}
"""The flags by theme; a theme is a heading of the documentation."""

FLAGS: tuple[ElasticdlFlag, ...] = tuple(chain.from_iterable(FLAGS_BY_THEME.values()))
"""Every flag that ElasticDL ever had for a job, and those of its other commands."""
