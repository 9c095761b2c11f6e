"""Evaluates a model: metrics over all records, not averages over batches."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import keras

from elasticdl_like.tasks import EpochKey, Finish
from elasticdl_like.time_spent import TimeSpent
from elasticdl_like.worker.counted_commits import CountedCommits
from elasticdl_like.worker.dataset import BatchPipeline
from elasticdl_like.worker.master_client import MasterClient
from elasticdl_like.worker.metric_sums import MetricSums
from elasticdl_like.worker.train_step import split_batch, zeros_like_spec
from elasticdl_like.worker.waits import awaited

_logger = logging.getLogger(__name__)

_POLL_INTERVAL_S = 0.1


class Evaluator:
    """Evaluates a model, together with as many other workers as there are.

    What a batch contributes to the loss and the metrics goes to the master with the commit of its
    records, and counts if, and only if, the commit does. So each record counts once, whichever
    workers have looked at it.

    Args:
        client: leases the validation data.
        pipeline: makes batches of it.
        model: the model.
        loss: the user's loss.
        metrics: `{name: Keras metric, or function of (labels, predictions)}`.
        time_spent: measures the waits for a batch.
    """

    def __init__(
        self,
        client: MasterClient,
        pipeline: BatchPipeline,
        model: keras.Model,
        loss: Callable[..., Any],
        metrics: Mapping[str, Any],
        time_spent: TimeSpent,
    ) -> None:
        self._client = client
        self._pipeline = pipeline
        self._time_spent = time_spent
        self._sums = MetricSums(model, loss, metrics)

    def take_part(self, key: EpochKey) -> None:
        """Evaluates the model as it is now on what this worker gets, until all records are done.

        Records that cannot be used are reported as such, and are no part of the result.

        Args:
            key: names the evaluation.

        Raises:
            ElasticdlError: the data cannot be read, or a function of the model file failed.
        """
        while not self._use_stream(key):
            _logger.info("%s: others had a part of what was evaluated here; going on anew", key)

    def finish(self, key: EpochKey) -> dict[str, float]:
        """Makes the result of an evaluation that workers took part in, and reports it.

        Returns:
            `{name: value}`, the loss among them; `{}` if another worker has reported it.

        Raises:
            ElasticdlError: a metric failed, or the master has no more use for the evaluation.
        """
        while (reply := self._client.finish_epoch(key)).finish is Finish.WAIT:
            time.sleep(_POLL_INTERVAL_S)
        if reply.finish is Finish.DONE:
            return {}
        # There need not have been a batch for this worker.
        self._sums.build(*split_batch(zeros_like_spec(self._pipeline.element_spec)))
        results = self._sums.results(reply.sums)
        self._client.report_evaluation(key, results)
        return results

    def _use_stream(self, key: EpochKey) -> bool:
        """Evaluates what one stream leases; returns whether all of that was counted."""
        commits = CountedCommits(self._client, key)
        with commits.stream as stream:
            batches = awaited(self._pipeline.batches(stream), self._time_spent)
            for batch in batches:
                if commits.are_refused:
                    commits.give_up(batches)
                elif batch.problem:
                    commits.fail(batch.pieces, batch.problem)
                elif batch.data is None:
                    commits.send(batch.pieces)
                else:
                    commits.send(batch.pieces, self._sums.of_batch(*split_batch(batch.data)))
        return not commits.are_refused
