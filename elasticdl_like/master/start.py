"""How a job begins, and how one that was cut off goes on: from configuration to state."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from elasticdl_like.config import JobConfig
from elasticdl_like.errors import ConfigError, DataChangedError, JobDirectoryError
from elasticdl_like.job_directory import JobDirectory, JobState
from elasticdl_like.master.checkpoints import read_position
from elasticdl_like.master.data_changes import DataChange, compare_shards
from elasticdl_like.master.events import GoneOn, encode_event
from elasticdl_like.master.job_core import JobCore
from elasticdl_like.master.journal import Journal
from elasticdl_like.master.plan import Mark, Plan
from elasticdl_like.master.shard_listing import list_job_shards
from elasticdl_like.master.task_queue import TaskQueue
from elasticdl_like.tasks import Shard, TaskType

# What a job cannot change on its way: its ledger would not mean anything any more.
_FIXED_FIELDS = ("data", "model", "kind", "distribution_strategy", "inference")
_FIXED_TRAINING_FIELDS = ("seed", "shuffle")


def begin(
    config: JobConfig, directory: JobDirectory, allow_changed_data: bool
) -> tuple[list[Sequence[Shard]], TaskQueue]:
    """Returns the tables of shards and the queue of a new job.

    Args:
        config: what it is asked to do.
        directory: where it will be kept; an earlier job there stays as it is.
        allow_changed_data: whether it may go on from a checkpoint of other data.

    Raises:
        DataChangedError: the checkpoint to go on from was made with other data.
        ElasticdlError: the data cannot be read, the reader is not right, ….
    """
    shards, validation = list_job_shards(config, directory.logs / "shards.log")
    _check_sources(config, directory)
    _prepare_places(config)
    tables: list[Sequence[Shard]] = [shards]
    if validation:
        tables.append(validation)
    start: Mark | None = None
    dropped: tuple[str, ...] = ()
    if config.checkpoint.resume_from:
        position = read_position(Path(config.checkpoint.resume_from))
        start = position.mark
        change = compare_shards(position.shards, shards)
        if change:
            if not allow_changed_data:
                raise _changed(change.description)
            start = dataclasses.replace(start, table=len(tables))
            tables.append(position.shards)
            dropped = (*change.removed, *change.changed)
    plan = _plan(config, 0, 1 if validation else None)
    queue = TaskQueue(tables, plan, start)
    queue.replan(plan, dropped)
    return tables, queue


def go_on(
    core: JobCore,
    config: JobConfig | None,
    journal: Journal,
    directory: JobDirectory,
    allow_changed_data: bool,
) -> None:
    """Goes on with a job that was cut off, interrupted or failed.

    Args:
        core: the job as its journal tells it.
        config: what it is asked to do now, or None for the same as before.
        journal: gets the event; it is not flushed.
        directory: where the job is kept.
        allow_changed_data: whether the shards are listed again, and may be others.

    Raises:
        JobDirectoryError: the job has finished, or another one is asked for.
        ElasticdlError: the data cannot be read.
    """
    path = directory.path
    if core.state is JobState.FINISHED:
        raise JobDirectoryError(
            f"--job_dir {path} holds a job that has finished; nothing was changed. "
            "--overwrite starts anew, or choose another directory"
        )
    config = config or core.config
    changed = _differences(core.config, config)
    if changed:
        raise JobDirectoryError(
            f"--job_dir {path} holds a job that was started with other flags ({changed}); nothing "
            "was changed. Use the same flags to go on with it; --overwrite starts anew, or choose "
            "another directory"
        )
    _prepare_places(config)
    table = core.queue.plan.table
    validation_table = core.queue.plan.validation_table
    dropped: tuple[str, ...] = ()
    if allow_changed_data:
        shards, validation = list_job_shards(config, directory.logs / "shards.log")
        table, change = _renewed_table(core, journal, table, shards)
        dropped = (*change.removed, *change.changed)
        if validation_table is not None:
            validation_table, _ = _renewed_table(core, journal, validation_table, validation)
    event = GoneOn(
        config.to_json(),
        dataclasses.asdict(_plan(config, table, validation_table)),
        dropped,
        # Workers of a job that was over have been told so, those of another configuration have
        # to begin again, and with the power some may have lost what is not known any more.
        forget_workers=bool(
            core.state is not JobState.RUNNING or config != core.config or journal.num_lost
        ),
    )
    core.go_on(event)
    journal.append(*encode_event(event))


def check_data(core: JobCore, directory: JobDirectory) -> str:
    """Lists the shards again; returns what has changed since the job began, or "".

    Raises:
        ElasticdlError: the data cannot be read.
    """
    plan = core.queue.plan
    listed = list_job_shards(core.config, directory.logs / "shards.log")
    for table, shards in zip((plan.table, plan.validation_table), listed, strict=True):
        if table is not None:
            change = compare_shards(core.queue.tables.shards(table), shards)
            if change:
                return str(_changed(change.description))
    return ""


def _renewed_table(
    core: JobCore, journal: Journal, table: int, shards: Sequence[Shard]
) -> tuple[int, DataChange]:
    """Returns the number of the table with these shards, a new one if they have changed."""
    change = compare_shards(core.queue.tables.shards(table), shards)
    if not change:
        return table, change
    number = len(core.queue.tables)
    journal.add_table(number, shards)
    core.queue.tables.add(shards)
    return number, change


def _changed(description: str) -> DataChangedError:
    return DataChangedError(
        f"the data is not what it was when the job began: {description}; --allow_changed_data goes "
        "on: what is new comes in with the next epoch, what is gone or changed is left out of this "
        "one"
    )


def _plan(config: JobConfig, table: int, validation_table: int | None) -> Plan:
    training = config.training
    trains = config.task_type is TaskType.TRAINING
    return Plan(
        table,
        validation_table,
        training.records_per_task,
        training.num_epochs if trains else 1,
        training.seed if trains and training.shuffle else None,
        config.task_type,
    )


def _differences(before: JobConfig, now: JobConfig) -> str:
    changed = [name for name in _FIXED_FIELDS if getattr(before, name) != getattr(now, name)]
    changed += [
        name
        for name in _FIXED_TRAINING_FIELDS
        if getattr(before.training, name) != getattr(now.training, name)
    ]
    return ", ".join(changed)


def _check_sources(config: JobConfig, directory: JobDirectory) -> None:
    """Makes sure that the checkpoint to begin with is there, and stays."""
    for flag, place in (
        ("--checkpoint_dir_for_init", config.checkpoint.directory_for_init),
        ("--resume_from", config.checkpoint.resume_from),
    ):
        if place and not Path(place).is_dir():
            raise ConfigError(f"{flag}: there is no directory {place}")
        if place and Path(place).is_relative_to(directory.checkpoints):
            raise ConfigError(
                f"{flag} {place} is in --job_dir, where --overwrite would remove it; choose "
                "another --job_dir"
            )


def _prepare_places(config: JobConfig) -> None:
    """Makes sure, before hours of training, that what they lead to can be written."""
    places = {
        "--output": config.output,
        "--tensorboard_dir": config.training.tensorboard_dir,
    }
    if config.trains_model:
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
