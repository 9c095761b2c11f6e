"""Lists the shards of the job's data sets.

A user's reader is run in a process of its own, because its model definition file imports
TensorFlow, which the master does not: the master stays small, starts fast, and outlives whatever
that code does. Run as a module, this file is that process: a request as JSON on standard input,
a reply as JSON on what was standard output.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

from elasticdl_like.config import JobConfig
from elasticdl_like.data_readers.reading import list_shards
from elasticdl_like.data_readers.registry import make_reader
from elasticdl_like.errors import DataError, ElasticdlError, PermanentError, ReaderError
from elasticdl_like.master.shard_codec import shards_from_plain, shards_to_plain
from elasticdl_like.tasks import Shard, TaskType

_LAST_LINES = 5
_FLAGS = {
    TaskType.TRAINING: "--training_data",
    TaskType.EVALUATION: "--validation_data",
    TaskType.PREDICTION: "--prediction_data",
}


def list_job_shards(
    config: JobConfig, log_path: Path
) -> tuple[tuple[Shard, ...], tuple[Shard, ...]]:
    """Returns the shards of the job's epochs, and of what is evaluated in between (empty for none).

    Args:
        config: the job.
        log_path: gets what a user's reader prints.

    Raises:
        ElasticdlError: the data cannot be found or read, or the reader is not right.
    """
    if config.data.custom_data_reader:
        return _list_in_subprocess(config, log_path)
    return _list_here(config)


def _list_here(config: JobConfig) -> tuple[tuple[Shard, ...], tuple[Shard, ...]]:
    shards = _list_origin(config, _FLAGS[config.task_type], config.data_origin)
    if not config.splits_tasks:
        # Every task whole, however the data is stored.
        shards = tuple(replace(shard, splits=()) for shard in shards)
    validation: tuple[Shard, ...] = ()
    if config.task_type is TaskType.TRAINING and config.data.validation_data:
        flag = _FLAGS[TaskType.EVALUATION]
        validation = _list_origin(config, flag, config.data.validation_data)
    return shards, validation


def _list_origin(config: JobConfig, flag: str, origin: str) -> tuple[Shard, ...]:
    try:
        reader = make_reader(
            *(origin, config.data, config.model, config.training.records_per_task),
            config.index_dir,
        )
        return list_shards(reader)
    except DataError as error:
        raise DataError(f"{flag}: {error}") from error


def _list_in_subprocess(
    config: JobConfig, log_path: Path
) -> tuple[tuple[Shard, ...], tuple[Shard, ...]]:
    with log_path.open("ab") as log:
        finished = subprocess.run(
            [sys.executable, "-m", "elasticdl_like.master.shard_listing"],
            input=config.to_json().encode(),
            stdout=subprocess.PIPE,
            stderr=log,
            check=False,
        )
    try:
        reply = json.loads(finished.stdout)
    except ValueError:
        lines = log_path.read_text(encoding="utf-8", errors="replace").splitlines()
        raise ReaderError(
            f"the process that lists the shards ended with exit code {finished.returncode}; "
            f"its output is in {log_path}" + "".join(f"\n  {line}" for line in lines[-_LAST_LINES:])
        ) from None
    if "error" in reply:
        raise PermanentError(reply["error"])
    shards, validation = (
        tuple(shards_from_plain(table)) for table in (reply["shards"], reply["validation"])
    )
    return shards, validation


def main() -> None:
    """Answers the request on standard input."""
    # What the user's code prints goes to the log, not into the reply.
    reply_file = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    reply: dict[str, Any]
    try:
        shards, validation = _list_here(JobConfig.from_json(sys.stdin.read()))
        reply = {"shards": shards_to_plain(shards), "validation": shards_to_plain(validation)}
    except ElasticdlError as error:
        traceback.print_exception(error)
        reply = {"error": str(error)}
    with reply_file:
        json.dump(reply, reply_file)


if __name__ == "__main__":
    main()
