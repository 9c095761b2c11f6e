"""How a job in a cluster stands, asked beside its master: nothing else need be reachable."""

from __future__ import annotations

import json
from typing import Any

from elasticdl_like.errors import ClusterError, ConfigError
from elasticdl_like.master.progress import JobStatus
from elasticdl_like.platforms.kubernetes import places
from elasticdl_like.platforms.kubernetes.client import Cluster, ExecResult
from elasticdl_like.platforms.kubernetes.follow import FollowedCluster, pod_log
from elasticdl_like.platforms.kubernetes.jobs import run_beside_master, running_master
from elasticdl_like.platforms.kubernetes.master_log import (
    Entry,
    FinalLedger,
    Outcome,
    parse_line,
)
from elasticdl_like.platforms.kubernetes.names import job_name_in_cluster


class ClusterJobSource:
    """Tells about a job in a cluster.

    Args:
        job: its name.
        namespace: where it is.

    Raises:
        ConfigError: there is no cluster, or no such job can be.
    """

    def __init__(self, job: str, namespace: str) -> None:
        self._name = job_name_in_cluster(job)
        self._cluster = Cluster.connect(namespace)

    def status(self) -> dict[str, Any]:
        """Returns the document of `elasticdl status --json`, or what a job that is over has left.

        The latter has an "outcome" besides, if it evaluated or predicted.

        Raises:
            ElasticdlError: there is no such job, or it has not said anything yet.
        """
        answer = self._ask("status", "--json")
        if answer is not None:
            return _document(answer)
        left = what_is_left(self._cluster, self._name)
        statuses = [entry for entry in left if isinstance(entry, JobStatus)]
        if not statuses:
            raise ConfigError(f"job {self._name} does not run, and has left no word of how it went")
        outcomes = [{"outcome": each.document} for each in left if isinstance(each, Outcome)]
        return statuses[-1].to_plain() | (outcomes[-1] if outcomes else {})

    def ledger(self, verify: bool) -> dict[str, Any]:
        """Returns the document of `elasticdl ledger --json`, or what a job that is over has left.

        Args:
            verify: whether to recompute it; "differences" has what is found then.

        Raises:
            ElasticdlError: there is no such job, or none that runs and can be verified.
        """
        answer = self._ask("ledger", "--json", *(["--verify"] if verify else []))
        if answer is not None:
            return _document(answer)
        if verify:
            raise ConfigError(
                f"job {self._name} does not run, so that nobody sees its job directory; give that "
                "to elasticdl ledger --verify where the job volume can be seen"
            )
        every = what_is_left(self._cluster, self._name)
        left = [entry for entry in every if isinstance(entry, FinalLedger)]
        if not left:
            raise ConfigError(f"job {self._name} does not run, and has left no ledger in its log")
        return dict(left[-1].ledger)

    def scale(self, num_workers: int) -> str:
        """Changes how many workers train the model; returns what happens now, in words.

        Raises:
            ElasticdlError: there is no such job that runs, or its master refuses to.
        """
        answer = self._ask("scale", "--num_workers", str(num_workers))
        if answer is None:
            raise ConfigError(f"job {self._name} does not run, so there are no workers to change")
        if answer.exit_code != 0:
            raise failure_beside_master(answer)
        return answer.stdout.rstrip("\n")

    def _ask(self, command: str, *flags: str) -> ExecResult | None:
        """Runs a command beside the master; returns None while there is none."""
        pod = running_master(self._cluster, self._name)
        if pod is None:
            return None
        return run_beside_master(self._cluster, pod, about_job(command, self._name, *flags))


def about_job(command: str, name: str, *flags: str) -> list[str]:
    """Returns the arguments of a command about a job that is run beside its master."""
    return [
        *(command, places.job_directory(name)),
        *("--tls_ca_file", f"{places.SECRET_DIRECTORY}/{places.CA_FILE}"),
        *flags,
    ]


def what_is_left(cluster: FollowedCluster, name: str) -> list[Entry]:
    """Returns what the log of a job's master says.

    Raises:
        ClusterError: there is none, or the server refuses.
        ClusterUnavailableError: there is no answer.
    """
    pods = cluster.list_pods(places.pod_selector(name, places.MASTER_ROLE)).items
    lines = pod_log(cluster, pods, f"the master of job {name}", follow=False)
    return [parse_line(line) for line in lines]


def _document(answer: ExecResult) -> dict[str, Any]:
    """Returns what was printed; an exit code of 1 may be about what it says."""
    try:
        document: dict[str, Any] = json.loads(answer.stdout)
    except ValueError as error:
        raise failure_beside_master(answer) from error
    return document


def failure_beside_master(answer: ExecResult) -> ClusterError:
    """Returns the error of a command that was run beside a master."""
    said = answer.stderr.strip().splitlines() or [f"it ended with exit code {answer.exit_code}"]
    return ClusterError(f"in the master's pod: {said[-1].removeprefix('elasticdl: error: ')}")
