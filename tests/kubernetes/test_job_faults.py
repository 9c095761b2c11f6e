"""Jobs that lose a pod, a process, their master or the API server, and end well."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cluster_user import User
from relay import CUT, LISTENS
from small_pods import IMAGE

from elasticdl_command import eventually
from elasticdl_like.platforms.kubernetes import places
from elasticdl_like.platforms.kubernetes.client import Cluster

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(500)]

# So that a process can be killed from the inside: the first one of a container cannot.
SHARED_PROCESSES = {"spec": {"shareProcessNamespace": True}}
KILL = """
import os, psutil, signal
os.kill(next(p.pid for p in psutil.process_iter() if "{command}" in p.cmdline()), signal.SIGKILL)
"""
RELAY = Path(__file__).with_name("relay.py")
RELAY_PORT = 6443
API_SERVER = "kubernetes.default.svc"


def delete_pod(user: User) -> str:
    pod = user.worker(1)
    user.cluster.delete_pod(pod)
    return pod


def kill_process(user: User) -> str:
    pod = user.worker(1)
    kill(user, pod, "worker")
    return pod


def use_up_memory(user: User) -> str:
    # The chief has the callbacks, and the chief is the worker that has been there longest.
    pods = {user.worker(worker_id) for worker_id in (0, 1)}
    user.order("eat")
    return eventually(lambda: next(iter(pods - running_workers(user)), ""), 120)


def kill(user: User, pod: str, command: str) -> None:
    # With its process goes the pod, and with that the connection.
    with contextlib.suppress(AssertionError):
        user.in_pod(pod, "python", "-c", KILL.format(command=command))


def running_workers(user: User) -> set[str]:
    return {str(pod["metadata"]["name"]) for pod in user.pods(places.WORKER_ROLE)}


def wait_for_replacement(user: User, lost: str) -> None:
    """Waits until two workers make steps, and the lost one is none of them."""

    def without_it(status: Mapping[str, Any]) -> bool:
        return all(lost not in worker["description"] for worker in status["workers"])

    user.wait_for_steps(2, without_it)


@pytest.mark.parametrize(
    ("hurt", "said"),
    [
        (delete_pod, "is being deleted; another takes its place"),
        (kill_process, "was killed by SIGKILL"),
        (use_up_memory, "used all of the memory that it may have, 3Gi, and was killed"),
    ],
    ids=["deleted", "killed", "out of memory"],
)
def test_a_worker_is_lost(user: User, hurt: Callable[[User], str], said: str) -> None:
    patches = json.dumps({"worker_pod": SHARED_PROCESSES})
    with user.following(user.submission("--cluster_spec_json", patches)) as follower:
        user.wait_for_steps()
        lost = hurt(user)
        wait_for_replacement(user, lost)
        assert said in follower.stderr
        user.finish(follower)
    user.check_ledger()
    user.stop()


@pytest.mark.parametrize("how", ["deleted", "killed"])
def test_the_master_is_lost(user: User, how: str) -> None:
    patches = json.dumps({"master_pod": SHARED_PROCESSES})
    with user.following(user.submission("--cluster_spec_json", patches)) as follower:
        step = user.wait_for_steps()["step"]
        workers, master = running_workers(user), user.master()
        if how == "deleted":
            user.cluster.delete_pod(master)
        else:
            kill(user, master, "master-pod")
        eventually(lambda: "goes on at epoch" in follower.stderr, 120, follower)
        user.wait_for_steps(2, lambda status: status["step"] > step)
        # They have waited for it.
        assert running_workers(user) == workers
        user.finish(follower)
    user.check_ledger()
    user.stop()


def test_the_api_server_is_away_for_a_while(user: User) -> None:
    out_of_sight = "what happens to pods is not known for now"
    with relay_in_cluster(user.cluster) as relay:
        master = {"spec": {"hostAliases": [{"ip": relay.address, "hostnames": [API_SERVER]}]}}
        submission = user.submission(
            *("--cluster_spec_json", json.dumps({"master_pod": master})),
            *("--envs", f"KUBERNETES_SERVICE_HOST={API_SERVER},KUBERNETES_SERVICE_PORT=6443"),
        )
        with user.following(submission) as follower:
            user.wait_for_steps()
            lost = user.worker(1)
            assert out_of_sight not in follower.stderr
            relay.cut()
            eventually(lambda: out_of_sight in follower.stderr, 60, follower)
            user.cluster.delete_pod(lost)
            # The one that is left goes on, without anybody who could replace the other.
            user.wait_for_steps(1)
            assert lost not in running_workers(user)
            assert len(running_workers(user)) == 1
            relay.mend()
            wait_for_replacement(user, lost)
            user.finish(follower)
        user.check_ledger()
        user.stop()


class RelayPod:
    """A way to the API server that can be cut."""

    def __init__(self, cluster: Cluster, address: str) -> None:
        self._cluster = cluster
        self.address = address

    def cut(self) -> None:
        assert self._cluster.exec("relay", ["touch", CUT]).exit_code == 0

    def mend(self) -> None:
        assert self._cluster.exec("relay", ["rm", CUT]).exit_code == 0


@contextlib.contextmanager
def relay_in_cluster(cluster: Cluster) -> Iterator[RelayPod]:
    cluster.create(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "relay"},
            "data": {"relay.py": RELAY.read_text(encoding="utf-8")},
        }
    )
    api_server = "$KUBERNETES_SERVICE_HOST $KUBERNETES_SERVICE_PORT"
    container = {
        "name": places.CONTAINER,
        "image": IMAGE,
        "command": ["sh", "-c", f"exec python /relay/relay.py {api_server} {RELAY_PORT}"],
        "volumeMounts": [{"name": "relay", "mountPath": "/relay"}],
    }
    volumes = [{"name": "relay", "configMap": {"name": "relay"}}]
    cluster.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "relay"},
            "spec": {"containers": [container], "volumes": volumes},
        }
    )
    eventually(lambda: cluster.read("Pod", "relay")["status"]["phase"] == "Running", 60)
    eventually(lambda: cluster.exec("relay", ["test", "-e", LISTENS]).exit_code == 0, 60)
    yield RelayPod(cluster, cluster.read("Pod", "relay")["status"]["podIP"])
    cluster.delete_pod("relay", 0)
