"""Flags of ElasticDL's `zoo` that are not flags of this one."""

from __future__ import annotations

from elasticdl_like.cli.compatibility.entries import ElasticdlFlag, refused, warning

_TOOL_SETTINGS = (
    "The tool has settings of its own; docker reads `DOCKER_HOST`, `DOCKER_TLS_VERIFY` and "
    "`DOCKER_CERT_PATH`."
)

LOCAL_PKG_DIR = refused(
    "--local_pkg_dir",
    "Put the wheels into the model zoo and name them in its requirements.txt, as in "
    "`./wheels/mine-1-py3-none-any.whl`.",
    commands=("zoo",),
)
"""Which is of `zoo` alone."""

NOT_FOR_ZOO_INIT: tuple[ElasticdlFlag, ...] = (
    refused("--model_zoo", "The folder is an argument, as in `elasticdl zoo init model_zoo`."),
    LOCAL_PKG_DIR,
    warning("--cluster_spec", "Give it to `elasticdl train`; the image does not need it."),
)
"""Flags of ElasticDL's `zoo init`."""

NOT_FOR_ZOO_TOOLS: tuple[ElasticdlFlag, ...] = (
    refused("--docker_base_url", _TOOL_SETTINGS),
    refused("--docker_tlscert", _TOOL_SETTINGS),
    refused("--docker_tlskey", _TOOL_SETTINGS),
)
"""Flags of ElasticDL's `zoo build` and `zoo push`."""
