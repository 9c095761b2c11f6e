"""A trainer: the process that holds TensorFlow and the model, for one round."""

from __future__ import annotations

import dataclasses
import logging
import os
import threading
from pathlib import Path

import keras

from elasticdl_like.config import JobConfig, ModelConfig
from elasticdl_like.data_readers.registry import make_reader
from elasticdl_like.errors import (
    ElasticdlError,
    LeaseLostError,
    MasterLostError,
    ModelDefinitionError,
    RoundOverError,
    UnknownWorkerError,
)
from elasticdl_like.tasks import TaskType
from elasticdl_like.time_spent import TimeSpent, share_time_spent
from elasticdl_like.worker.checkpoint_reader import read_callback_states
from elasticdl_like.worker.dataset import BatchPipeline, make_pipeline
from elasticdl_like.worker.evaluation import Evaluator
from elasticdl_like.worker.master_client import Heartbeat, MasterClient
from elasticdl_like.worker.master_locator import MasterLocator
from elasticdl_like.worker.model_spec import ModelSpec, load_model_spec
from elasticdl_like.worker.model_state import pack_state, unpack_state
from elasticdl_like.worker.open_port import wait_for_port
from elasticdl_like.worker.peers import Peers, PeersLostError
from elasticdl_like.worker.round_group import RoundGroup
from elasticdl_like.worker.shared_step import spread_seeds
from elasticdl_like.worker.time_report import TimeReport
from elasticdl_like.worker.train_loop import RoundStoppedError, Trainer
from elasticdl_like.worker.train_step import TrainStep, split_batch, zeros_like_spec
from elasticdl_like.worker.trainer_link import (
    TrainerEnd,
    TrainerLink,
    TrainerOutcome,
    TrainerStart,
)
from elasticdl_like.worker.training_progress import TrainingProgress, load_start
from elasticdl_like.worker.user_code import explained

_logger = logging.getLogger(__name__)

_HEARTBEAT_INTERVAL_S = 2.0
# A chief that does not listen by then is TensorFlow's concern.
_CHIEF_START_S = 10.0

# The round cannot go on, but the model is whole.
_ROUND_BROKEN = (
    PeersLostError,
    RoundOverError,
    LeaseLostError,
    MasterLostError,
    UnknownWorkerError,
)

_GOES_ON = (TrainerOutcome.STOPPED, TrainerOutcome.BROKEN)


def run_trainer(start: TrainerStart, locator: MasterLocator, link: TrainerLink) -> None:
    """Takes part in a round, until it or the job is over.

    Args:
        start: the round, and who this is.
        locator: tells where the master is.
        link: the connection to the agent, which is told how it ended.

    Raises:
        Exception: whatever a callback of the user raises, and defects; such a trainer has crashed.
    """
    # It tells of every collective that is traced.
    logging.getLogger("tensorflow").setLevel(logging.WARNING)
    run = _Run(start, locator, link)
    try:
        run.train()
    except RoundStoppedError:
        run.end(TrainerOutcome.STOPPED, live=True)
    except _ROUND_BROKEN as error:
        _logger.info("round %d is broken: %s", start.plan.number, error)
        run.end(TrainerOutcome.BROKEN, str(error))
    except ElasticdlError as error:
        run.end(TrainerOutcome.FAILED, str(error))
    else:
        run.end(TrainerOutcome.DONE)
    # The process exits now, and nothing is closed before: destroying a `tf.data` iterator whose
    # threads are in Python can hang, and everybody would wait for the end of this process.


