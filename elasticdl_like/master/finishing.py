"""The end of an evaluation or prediction: who makes a result of it, and when."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from elasticdl_like.config import JobKind
from elasticdl_like.errors import InvalidRequestError
from elasticdl_like.master import events
from elasticdl_like.master.caller import Caller
from elasticdl_like.master.prediction_output import PredictionOutput
from elasticdl_like.master.shared_core import SharedCore
from elasticdl_like.tasks import EpochKey, Finish, FinishReply, TaskType

_logger = logging.getLogger(__name__)


class Finishing:
    """Answers workers that have come to the end of an evaluation or prediction.

    Args:
        shared: the job, behind its lock.
    """

    def __init__(self, shared: SharedCore) -> None:
        self._shared = shared
        self._core = shared.core

    def finish_epoch(self, caller: Caller, key: EpochKey) -> FinishReply:
        """Returns what a worker is to do that finds nothing more to lease in an epoch.

        Raises:
            UnknownWorkerError: the worker is not, or no longer, part of the job.
            RoundOverError: its round is over.
            InvalidRequestError: the epoch never began, or is not one that is finished so.
            JobFailedError: the job is over.
        """
        with self._shared.lock:
            self._shared.hear(caller)
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
                raise InvalidRequestError(f"worker {caller.worker_id} cannot finish {key}")
            finish = output.finish(caller.worker_id) if queue.ended else Finish.WAIT
            if finish is None:
                self._shared.do(events.FinisherChosen(caller.worker_id))
                finish = Finish.FINISH
            return FinishReply(finish)

    def report_evaluation(
        self,
        caller: Caller,
        key: EpochKey,
        metrics: Mapping[str, float],
    ) -> None:
        """Keeps the result of an evaluation; reporting it again replaces it.

        Raises:
            UnknownWorkerError: the worker is not, or no longer, part of the job.
            RoundOverError: its round is over.
            InvalidRequestError: the job evaluates, and not all records are evaluated.
            JobFailedError: the job is over.
        """
        with self._shared.lock:
            self._shared.hear(caller)
            # The loss first, the others by name: a message's map has no order.
            metrics = dict(sorted(metrics.items(), key=lambda item: (item[0] != "loss", item[0])))
            at_step = f" at step {key.step} (epoch {key.epoch + 1})"
            if self._core.config.kind is JobKind.EVALUATION:
                at_step = ""
                if self._core.queue.epochs.sums(key) is None:
                    raise InvalidRequestError(
                        f"worker {caller.worker_id} has a result of {key}, which has not ended"
                    )
                if self._core.queue.epochs.is_reported(key):
                    return  # several may have got the sums, and they are the same
            self._shared.do(events.Evaluated((str(key.type), key.epoch, key.step), metrics))
            shown = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())
            _logger.info("evaluation%s: %s", at_step, shown)

    def begin_output(self, caller: Caller, state: str) -> str:
        """Keeps what all workers need to take part in one output, unless there is such a state.

        Args:
            caller: who calls.
            state: what it has begun; "" to ask.

        Returns:
            The state that is kept; "" as long as there is none.

        Raises:
            UnknownWorkerError: the worker is not, or no longer, part of the job.
            InvalidRequestError: the job has no such output.
            JobFailedError: the job is over.
        """
        with self._shared.lock:
            self._shared.hear(caller)
            output = self._shared_output()
            if state and not output.state:
                self._shared.do(events.OutputBegun(state))
            return output.state

    def report_output(self, caller: Caller, key: EpochKey) -> None:
        """Notes that a worker has ended the output; again changes nothing.

        Raises:
            UnknownWorkerError: the worker is not, or no longer, part of the job.
            InvalidRequestError: not all records are predicted, or the job has no such output.
            JobFailedError: the job is over.
        """
        with self._shared.lock:
            self._shared.hear(caller)
            output = self._shared_output()
            if not self._core.queue.ended:
                raise InvalidRequestError(
                    f"worker {caller.worker_id} has committed the output of {key}, which has not "
                    "ended"
                )
            if not output.is_done:
                self._shared.do(events.OutputPublished())
                _logger.info("the output is committed, by worker %d", caller.worker_id)

    def _shared_output(self) -> PredictionOutput:
        output = self._core.predicting()
        if output.in_files:
            raise InvalidRequestError(
                "the predictions of this job go into files, which the master publishes"
            )
        return output
