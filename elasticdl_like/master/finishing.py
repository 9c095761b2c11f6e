"""The end of an evaluation or prediction: who makes a result of it, and when."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from elasticdl_like.config import JobKind
from elasticdl_like.errors import InvalidRequestError
from elasticdl_like.master import events
from elasticdl_like.master.job_core import JobCore
from elasticdl_like.master.prediction_output import PredictionOutput
from elasticdl_like.tasks import EpochKey, Finish, FinishReply, TaskType

_logger = logging.getLogger(__name__)


class Finishing:
    """Answers workers that have come to the end of an evaluation or prediction.

    Args:
        core: the job.
        lock: whoever has it has the job to itself.
        do: applies an event, writes it down, and returns what it returns.
        check_caller: raises an error if a worker, an incarnation and a round are not part of the
            job; called with the lock.
    """

    def __init__(
        self,
        core: JobCore,
        lock: threading.Lock,
        do: Callable[[Any], Any],
        check_caller: Callable[[int, str, int], None],
    ) -> None:
        self._core = core
        self._lock = lock
        self._do = do
        self._check_caller = check_caller

    def finish_epoch(
        self, worker_id: int, incarnation: str, key: EpochKey, round_number: int = 0
    ) -> FinishReply:
        """Returns what a worker is to do that finds nothing more to lease in an epoch.

        Raises:
            UnknownWorkerError: the worker is not, or no longer, part of the job.
            RoundOverError: its round is over.
            InvalidRequestError: the epoch never began, or is not one that is finished so.
            JobFailedError: the job is over.
        """
        with self._lock:
            self._check_caller(worker_id, incarnation, round_number)
            queue = self._core.queue
            if key.type is TaskType.EVALUATION:
                if queue.epochs.is_reported(key):
                    return FinishReply(Finish.DONE)
                sums = queue.epochs.sums(key)
                if sums is None:
                    return FinishReply(Finish.WAIT)
                return FinishReply(Finish.FINISH, tuple(sums))
            output = self._core.predicting()
            if key.type is not TaskType.PREDICTION:
                raise InvalidRequestError(f"worker {worker_id} cannot finish {key}")
            finish = output.finish(worker_id) if queue.ended else Finish.WAIT
            if finish is None:
                self._do(events.FinisherChosen(worker_id))
                finish = Finish.FINISH
            return FinishReply(finish)

    def report_evaluation(
        self,
        worker_id: int,
        incarnation: str,
        key: EpochKey,
        metrics: Mapping[str, float],
        round_number: int = 0,
    ) -> None:
        """Keeps the result of an evaluation; reporting it again replaces it.

        Raises:
            UnknownWorkerError: the worker is not, or no longer, part of the job.
            RoundOverError: its round is over.
            InvalidRequestError: the job evaluates, and not all records are evaluated.
            JobFailedError: the job is over.
        """
        with self._lock:
            self._check_caller(worker_id, incarnation, round_number)
            # The loss first, the others by name: a message's map has no order.
            metrics = dict(sorted(metrics.items(), key=lambda item: (item[0] != "loss", item[0])))
            at_step = f" at step {key.step} (epoch {key.epoch + 1})"
            if self._core.config.kind is JobKind.EVALUATION:
                at_step = ""
                if self._core.queue.epochs.sums(key) is None:
                    raise InvalidRequestError(
                        f"worker {worker_id} has a result of {key}, which has not ended"
                    )
                if self._core.queue.epochs.is_reported(key):
                    return  # several may have got the sums, and they are the same
            self._do(events.Evaluated((str(key.type), key.epoch, key.step), metrics))
            shown = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())
            _logger.info("evaluation%s: %s", at_step, shown)

    def begin_output(
        self, worker_id: int, incarnation: str, state: str, round_number: int = 0
    ) -> str:
        """Keeps what all workers need to take part in one output, unless there is such a state.

        Args:
            worker_id: the worker.
            incarnation: its process.
            state: what it has begun; "" to ask.
            round_number: the round that it trains in; 0 where it works alone.

        Returns:
            The state that is kept; "" as long as there is none.

        Raises:
            UnknownWorkerError: the worker is not, or no longer, part of the job.
            InvalidRequestError: the job has no such output.
            JobFailedError: the job is over.
        """
        with self._lock:
            self._check_caller(worker_id, incarnation, round_number)
            output = self._shared_output()
            if state and not output.state:
                self._do(events.OutputBegun(state))
            return output.state

    def report_output(
        self, worker_id: int, incarnation: str, key: EpochKey, round_number: int = 0
    ) -> None:
        """Notes that a worker has ended the output; again changes nothing.

        Raises:
            UnknownWorkerError: the worker is not, or no longer, part of the job.
            InvalidRequestError: not all records are predicted, or the job has no such output.
            JobFailedError: the job is over.
        """
        with self._lock:
            self._check_caller(worker_id, incarnation, round_number)
            output = self._shared_output()
            if not self._core.queue.ended:
                raise InvalidRequestError(
                    f"worker {worker_id} has committed the output of {key}, which has not ended"
                )
            if not output.is_done:
                self._do(events.OutputPublished())
                _logger.info("the output is committed, by worker %d", worker_id)

    def _shared_output(self) -> PredictionOutput:
        output = self._core.predicting()
        if output.in_files:
            raise InvalidRequestError(
                "the predictions of this job go into files, which the master publishes"
            )
        return output
