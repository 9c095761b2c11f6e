"""Flags that only one command, or one kind of process, of ElasticDL took."""

from __future__ import annotations

from collections.abc import Mapping

from elasticdl_like.cli.compatibility.entries import ElasticdlFlag, refused, works
from elasticdl_like.cli.compatibility.reasons import PARAMETER_SERVERS_REFUSED

COMMAND_FLAGS: Mapping[str, tuple[ElasticdlFlag, ...]] = {
    "Prediction": (
        works("--prediction_data", "As `--training_data`.", commands=("predict",)),
        works(
            "--prediction_outputs_processor",
            "`elasticdl predict --prediction_output` is new, and writes files instead.",
            commands=("predict",),
        ),
    ),
    "Processes of a job": (
        works(
            "--master_addr",
            "A flag of `elasticdl worker`, for a worker that is started by hand.",
            commands=("worker", "ps"),
        ),
        refused(
            "--port",
            "The master of `elasticdl train` picks a free port and tells its workers.",
            commands=("master", "ps"),
        ),
        refused("--worker_id", "The master numbers the workers.", commands=("worker",)),
        refused("--job_type", "The command says it.", commands=("worker",)),
        refused("--task_type", "The master says it with each task.", commands=("worker",)),
        refused("--ps_id", PARAMETER_SERVERS_REFUSED, commands=("ps",)),
        refused("--ps_addrs", PARAMETER_SERVERS_REFUSED, commands=("worker",)),
        refused("--opt_type", PARAMETER_SERVERS_REFUSED, commands=("ps",)),
        refused("--opt_args", PARAMETER_SERVERS_REFUSED, commands=("ps",)),
        refused("--embedding_service_endpoint", PARAMETER_SERVERS_REFUSED, commands=("worker",)),
    ),
}
"""By theme."""
