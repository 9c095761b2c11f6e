"""A job for Kubernetes, made of the flags of a command: what the pods are told, and what is shown.

Paths are those that the pods see; nothing of this machine but the model zoo is sent there.
"""

from __future__ import annotations

import datetime
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from elasticdl_like.cli.kubernetes_flags import given_flags, kubernetes_settings
from elasticdl_like.cli.options import NAME_PREFIXES
from elasticdl_like.cli.pod_paths import check_paths, is_sent
from elasticdl_like.config import JobConfig, JobKind
from elasticdl_like.errors import ConfigError
from elasticdl_like.model_file import check_model_def
from elasticdl_like.platforms.kubernetes import places
from elasticdl_like.platforms.kubernetes.manifests import (
    JobSecrets,
    job_objects,
    owned_by,
    owner_reference,
)
from elasticdl_like.platforms.kubernetes.model_zoo import read_model_zoo
from elasticdl_like.platforms.kubernetes.names import job_name_in_cluster
from elasticdl_like.platforms.kubernetes.pairs import parse_environment
from elasticdl_like.platforms.kubernetes.render import MADE_AT_SUBMISSION, render
from elasticdl_like.platforms.kubernetes.settings import KubernetesSettings
from elasticdl_like.platforms.kubernetes.tls_material import make_tls_material
from elasticdl_like.secret_params import referenced_variables, reveal_secrets

if TYPE_CHECKING:
    from elasticdl_like.cli.submitted_job import Ended

MakeConfig = Callable[[Mapping[str, Any]], JobConfig]
"""Makes the configuration of a job of every flag of its command."""

# The others are about a job directory, or a status page, of this machine.
_LOCAL_ONLY = frozenset(
    {"job_dir", "status_page", "status_host", "status_port", "tls_cert_file"}
    | {"tls_key_file", "insecure", "index_dir"}
)
_TOKEN_BYTES = 32


@dataclass(frozen=True)
class PodJob:
    """A job for Kubernetes, before anything is created.

    Attributes:
        config: the job, with paths as the pods see them.
        settings: how it runs there.
        name: its name in the cluster.
        zoo_files: path below the model zoo -> content, of files that travel with it.
        environment: environment variables of the pods; they may be secret.
    """

    config: JobConfig
    settings: KubernetesSettings
    name: str
    zoo_files: Mapping[str, bytes]
    environment: Mapping[str, str]

    def objects(self) -> list[dict[str, Any]]:
        """Returns what is to be created, the root first, with a token and certificates made now.

        Raises:
            ConfigError: the package that makes certificates is not installed.
        """
        hosts = places.master_hosts(self.name, self.settings.namespace)
        now = datetime.datetime.now(datetime.UTC)
        made = JobSecrets(
            secrets.token_urlsafe(_TOKEN_BYTES), make_tls_material(hosts, now), self.environment
        )
        return job_objects(self.settings, self.config, self.name, self.zoo_files, made)

    def manifests(self, output_format: str) -> str:
        """Returns what would be created, for people: "yaml" or "json"."""
        root, *others = self.objects()
        owner = owner_reference(self.name, MADE_AT_SUBMISSION)
        return render([root, *(owned_by(owner, each) for each in others)], output_format)


def pod_job(flags: Mapping[str, Any], kind: JobKind, make_config: MakeConfig) -> PodJob:
    """Returns the job that the flags ask for, checked as far as it can be from here.

    Args:
        flags: every flag of the command.
        kind: what the command does.
        make_config: makes the job's configuration of them.

    Raises:
        ConfigError: a flag has a value that cannot be used, or is not for Kubernetes.
        ModelDefinitionError: there is no such model definition file.
    """
    for name in given_flags(_LOCAL_ONLY):
        raise ConfigError(f"--{name} is for a job on this machine; leave it out on Kubernetes")
    settings = kubernetes_settings(flags)
    job_name = flags["job_name"] or NAME_PREFIXES[kind] + _name_of_model(flags["model_def"])
    name = job_name_in_cluster(job_name)
    directory = places.job_directory(name)
    check_paths(flags, kind, settings)
    pod_flags = {**flags, "job_name": job_name, "job_dir": directory, "index_dir": ""}
    config = make_config(pod_flags)
    if config.trains_model and settings.job_volume is None and not flags["checkpoint_dir"]:
        raise ConfigError(
            "workers write checkpoints that the master looks after, so all pods have to see the "
            "place: give --job_volume claim_name=…, or --checkpoint_dir in a --volume"
        )
    config, zoo_files = _with_model_zoo(config, flags["model_zoo"], settings)
    return PodJob(config, settings, name, zoo_files, _environment(flags["envs"], config))


def run_pod_job(flags: Mapping[str, Any], kind: JobKind, make_config: MakeConfig) -> Ended | None:
    """Submits a job and follows it, or prints its manifests.

    Args:
        flags: every flag of the command.
        kind: what the command does.
        make_config: makes the job's configuration of them.

    Returns:
        The job at its end; None when it is not followed to there.

    Raises:
        ConfigError: a flag has a value that cannot be used, or there is a job of that name.
        JobFailedError: the job has failed, or was deleted.
        ElasticdlError: it cannot be submitted.
    """
    job = pod_job(flags, kind, make_config)
    if flags["dry_run"]:
        click.echo(job.manifests(flags["manifest_format"]), nl=False)
        return None
    if job.config.inference.output and job.settings.job_volume is None:
        click.echo(
            "elasticdl: warning: without --job_volume the job is lost with its master's pod: with "
            "--overwrite it then begins anew, otherwise it fails",
            err=True,
        )
    # Not at the top: the help must not wait for gRPC.
    from elasticdl_like.cli.submitted_job import run_submitted

    return run_submitted(job, flags["detach"], flags["log_level"], flags["log_format"])


def _name_of_model(model_def: str | None) -> str:
    parts = (model_def or "").split(".")
    return parts[-2] if len(parts) > 1 else "job"


def _with_model_zoo(
    config: JobConfig, model_zoo: str, settings: KubernetesSettings
) -> tuple[JobConfig, Mapping[str, bytes]]:
    """Returns the configuration, with the model zoo where the pods see it, and what travels."""
    if config.model is None:
        return config, {}
    if is_sent(model_zoo, settings.volumes):
        check_model_def(config.model)
        model = replace(config.model, model_zoo=places.MODEL_ZOO_DIRECTORY)
        return replace(config, model=model), read_model_zoo(Path(model_zoo))
    if not Path(model_zoo).is_absolute():
        raise ConfigError(
            f"--model_zoo {model_zoo!r} is no directory of this machine, and no absolute path, "
            "which would be one in the image or in a --volume"
        )
    return config, {}


def _environment(envs: str, config: JobConfig) -> dict[str, str]:
    """Returns the variables of the pods: those of the flag, and those that the job refers to."""
    given = parse_environment(envs, "--envs")
    params = config.data.reader_params
    reveal_secrets(params, {**os.environ, **given})  # or says which variable is missing
    referred = {
        name: os.environ[name] for name in referenced_variables(params) if name not in given
    }
    return {**referred, **given}
