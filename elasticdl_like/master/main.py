"""A master from its start to its end: directory, shards, server, ledger."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from elasticdl_like.config import JobConfig
from elasticdl_like.data_readers.registry import custom_reader_name
from elasticdl_like.errors import ConfigError, ElasticdlError
from elasticdl_like.job_directory import JobDirectory, JobState
from elasticdl_like.master.job import Job
from elasticdl_like.master.server import serve
from elasticdl_like.master.shard_listing import list_job_shards

_logger = logging.getLogger(__name__)

_SAVE_INTERVAL_S = 1.0


@dataclass(frozen=True)
class MasterConfig:
    """How the master itself runs.

    Attributes:
        job_directory: where the job is kept.
        overwrite: remove an earlier job from there.
        host: the name or address to listen on; loopback unless workers run elsewhere.
        port: the port, or 0 for a free one.
        worker_timeout_s: a silent worker that no platform watches is lost after this time.
    """

    job_directory: Path
    overwrite: bool = False
    host: str = "127.0.0.1"
    port: int = 0
    worker_timeout_s: float = 10.0


class Master:
    """A running master.

    Attributes:
        job: its job.
        address: where workers find it.
        directory: where the job is kept.
    """

    def __init__(self, job: Job, address: str, directory: JobDirectory) -> None:
        self.job = job
        self.address = address
        self.directory = directory
        self._started_at = time.time()
        self._saved_s = 0.0
        self.save()

    def tick(self) -> None:
        """Does what is due; to be called a few times a second."""
        self.job.lose_silent_workers()
        if time.monotonic() - self._saved_s > _SAVE_INTERVAL_S:
            self.save()

    def save(self) -> None:
        """Writes the state and the ledger to the job directory."""
        status = self.job.status()
        self.directory.save_ledger(self.job.ledger())
        self.directory.save_job(
            {
                "job": self.job.config.name,
                "state": status.state,
                "reason": status.reason,
                "started_at": self._started_at,
                "status": status.to_plain(),
                "config": json.loads(self.job.config.to_json()),
            }
        )
        self._saved_s = time.monotonic()


@contextmanager
def run_master(config: JobConfig, master_config: MasterConfig) -> Iterator[Master]:
    """Runs the master of a new job as long as the context lasts.

    Raises:
        JobDirectoryError: the directory is in use, or holds another job.
        ElasticdlError: the data cannot be read, the reader is not right, the port is in use, ….
    """
    config = dataclasses.replace(
        config,
        data=dataclasses.replace(
            config.data, custom_data_reader=custom_reader_name(config.data, config.model)
        ),
    )
    directory = JobDirectory(master_config.job_directory)
    with directory.own(master_config.overwrite):
        # An earlier job stays until it is known that this one can start.
        training, validation = list_job_shards(config, directory.logs / "shards.log")
        _prepare_places(config, directory)
        job = Job(config, training, validation, master_config.worker_timeout_s, time.monotonic)
        with serve(job, master_config.host, master_config.port) as address:
            directory.clear()
            directory.save_endpoint(address)
            master = Master(job, address, directory)
            _logger.info("master of job %s listens on %s", config.name, address)
            try:
                yield master
            except ElasticdlError as error:
                job.fail(str(error))
                raise
            except BaseException:
                job.interrupt()
                raise
            finally:
                master.save()


def run_stand_alone(config: JobConfig, master_config: MasterConfig) -> Job:
    """Serves a job until it is over, to workers that are started elsewhere, and returns it."""
    with run_master(config, master_config) as master:
        while master.job.state is JobState.RUNNING:
            master.tick()
            time.sleep(0.1)
        return master.job


def _prepare_places(config: JobConfig, directory: JobDirectory) -> None:
    """Makes sure, before hours of training, that what they lead to can be written."""
    initial = config.checkpoint.directory_for_init
    if initial and not Path(initial).is_dir():
        raise ConfigError(f"--checkpoint_dir_for_init: there is no directory {initial}")
    if initial and Path(initial).is_relative_to(directory.checkpoints):
        raise ConfigError(
            f"--checkpoint_dir_for_init {initial} is in --job_dir, where --overwrite would remove "
            "it; choose another --job_dir"
        )
    places = {"--output": config.output}
    if config.checkpoint.steps:
        places["--checkpoint_dir"] = config.checkpoint.directory
    for flag, place in places.items():
        if not place:
            continue
        try:
            Path(place).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{flag} {place} cannot be made: {error.strerror}") from error
        if not os.access(place, os.W_OK):
            raise ConfigError(f"{flag} {place} cannot be written to")