class _Run:
    """What a trainer is made of, and its end, which comes once, from whichever thread."""

    def __init__(self, start: TrainerStart, locator: MasterLocator, link: TrainerLink) -> None:
        self._start = start
        self._link = link
        self._locator = locator
        self._rank = start.plan.rank(start.worker_id)
        self._group: RoundGroup | None = None
        self._trainer: Trainer | None = None
        self._model: keras.Model | None = None
        # Of two threads that end the trainer, one does and the other never goes on.
        self._ending = threading.Lock()
        link.on_end(self._end_at_once)

    def train(self) -> None:
        """Trains to the end of the round, or of the job."""
        job, plan = self._start.job, self._start.plan
        model_config = job.model
        if model_config is None:
            raise ModelDefinitionError("this job trains no model")
        addresses = [member.trainer_address for member in plan.members]
        if self._rank > 0:
            # TensorFlow, refused once, tries again after a second.
            wait_for_port(addresses[0], _CHIEF_START_S)
        # Before anything else that TensorFlow does.
        peers = Peers(addresses, self._rank)
        client = MasterClient(
            self._locator,
            self._start.master_timeout_s,
            self._start.incarnation,
            worker_id=self._start.worker_id,
            round=plan.number,
        )
        time_spent = TimeSpent()
        with Heartbeat(client, _HEARTBEAT_INTERVAL_S, TimeReport(time_spent)):
            keras.utils.set_random_seed(job.training.seed)
            spec = load_model_spec(model_config)
            training = self._pipeline(model_config, spec, TaskType.TRAINING, time_spent)
            step = TrainStep(spec)
            group = RoundGroup(peers, step, plan.start.step, lambda: self._link.stop_asked)
            self._link.watch(lambda: (group.finished_step, peers.exchanging_s))
            progress = self._prepare(step, group, training)
            evaluator = None
            if job.data.validation_data:
                evaluator = Evaluator(
                    client,
                    self._pipeline(model_config, spec, TaskType.EVALUATION, time_spent),
                    spec.model,
                    spec.loss,
                    spec.eval_metrics,
                    time_spent,
                )
            trainer = Trainer(client, job, spec, step, group, training, evaluator, time_spent)
            self._group, self._model, self._trainer = group, spec.model, trainer
            trainer.run(plan.start, progress)

    def end(self, outcome: TrainerOutcome, problem: str = "", live: bool = False) -> None:
        """Leaves the state of the last finished step to the agent, and says how it ended.

        Args:
            outcome: how.
            problem: why, when it was not told to end.
            live: whether callbacks are between two calls.
        """
        self._ending.acquire()
        group, trainer, model = self._group, self._trainer, self._model
        if group is None or trainer is None or model is None:
            first_step = self._start.plan.start.step
            self._link.end(TrainerEnd(outcome, first_step, problem=problem))
            return
        with group.finished() as (step, uses):
            # Without a step it is the state that the agent, or the disk, has already; after the
            # last one it is no longer that of a step.
            has_new_state = step > self._start.plan.start.step and outcome in _GOES_ON
            if has_new_state:
                extra = dataclasses.asdict(trainer.progress(live))
                pack_state(step, model, extra, self._link.new_state)
            self._link.end(TrainerEnd(outcome, step, uses, has_new_state, problem))

    def _end_at_once(self) -> None:
        """Ends the process, whatever its main thread does or waits for."""
        self.end(TrainerOutcome.STOPPED)
        os._exit(0)

    def _pipeline(
        self, model: ModelConfig, spec: ModelSpec, mode: TaskType, time_spent: TimeSpent
    ) -> BatchPipeline:
        job = self._start.job
        is_training = mode is TaskType.TRAINING
        origin = job.data.training_data if is_training else job.data.validation_data
        reader = make_reader(origin, job.data, model, job.training.records_per_task)
        share_time_spent(time_spent, reader)
        return make_pipeline(
            reader,
            mode,
            member_batch_size(job, self._rank, len(self._start.plan.members)),
            spec.feed,
            spec.feed_batch,
            job.training.read_threads,
            job.training.prefetch_bytes,
            in_round=is_training,
        )

    def _prepare(
        self, step: TrainStep, group: RoundGroup, pipeline: BatchPipeline
    ) -> TrainingProgress:
        """Gives the model the state that the round starts from.

        Returns:
            How far training is, by the word of the chief.
        """
        start = self._start.plan.start
        features, _, _ = split_batch(zeros_like_spec(pipeline.element_spec))
        with explained("the model"):
            step.build(features)
        progress = TrainingProgress(epochs_done=start.epoch, checkpoint_step=start.step)
        memory = self._link.wait_for_state()
        if memory is not None:
            _, extra = unpack_state(memory, step.model)
            progress = TrainingProgress(**extra)
        elif group.is_chief:
            load_start(step.model, self._start.job, start)
            if start.checkpoint:
                states = read_callback_states(Path(start.checkpoint))
                progress = dataclasses.replace(progress, callbacks=states)
        if self._start.plan.holders:
            spread_seeds(step.model, self._rank)
        else:
            group.share_model()
        shared = group.share_from_chief(dataclasses.asdict(progress))
        group.prepare(pipeline.element_spec)
        return TrainingProgress(**shared)


def member_batch_size(job: JobConfig, rank: int, num_members: int) -> int:
    """Returns how many records a member of a round has in a full batch."""
    whole = job.training.global_batch_size
    if not whole:
        return job.training.minibatch_size
    return max(whole // num_members + (rank < whole % num_members), 1)
