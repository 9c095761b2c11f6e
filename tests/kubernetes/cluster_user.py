"""Somebody who types commands about the jobs of one namespace, and looks at what they do."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from node_volume import CLAIM, MOUNT_PATH, run_on_volume
from small_pods import IMAGE

from elasticdl_command import Finished, RunningCommand, eventually, run, running
from elasticdl_like.errors import ClusterError
from elasticdl_like.master.progress import JobStatus
from elasticdl_like.platforms.kubernetes import places
from elasticdl_like.platforms.kubernetes.client import Cluster
from elasticdl_like.platforms.kubernetes.jobs import newest_pod
from elasticdl_like.platforms.kubernetes.master_log import parse_line
from elasticdl_like.platforms.kubernetes.pod_state import Pod, PodPhase, pod_state

RECORDS_PER_EPOCH = 1400
FOR_EVER = 100_000
PLAIN_MODEL = "digits.digits_cnn.custom_model"
OBEDIENT_MODEL = "obedient.digits_cnn.custom_model"

_TAIL_LINES = 100
_KINDS = ("Job", "Pod", "Secret", "ConfigMap", "Service")
_OF_ANY_JOB = f"app=elasticdl,{places.JOB_LABEL}"


class User:
    """Types commands about one namespace, whose volume has the digits in `data/`.

    Args:
        directory: where the commands are typed.
        cluster: the namespace.
        model_zoo: has the models `PLAIN_MODEL` and `OBEDIENT_MODEL`.
    """

    def __init__(self, directory: Path, cluster: Cluster, model_zoo: Path) -> None:
        self.directory = directory
        self.cluster = cluster
        self._model_zoo = model_zoo

    def __call__(self, *arguments: object, timeout: float = 120) -> Finished:
        where = ("--namespace", self.cluster.namespace)
        return run(*arguments, *where, directory=self.directory, timeout=timeout)

    def ask(self, *arguments: object) -> Any:
        """Returns the JSON that a command prints."""
        done = self(*arguments, "--json")
        assert done.exit_code == 0, done.stderr
        return json.loads(done.stdout)

    def submission(
        self, *flags: object, job: str = "digits", model: str = OBEDIENT_MODEL
    ) -> Sequence[object]:
        """Returns the arguments of a command that trains with two workers.

        Args:
            flags: come last, so that they win.
            job: its name.
            model: the model definition.
        """
        return [
            *self._submission("train", job, model),
            *("--training_data", "/data/train", "--validation_data", "/data/validation"),
            *("--num_epochs", FOR_EVER, "--minibatch_size", 64, *flags),
        ]

    def use_of_model(
        self, command: str, *flags: object, job: str, model: str = PLAIN_MODEL
    ) -> Sequence[object]:
        """Returns the arguments of a command that uses a trained model with two workers.

        Args:
            command: "evaluate" or "predict".
            flags: come last, so that they win.
            job: its name.
            model: the model definition.
        """
        return [*self._submission(command, job, model), *flags]

    def _submission(self, command: str, job: str, model: str) -> Sequence[object]:
        return [
            *(command, "--platform", "kubernetes", "--namespace", self.cluster.namespace),
            *("--image_name", IMAGE, "--image_pull_policy", "IfNotPresent"),
            *("--model_zoo", self._model_zoo, "--model_def", model, "--job_name", job),
            *("--volume", f"claim_name={CLAIM},sub_path=data,mount_path=/data,read_only=true"),
            *("--job_volume", f"claim_name={CLAIM},sub_path=jobs", "--num_workers", 2),
            *("--worker_resource_request", "cpu=0.1,memory=512Mi"),
            *("--worker_resource_limit", "memory=3Gi"),
        ]

    @contextlib.contextmanager
    def following(self, arguments: Sequence[object]) -> Iterator[RunningCommand]:
        """Submits a job, and follows it as long as the context lasts."""
        with running(["-m", "elasticdl_like", *arguments], self.directory) as follower:
            yield follower

    def pods(self, role: str, job: str = "digits") -> list[Pod]:
        """Returns the pods of a job that run and are to go on."""
        return running_pods(self.cluster, role, job)

    def worker(self, worker_id: int, job: str = "digits") -> str:
        """Returns the name of the pod of a worker that runs."""
        found = [
            pod
            for pod in self.pods(places.WORKER_ROLE, job)
            if pod["metadata"]["labels"][places.WORKER_LABEL] == str(worker_id)
        ]
        assert len(found) == 1, found
        return str(found[0]["metadata"]["name"])

    def master(self, job: str = "digits") -> str:
        """Returns the name of the pod of the master, waiting until there is one."""
        pod = eventually(lambda: newest_pod(self.pods(places.MASTER_ROLE, job)), 120)
        return str(pod["metadata"]["name"])

    def in_pod(self, pod: str, *command: str) -> str:
        """Runs a command in a pod; returns what it prints."""
        done = self.cluster.exec(pod, command)
        assert done.exit_code == 0, done.stderr
        return done.stdout

    def order(self, what: str, job: str = "digits") -> None:
        """Tells the obedient model to finish, or to eat."""
        self.in_pod(self.master(job), "touch", f"{places.JOBS_DIRECTORY}/order-{what}")

    def wait_for_steps(
        self,
        members: int = 2,
        is_it: Callable[[Mapping[str, Any]], bool] = lambda status: True,
        job: str = "digits",
    ) -> Mapping[str, Any]:
        """Returns the status of a job once so many workers have finished a step.

        Args:
            members: how many.
            is_it: what else is to be true of that status.
            job: its name.
        """
        first: Mapping[str, Any] | None = None
        first_round = 0

        def look() -> Mapping[str, Any] | None:
            nonlocal first, first_round
            status = self._last_progress(job)
            # A worker that trains alone is in no round.
            together = status.get("round") or {"members": status.get("workers", ()), "number": 0}
            if len(together["members"]) != members or not is_it(status):
                first = None
                return None
            if first is None or first_round != together["number"]:
                first, first_round = status, together["number"]
            return status if status["step"] > first["step"] else None

        return eventually(look, 150)

    def finish(self, follower: RunningCommand, job: str = "digits") -> Finished:
        """Has a job of the obedient model end, and sees that it ends well."""
        self.order("finish", job)
        done = follower.wait(120)
        assert done.exit_code == 0, done.stderr
        assert f"job {job} finished: " in done.stdout
        return done

    def verified_ledger(self, job: str) -> list[Mapping[str, Any]]:
        """Returns the epochs of a job that is over, computed again from its journal and data."""
        directory = f"{MOUNT_PATH}/jobs/{job}"
        printed = run_on_volume(
            self.cluster, "ledger", f"elasticdl ledger {directory} --verify --json"
        )
        ledger = json.loads(printed)
        assert ledger["differences"] == []
        epochs: list[Mapping[str, Any]] = ledger["epochs"]
        return epochs

    def check_ledger(self, job: str = "digits") -> list[Mapping[str, Any]]:
        """Returns the epochs of a training that is over, all of which are exact."""
        epochs = self.verified_ledger(job)
        assert {entry["missing"] for entry in epochs if entry["ended"]} == {0}
        training = [entry for entry in epochs if entry["type"] == "training"]
        assert {entry["committed"] for entry in training if entry["ended"]} == {RECORDS_PER_EPOCH}
        # The next one may have been prepared when the job ended.
        assert [entry["committed"] for entry in training if not entry["ended"]] in ([], [0])
        return epochs

    def stop(self, job: str = "digits") -> None:
        """Stops a job; nothing of any job is left then."""
        stopped = self("stop", job)
        assert stopped.exit_code == 0, stopped.stderr
        eventually(self.nothing_is_left, 60)

    def _last_progress(self, job: str) -> Mapping[str, Any]:
        """Returns the last status in the log of the master, which is cheaper than to ask it."""
        try:
            lines = list(self.cluster.read_log(self.master(job), tail_lines=_TAIL_LINES))
        except ClusterError:
            return {}  # the pod is new, or has just gone
        said = [entry for entry in map(parse_line, lines) if isinstance(entry, JobStatus)]
        return said[-1].to_plain() if said else {}

    def nothing_is_left(self) -> bool:
        """Returns whether no object of any job is left."""
        return not any(self.cluster.list_objects(kind, _OF_ANY_JOB).items for kind in _KINDS)


def running_pods(cluster: Cluster, role: str, job: str) -> list[Pod]:
    """Returns the pods of a job that run and are to go on."""
    listed = cluster.list_pods(places.pod_selector(job, role)).items
    states = [(pod, pod_state(pod)) for pod in listed]
    return [
        pod for pod, state in states if state.phase is PodPhase.RUNNING and not state.being_deleted
    ]
