"""How soon does a job on Kubernetes train, and how soon does the replacement of a worker's pod?

`elasticdl train --platform kubernetes --num_workers 2`, submitted again and again to the cluster
that KUBECONFIG names, whose one node has the image that ELASTICDL_TEST_IMAGE names. From the start
of the command to the first step that a worker has finished; then, from the request to delete a
worker's pod, the older and the younger in turns, to the first step of the worker that takes its
place (until then the other trains on, on the same node). By the clocks of this machine and of the
node. At last the master's pod is deleted, and says which requests it has sent to the API server:
two for pods, one list and one watch are all that a job needs that is left alone for a minute. Load
is how many CPUs of the machine that this runs on are busy, with the job or anything else.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import first_steps
import step_times
from common import write_recordio
from comparison import Figure, figure_table

from elasticdl_like.data_readers.recordio import Compressor
from elasticdl_like.errors import ClusterError
from elasticdl_like.platforms.kubernetes import places
from elasticdl_like.platforms.kubernetes.client import Cluster
from elasticdl_like.platforms.kubernetes.pod_state import Pod
from elasticdl_like.platforms.kubernetes.transport import Transport, load_configuration

FOLDER = Path(__file__).parent
TESTS = FOLDER.parent / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "kubernetes")]

from cluster_user import running_pods  # noqa: E402
from node_volume import CLAIM, claimed_volume  # noqa: E402
from role_namespace import role_namespace  # noqa: E402
from small_pods import IMAGE  # noqa: E402

RECORDS = 5000
JOBS = 5
REPLACEMENTS = 2
ALONE_S = 60.0
MOST_SUBMISSION_S = 15.0
MOST_REPLACEMENT_S = 10.0
# Two pods, one list, one watch.
MOST_REQUESTS = 4.0
_PAUSE_S = 0.3
_LONGEST_WAIT_S = 180.0
_REQUESTS = "requests to Kubernetes: "

Found = TypeVar("Found")


def wait_for(look: Callable[[], Found | None]) -> Found:
    """Returns what `look` returns, once that is not None.

    Raises:
        TimeoutError: it takes too long.
    """
    deadline_s = time.monotonic() + _LONGEST_WAIT_S
    while (found := look()) is None:
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"nothing after {_LONGEST_WAIT_S:.0f} s")
        time.sleep(_PAUSE_S)
    return found


class RunningJob:
    """A job of two workers that runs in the cluster.

    Args:
        cluster: the namespace.
        name: its name.
        follower: the command that has submitted it, and runs as long as the job does.
        log: what that command writes.
    """

    def __init__(
        self, cluster: Cluster, name: str, follower: subprocess.Popen[bytes], log: Path
    ) -> None:
        self._cluster = cluster
        self._name = name
        self._follower = follower
        self._log = log

    def pods(self, role: str) -> list[Pod]:
        """Returns the pods that run and are to go on, the oldest first."""
        going_on = running_pods(self._cluster, role, self._name)
        return sorted(going_on, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))

    def first_steps(self) -> dict[str, float]:
        """Returns when each worker has finished the first step that it took part in, by pod."""
        found = {}
        for pod in self.pods(places.WORKER_ROLE):
            name = pod["metadata"]["name"]
            with contextlib.suppress(ClusterError):  # it may be gone by now
                for line in self._cluster.read_log(name):
                    if line.startswith(first_steps.MARK.encode()):
                        found[name] = float(line.split()[-1])
                        break
        return found

    def wait_until_both_train(self) -> dict[str, float]:
        """Waits until there are two workers that have finished a step; returns when they did."""

        def look() -> dict[str, float] | None:
            if self._follower.poll() is not None:
                raise RuntimeError(f"job {self._name} is over: {self._log.read_text('utf-8')}")
            found = self.first_steps()
            return found if len(found) == 2 else None

        return wait_for(look)

    def replace(self, number: int) -> float:
        """Deletes a worker's pod; returns the seconds to the first step of the next one.

        Args:
            number: 0 for the older one, 1 for the younger one.
        """
        before = self.wait_until_both_train()
        since_s = time.time()
        self._cluster.delete_pod(sorted(before, key=before.__getitem__)[number])

        def look() -> float | None:
            new = {pod: when for pod, when in self.first_steps().items() if pod not in before}
            return min(new.values(), default=None)

        return wait_for(look) - since_s

    def requests(self) -> dict[str, int]:
        """Ends the master's pod; returns the requests to the API server that it has counted."""
        (pod,) = self.pods(places.MASTER_ROLE)
        name = pod["metadata"]["name"]
        lines: list[bytes] = []
        log = self._cluster.read_log(name, follow=True)
        reader = threading.Thread(target=lambda: lines.extend(log))
        reader.start()
        self._cluster.delete_pod(name)
        reader.join(_LONGEST_WAIT_S)
        for line in lines:
            text = line.decode()
            if _REQUESTS in text:
                said = json.loads(text)["message"]
                requests: dict[str, int] = json.loads(said.partition(_REQUESTS)[2])
                return requests
        raise TimeoutError(f"the log of {name} does not tell of requests")


