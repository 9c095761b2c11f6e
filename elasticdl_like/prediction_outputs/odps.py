"""Predictions as rows of a table of MaxCompute."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elasticdl_like.data_readers.odps.access import find_access
from elasticdl_like.data_readers.odps.location import OdpsLocation
from elasticdl_like.data_readers.odps.uploads import MAX_BLOCKS
from elasticdl_like.data_readers.odps.writer import DEFAULT_RETRY_TIMEOUT_S, OdpsWriter
from elasticdl_like.errors import ConfigError, DataError
from elasticdl_like.prediction_outputs.base import SharedOutput
from elasticdl_like.prediction_outputs.task_blocks import TaskBlocks
from elasticdl_like.tasks import Shard, Task


class OdpsPredictionOutputsProcessor(SharedOutput):
    """Writes predictions into a table of MaxCompute, a row for each record, each row once.

    All tasks are blocks of one upload session, which is committed at the end of the job: nothing
    can be seen in the table before, and a task that is tried again takes the place of its first
    try. In a model definition file::

        class PredictionOutputsProcessor(OdpsPredictionOutputsProcessor):
            def __init__(self):
                super().__init__("project.predictions", ["cat", "dog"], ["double", "double"])

    Args:
        table: `odps://project/table/ds=20260101`, `project.table` or `table`; made if missing.
        columns: the names of the columns.
        column_types: their types, in the words of MaxCompute.
        partition: the partition, if `table` does not name it: `ds=20260101,hh=01`.
        retry_timeout: for how many seconds a request may fail before it is given up.
        project, access_id, access_key, security_token, endpoint, tunnel_endpoint: where the
            service is, and the credentials; environment variables stand in for them.

    Raises:
        ConfigError: something is missing, or there are not as many types as columns.
    """

    def __init__(
        self,
        table: str,
        columns: Sequence[str],
        column_types: Sequence[str],
        *,
        partition: str = "",
        retry_timeout: float = DEFAULT_RETRY_TIMEOUT_S,
        project: str = "",
        access_id: str = "",
        access_key: str = "",
        security_token: str = "",
        endpoint: str = "",
        tunnel_endpoint: str = "",
    ) -> None:
        if len(columns) != len(column_types) or not columns:
            raise ConfigError(
                f"the output table {table} has {len(columns)} columns and {len(column_types)} "
                "column_types; there is one for each"
            )
        location = OdpsLocation.parse(table)
        location = OdpsLocation(location.project, location.table, partition or location.partition)
        self._columns = dict(zip(columns, column_types, strict=True))
        access = find_access(
            {
                "project": project or location.project,
                "access_id": access_id,
                "access_key": access_key,
                "security_token": security_token,
                "endpoint": endpoint,
                "tunnel_endpoint": tunnel_endpoint,
            }
        )
        self._writer = OdpsWriter(access, location, retry_timeout)
        self._session_id = ""
        self._blocks = TaskBlocks(0, {})

    def to_columns(self, predictions: Any, task: Task) -> Mapping[str, Any]:
        """Returns predictions as columns; to be overridden where it does something else.

        Args:
            predictions: of the records of the task: an array of shape (records, columns), or
                (records,) for one column; a list or tuple of one array for each column; or a dict
                of these by name.
            task: the records.

        Raises:
            DataError: there are not as many arrays as columns.
        """
        if isinstance(predictions, Mapping):
            return predictions
        if isinstance(predictions, list | tuple):
            arrays = [np.asarray(each) for each in predictions]
        else:
            array = np.asarray(predictions)
            arrays = [array] if array.ndim == 1 else list(np.moveaxis(array, 1, 0))
        if len(arrays) != len(self._columns):
            raise DataError(
                f"the predictions have {len(arrays)} columns, and the table {self._writer.name} "
                f"has {len(self._columns)}: {', '.join(self._columns)}"
            )
        return dict(zip(self._columns, arrays, strict=True))

    def begin(self, shards: Sequence[Shard], records_per_task: int) -> str:
        """Opens the table, which is made if it is missing, and an upload session.

        Raises:
            ConfigError: there are too many tasks, or the credentials are wrong.
            DataError: the table has other columns, or the service does not answer.
        """
        blocks = TaskBlocks.of(shards, records_per_task)
        if blocks.num_blocks > MAX_BLOCKS:
            raise ConfigError(
                f"{blocks.num_blocks:,} tasks are more than the {MAX_BLOCKS:,} blocks that an "
                "upload to MaxCompute can have; make tasks larger with --num_minibatches_per_task"
            )
        self._writer.open_table(self._columns)
        return json.dumps([self._writer.begin(), blocks.to_json()])

    def join(self, state: str) -> None:
        """Takes part in an upload.

        Raises:
            DataError: `begin` did not return this.
        """
        try:
            session_id, blocks = json.loads(state)
        except (ValueError, TypeError) as error:
            raise DataError(f"this is no output of predictions: {error}") from error
        self._session_id, self._blocks = str(session_id), TaskBlocks.from_json(blocks)

    def process_task(self, predictions: Any, task: Task) -> None:
        """Writes the predictions of a task as one block.

        Raises:
            DataError: they do not fit the table, are not one for each record, or the task is not a
                whole one; or the block cannot be sent.
            ConfigError: the credentials are wrong.
        """
        number = self._blocks.number(task)
        columns: dict[str, NDArray[Any]] = {
            name: np.asarray(column) for name, column in self.to_columns(predictions, task).items()
        }
        for name, column in columns.items():
            if len(column) != task.size:
                raise DataError(
                    f"{task}: {len(column)} predictions in column {name!r} for {task.size} records"
                )
        with self._writer.open_block(self._session_id, number) as write:
            write(columns)

    def commit(self) -> None:
        """Makes all blocks part of the table, if that has not been done already.

        Raises:
            DataError: a block is missing, or the session has expired; nothing was committed.
            ConfigError: the credentials are wrong.
        """
        self._writer.commit(self._session_id, range(self._blocks.num_blocks))
