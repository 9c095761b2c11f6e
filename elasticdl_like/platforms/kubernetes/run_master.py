"""What runs in the master pod: the master of a job, and the pods of its workers."""

from __future__ import annotations

import contextlib
import json
import logging
import queue
import signal
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from elasticdl_like.config import DistributionStrategy, JobConfig, TlsConfig
from elasticdl_like.errors import ConfigError
from elasticdl_like.job_directory import JobDirectory, JobState
from elasticdl_like.master.main import Master, MasterConfig, run_master
from elasticdl_like.master.progress import JobStatus
from elasticdl_like.master.reports import load_status
from elasticdl_like.master.trained_model import with_trained_model
from elasticdl_like.platforms.kubernetes import places
from elasticdl_like.platforms.kubernetes.client import Cluster
from elasticdl_like.platforms.kubernetes.fleet import FleetLimits, PodFleet
from elasticdl_like.platforms.kubernetes.job_owner import belongs_to, give_to
from elasticdl_like.platforms.kubernetes.manifests import owner_reference, worker_pod
from elasticdl_like.platforms.kubernetes.pod_orders import Answer, ClusterOrders
from elasticdl_like.platforms.kubernetes.settings import KubernetesSettings
from elasticdl_like.platforms.kubernetes.watch import PodChange, PodWatch
from elasticdl_like.window.server import WindowConfig, serve_window

_logger = logging.getLogger(__name__)

_TICK_S = 0.1
_GOODBYE_S = 10.0
_ANY_ADDRESS = "0.0.0.0"