@contextlib.contextmanager
def submitted(cluster: Cluster, folder: Path, number: int) -> Iterator[tuple[RunningJob, float]]:
    """Submits a job as a user does; yields it, and the seconds to its first step."""
    name = f"bench-{number}"
    command = [sys.executable, "-m", "elasticdl_like", "train", "--platform", "kubernetes"]
    command += ["--namespace", cluster.namespace, "--image_name", IMAGE]
    command += ["--image_pull_policy", "IfNotPresent", "--job_name", name]
    command += ["--model_zoo", "zoo", "--model_def", "first_steps.small"]
    command += ["--volume", f"claim_name={CLAIM},sub_path=data,mount_path=/data,read_only=true"]
    command += ["--job_volume", f"claim_name={CLAIM},sub_path=jobs", "--num_workers", "2"]
    command += ["--training_data", "/data/data.recordio", "--num_epochs", "1000000"]
    command += ["--worker_resource_request", "cpu=0.1,memory=512Mi"]
    command += ["--worker_resource_limit", "memory=3Gi"]
    log_path = folder / f"{name}.log"
    since_s = time.time()
    with log_path.open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        job = RunningJob(cluster, name, process, log_path)
        yield job, min(job.wait_until_both_train().values()) - since_s
    finally:
        process.kill()
        process.wait()
        stop = [sys.executable, "-m", "elasticdl_like", "stop", name]
        subprocess.run([*stop, "--namespace", cluster.namespace], check=True, capture_output=True)


def busy_cpus(since: tuple[float, float]) -> float:
    """Returns how many CPUs of this machine were busy since `cpu_clock()` returned that."""
    busy_s, now_s = cpu_clock()
    return (busy_s - since[0]) / (now_s - since[1])


def cpu_clock() -> tuple[float, float]:
    """Returns for how long the CPUs of this machine were busy, together, and the time."""
    ticks = [int(word) for word in Path("/proc/stat").read_text("ascii").split()[1:9]]
    user, nice, system, _, _, *interrupts = ticks
    busy_s = (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")
    return busy_s, time.monotonic()


def measure(cluster: Cluster, folder: Path) -> Iterator[Figure]:
    submission_s, replacement_s, load = [], [], []
    for number in range(JOBS):
        since = cpu_clock()
        with submitted(cluster, folder, number) as (job, seconds):
            submission_s.append(seconds)
            replacement_s += [job.replace(each % 2) for each in range(REPLACEMENTS)]
            load.append(busy_cpus(since))
    yield Figure("from `elasticdl train` to the first step: s", submission_s, MOST_SUBMISSION_S)
    yield Figure(
        "from the deletion of a pod to the first step of the next: s",
        replacement_s,
        MOST_REPLACEMENT_S,
    )
    yield Figure("load meanwhile: CPUs", load)
    with submitted(cluster, folder, JOBS) as (job, _):
        time.sleep(ALONE_S)
        requests = job.requests()
    said = ", ".join(f"{what} {count}" for what, count in requests.items())
    yield Figure(f"requests of a master ({said})", [sum(requests.values())], MOST_REQUESTS)


def make_zoo(folder: Path) -> None:
    zoo = folder / "zoo"
    zoo.mkdir()
    for module in (first_steps, step_times):
        shutil.copy(str(module.__file__), zoo)


def main() -> None:
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        data = folder / "data"
        data.mkdir()
        records = step_times.random_records(RECORDS)
        write_recordio(data / "data.recordio", records, Compressor.SNAPPY)
        make_zoo(folder)
        transport = stack.enter_context(contextlib.closing(Transport(load_configuration())))
        namespace = stack.enter_context(role_namespace(transport))
        cluster = stack.enter_context(Cluster.connect(namespace))
        stack.enter_context(claimed_volume(transport, cluster, data))
        print(figure_table(measure(cluster, folder)))


if __name__ == "__main__":
    main()
