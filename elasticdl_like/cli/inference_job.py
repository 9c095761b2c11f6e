"""A job that uses a trained model, to its end, wherever it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from elasticdl_like.cli.inference_options import make_inference_config
from elasticdl_like.cli.kubernetes_flags import refuse_kubernetes_flags
from elasticdl_like.cli.local_job import run_job
from elasticdl_like.cli.options import job_directory_path
from elasticdl_like.config import JobConfig, JobKind


@dataclass(frozen=True)
class InferenceEnd:
    """How such a job has ended.

    Attributes:
        outcome: what it has found or left, as JSON.
        ledger: what became of the records, as JSON.
        further: where there is more about it, in words.
    """

    outcome: Mapping[str, Any]
    ledger: Mapping[str, Any]
    further: str


def run_inference(flags: Mapping[str, Any], kind: JobKind) -> InferenceEnd | None:
    """Runs a job on this machine or on Kubernetes, and shows how it goes.

    Args:
        flags: every flag of `inference_options`.
        kind: EVALUATION or PREDICTION.

    Returns:
        Its end; None when it is not followed to there.

    Raises:
        ConfigError: a flag has a value that cannot be used, or flags contradict each other.
        JobFailedError: the job has failed.
        ElasticdlError: it could not be started.
    """

    def make_config(given: Mapping[str, Any]) -> JobConfig:
        return make_inference_config(given, kind)

    if flags["platform"] == "kubernetes":
        from elasticdl_like.cli.kubernetes_job import run_pod_job

        ended = run_pod_job(flags, kind, make_config)
        if ended is None:
            return None
        return InferenceEnd(ended.outcome, ended.ledger, ended.further)
    refuse_kubernetes_flags()
    config = make_config(flags)
    job = run_job(config, flags)
    directory = job_directory_path(flags, config.name)
    return InferenceEnd(job.view.outcome(), job.view.ledger(), f"logs and ledger: {directory}")
