"""A master from its start to its end: directory, journal, server."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elasticdl_like.config import JobConfig, TlsConfig
from elasticdl_like.data_readers.registry import custom_reader_name
from elasticdl_like.errors import ElasticdlError, JobDirectoryError, JournalWriteError
from elasticdl_like.job_directory import JobDirectory
from elasticdl_like.master.core_codec import core_to_plain
from elasticdl_like.master.job import Job
from elasticdl_like.master.job_core import JobCore
from elasticdl_like.master.journal import Journal, begin_journal
from elasticdl_like.master.output_files import prepare_output, publishing
from elasticdl_like.master.record_files import RecordFiles
from elasticdl_like.master.recovery import recover
from elasticdl_like.master.server import serve
from elasticdl_like.master.start import begin, check_data, go_on

_logger = logging.getLogger(__name__)

_SAVE_INTERVAL_S = 1.0


@dataclass(frozen=True)
class MasterConfig:
    """How the master itself runs.

    Attributes:
        job_directory: where the job is kept.
        overwrite: remove an earlier job from there.
        resume: there must be an earlier job to go on with.
        host: the name or address to listen on; loopback unless workers run elsewhere.
        port: the port, or 0 for a free one.
        tls: the master's certificate and key, and whose clients' certificates it trusts.
        insecure: listen beyond loopback without TLS.
        worker_timeout_s: a silent worker that no platform watches is lost after this time.
        journal_sync: "normal" to survive the death of the process, "full" the loss of power.
        allow_changed_data: go on although the data set has changed.
        resume_command: the command that goes on with the job, for people; "" to keep none.
        token: the job's token; "" for a random one, which is made with the job.
    """

    job_directory: Path
    overwrite: bool = False
    resume: bool = False
    host: str = "127.0.0.1"
    port: int = 0
    tls: TlsConfig = field(default_factory=TlsConfig)
    insecure: bool = False
    worker_timeout_s: float = 10.0
    journal_sync: str = "normal"
    allow_changed_data: bool = False
    resume_command: str = ""
    token: str = field(default="", repr=False)


class Master:
    """A running master.

    Attributes:
        job: its job.
        address: where workers find it.
        directory: where the job is kept.
        goes_on: whether the job was begun by an earlier master.
        problem: why the job cannot be written down just now, or "".
    """

    def __init__(
        self, job: Job, address: str, directory: JobDirectory, goes_on: bool, files: RecordFiles
    ) -> None:
        self.job = job
        self.address = address
        self.directory = directory
        self.goes_on = goes_on
        self.problem = ""
        self._files = files
        self._saved_s = 0.0
        # None: what an earlier master has written is not known.
        self._saved_quarantine: Any = None if goes_on else []

    def tick(self) -> None:
        """Does what is due; to be called a few times a second."""
        self.job.tick()
        if time.monotonic() - self._saved_s > _SAVE_INTERVAL_S:
            self.save()

    def save(self, at_end: bool = False) -> None:
        """Writes to the job directory what is not there yet; a full disk is waited for.

        Args:
            at_end: whether nothing more will happen.
        """
        self._saved_s = time.monotonic()
        try:
            self.job.flush()
            quarantined = self.job.view.ledger()["quarantined"]
            if quarantined != self._saved_quarantine:
                self.directory.save_quarantine(quarantined)
                self._saved_quarantine = quarantined
        except (JournalWriteError, JobDirectoryError) as error:
            self.problem = f"the job waits until it can be written down: {error}"
            _logger.warning("%s", self.problem)
        else:
            self.problem = ""
        # What has happened is durable before anybody reads of it.
        self._files.save(self.job.view, at_end)


@contextmanager
def run_master(config: JobConfig | None, master_config: MasterConfig) -> Iterator[Master]:
    """Runs the master of a job as long as the context lasts.

    A job that is in the directory and has not finished goes on; otherwise a new one begins.

    Args:
        config: what the job is asked to do; None for what the job in the directory was asked.
        master_config: how the master runs.

    Raises:
        JobDirectoryError: the directory is in use, or holds another job.
        JournalError: the journal of the job in the directory cannot be read.
        ElasticdlError: the data cannot be read, the reader is not right, the port is in use, ….
    """
    if config is not None:
        reader_name = custom_reader_name(config.data, config.model)
        config = dataclasses.replace(
            config, data=dataclasses.replace(config.data, custom_data_reader=reader_name)
        )
    directory = JobDirectory(master_config.job_directory)
    if (config is None or master_config.resume) and not directory.has_job():
        raise JobDirectoryError(f"--job_dir {directory.path} holds no job to go on with")
    with directory.own():
        goes_on = directory.has_job() and not master_config.overwrite
        if goes_on:
            journal, core = _go_on(config, master_config, directory)
        elif config is None:
            raise JobDirectoryError("--overwrite removes the job that --resume would go on with")
        else:
            journal, core = _begin(config, master_config, directory)
        try:
            files = RecordFiles(directory, time.time, time.monotonic)
            record = files.load() if goes_on else files.begin()
            record.begin(core, goes_on)
            job = Job(core, journal, time.monotonic, record)
            if goes_on:
                job.adopt_if_alone()
            job.flush()
            with (
                publishing(job.output_files, core.config.inference.output, job.fail),
                serve(
                    job,
                    master_config.host,
                    master_config.port,
                    directory.make_token(master_config.token),
                    master_config.tls,
                    master_config.insecure,
                ) as address,
            ):
                directory.save_endpoint(address)
                if master_config.resume_command:
                    directory.save_resume_command(master_config.resume_command)
                _logger.info("master of job %s listens on %s", core.config.name, address)
                if goes_on and not master_config.allow_changed_data:
                    _check_data_meanwhile(job, core, directory)
                yield from _run(Master(job, address, directory, goes_on, files))
        finally:
            journal.close()


def _run(master: Master) -> Iterator[Master]:
    try:
        yield master
    except ElasticdlError as error:
        master.job.fail(str(error))
        raise
    except BaseException:
        master.job.interrupt()
        raise
    finally:
        master.save(at_end=True)


def _begin(
    config: JobConfig, master_config: MasterConfig, directory: JobDirectory
) -> tuple[Journal, JobCore]:
    # An earlier job stays until it is known that this one can start.
    tables, queue = begin(config, directory, master_config.allow_changed_data)
    core = JobCore(config, queue, master_config.worker_timeout_s)
    prepare_output(core, master_config.overwrite)
    directory.clear()
    sync = master_config.journal_sync
    return begin_journal(directory.journal, tables, core_to_plain(core), sync), core


def _go_on(
    config: JobConfig | None, master_config: MasterConfig, directory: JobDirectory
) -> tuple[Journal, JobCore]:
    journal = Journal(directory.journal, create=False, sync=master_config.journal_sync)
    try:
        core = recover(journal, master_config.worker_timeout_s)
        if journal.num_lost:
            _logger.warning(
                "the last %d events were lost when the machine went down; --journal_sync full "
                "keeps them",
                journal.num_lost,
            )
        go_on(core, config, journal, directory, master_config.allow_changed_data)
        prepare_output(core, overwrite=False)
    except BaseException:
        journal.close()
        raise
    return journal, core


def _check_data_meanwhile(job: Job, core: JobCore, directory: JobDirectory) -> None:
    """Fails the job if its data has changed; a reader may take long to tell."""

    def check() -> None:
        try:
            changed = check_data(core, directory)
        except ElasticdlError as error:
            changed = str(error)
        if changed:
            job.fail(changed)

    threading.Thread(target=check, name="data check", daemon=True).start()