class AskedToEnd:
    """Notes that the pod is being ended: its job goes on in another one."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        signal.signal(signal.SIGTERM, self._note)

    def __bool__(self) -> bool:
        return self._asked.is_set()

    def _note(self, signal_number: int, frame: FrameType | None) -> None:
        self._asked.set()


def read_job(directory: Path) -> tuple[JobConfig, KubernetesSettings]:
    """Returns the job and its settings, from the files of the ConfigMap.

    Raises:
        ConfigError: they cannot be read.
    """
    try:
        job = (directory / places.JOB_FILE).read_text(encoding="utf-8")
        settings = (directory / places.SETTINGS_FILE).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{error.filename} cannot be read: {error.strerror}; the ConfigMap of the job has it"
        ) from error
    return JobConfig.from_json(job), KubernetesSettings.from_json(settings)


def run_kubernetes_master(
    config: JobConfig,
    settings: KubernetesSettings,
    name: str,
    root_uid: str,
    cluster: Cluster,
    on_progress: Callable[[JobStatus], None],
    asked_to_end: AskedToEnd,
) -> JobStatus:
    """Runs a job to its end, or until the pod is ended; one that was cut off goes on.

    Args:
        config: the job, with paths as the pods see them.
        settings: how it runs on Kubernetes.
        name: the job's name in the cluster.
        root_uid: of the object that everything of the job belongs to.
        cluster: where the pods of workers are created.
        on_progress: called a few times a second, and once at the end.
        asked_to_end: whether the pod is being ended.

    Returns:
        How the job stands; it is still running where another pod goes on with it.

    Raises:
        ElasticdlError: the job could not be started.
    """
    secret = Path(places.SECRET_DIRECTORY)
    directory = Path(places.job_directory(name))
    # An earlier job is removed once, and not what a master before this one has done of this job.
    overwrite = settings.run.overwrite and not belongs_to(directory, root_uid)
    master_config = MasterConfig(
        job_directory=directory,
        overwrite=overwrite,
        host=_ANY_ADDRESS,
        port=places.MASTER_PORT,
        tls=TlsConfig(
            cert_file=str(secret / places.CERT_FILE), key_file=str(secret / places.KEY_FILE)
        ),
        journal_sync=settings.run.journal_sync,
        allow_changed_data=settings.run.allow_changed_data,
        token=_read_token(secret / places.TOKEN_FILE),
    )
    owner = owner_reference(name, root_uid)
    news: queue.SimpleQueue[PodChange | Answer] = queue.SimpleQueue()
    config = with_trained_model(config, JobDirectory(directory), overwrite)
    # On loopback: seen by those who may forward a port of the pod, and by nobody else.
    window = WindowConfig(port=places.STATUS_PAGE_PORT)
    with run_master(config, master_config) as master, serve_window(master, window):
        _logger.info(
            "to see it: kubectl port-forward --namespace %s job/%s %d",
            settings.namespace,
            name,
            places.STATUS_PAGE_PORT,
        )
        # Its certificate is for names, not for any address.
        master.directory.save_endpoint(f"localhost:{places.MASTER_PORT}")
        give_to(directory, root_uid)
        job = master.job
        selector = places.pod_selector(name, places.WORKER_ROLE)
        with ClusterOrders(
            cluster,
            lambda worker_id, incarnation: worker_pod(
                settings, name, owner, worker_id, incarnation
            ),
            news.put,
            time.monotonic,
        ) as orders:
            fleet = PodFleet(
                job,
                orders,
                FleetLimits(settings.run.max_worker_restarts, _most_pods(config)),
                time.monotonic,
                lambda: uuid.uuid4().hex,
            )
            with PodWatch(cluster, selector, news.put, time.monotonic) as watch:
                if master.goes_on:
                    _say_where_it_goes_on(job.status())
                while job.state is JobState.RUNNING and not asked_to_end:
                    _take(news, fleet)
                    fleet.watch()
                    master.tick()
                    on_progress(job.status())
                    if not (watch.is_alive and orders.is_alive):
                        # Started again, this process does better than without one of them.
                        raise RuntimeError("a thread that talks to Kubernetes has died, see above")
                if not asked_to_end:
                    _see_off(master, fleet, news)
        _logger.info("requests to Kubernetes: %s", json.dumps(cluster.calls, sort_keys=True))
        status = job.status()
        on_progress(status)
        return status


def wait_for_predecessor(name: str, asked_to_end: AskedToEnd) -> None:
    """Waits until the master that this one replaces has let go of the job directory.

    The cluster starts another master pod when the last one begins to end, and not when it has.
    """
    if has_another_master(name):
        _logger.info("the job directory is in use by the master before this one; waiting for it")
    while has_another_master(name) and not asked_to_end:
        time.sleep(_TICK_S)


def has_another_master(name: str) -> bool:
    """Returns whether a master has the job directory that is not of this process."""
    return JobDirectory(Path(places.job_directory(name))).in_use()


def had_finished(name: str, root_uid: str) -> bool:
    """Returns whether this very job had finished before this container was started.

    Raises:
        ElasticdlError: the job directory cannot be read.
    """
    directory = Path(places.job_directory(name))
    return belongs_to(directory, root_uid) and bool(
        load_status(directory)["state"] == JobState.FINISHED
    )


def _see_off(master: Master, fleet: PodFleet, news: queue.SimpleQueue[PodChange | Answer]) -> None:
    """Answers workers until they know that the job is over, and ends those that do not go."""
    master.save()
    fleet.dismiss()
    deadline_s = time.monotonic() + _GOODBYE_S
    while fleet.pods and time.monotonic() < deadline_s:
        _take(news, fleet)
    fleet.end()


def _take(news: queue.SimpleQueue[PodChange | Answer], fleet: PodFleet) -> None:
    """Waits for news, for a tick at most, and passes on what there is."""
    with contextlib.suppress(queue.Empty):
        fleet.note(news.get(timeout=_TICK_S))
        while True:
            fleet.note(news.get_nowait())


def _most_pods(config: JobConfig) -> int:
    """Returns how many workers may be registered at once, or 0 for no limit."""
    if not config.trains_model:
        return 0
    if config.distribution_strategy is DistributionStrategy.ALL_REDUCE:
        return config.workers.max_workers
    return 1


def _read_token(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}; the Secret of the job has it"
        ) from error


def _say_where_it_goes_on(status: JobStatus) -> None:
    _logger.info(
        "job %s goes on at epoch %d, step %s", status.job, status.epoch + 1, f"{status.step:,}"
    )
