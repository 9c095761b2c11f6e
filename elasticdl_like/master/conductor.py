"""Carries out what the rounds of a job decide, and says so."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from typing import Any

from elasticdl_like.errors import InvalidRequestError
from elasticdl_like.job_directory import JobState
from elasticdl_like.master import events
from elasticdl_like.master.going_back import fail_without_checkpoint, whole_marks
from elasticdl_like.master.job_core import JobCore
from elasticdl_like.master.round_codec import plan_to_plain, uses_to_plain
from elasticdl_like.master.round_decisions import EndRound, FormRound, describe_workers
from elasticdl_like.rounds import RoundPlan
from elasticdl_like.tasks import StartPoint

_logger = logging.getLogger(__name__)


class Conductor:
    """Forms the rounds of a job and ends them; whoever calls it has the job to itself.

    Args:
        core: the job.
        do: applies an event, writes it down, and returns what it returns.
        on_end: called when a round has ended, or more has been undone since.
    """

    def __init__(self, core: JobCore, do: Callable[[Any], Any], on_end: Callable[[], None]) -> None:
        self._core = core
        self._rounds = core.in_rounds()
        self._do = do
        self._on_end = on_end
        self._num_undone = 0

    def advance(self, now_s: float) -> None:
        """Does what is due."""
        waits = False
        while self._core.state is JobState.RUNNING:
            decision = self._rounds.decide(now_s)
            if decision is None:
                break
            waits = isinstance(decision, EndRound)
            if isinstance(decision, FormRound):
                self._begin(decision)
            else:
                self._end(decision)
        if waits and not self._rounds.done:
            _logger.info(
                "round %d is over after step %s (%s); the next one waits for workers",
                self._rounds.number,
                f"{self._core.adopted.step:,}",
                self._rounds.why,
            )

    def _end(self, decision: EndRound) -> None:
        queue = self._core.queue
        firm_step = queue.firm_step
        left_out: int | None = None
        # What is firm is counted already; of what is before it, some can be gone back to.
        adoptable = queue.adoptable_steps
        steps = [step for step in decision.steps if step >= firm_step or step in adoptable]
        if steps:
            uses = uses_to_plain(decision.uses)
            counted = [step for step in steps if step >= firm_step]
            event = events.RoundEnded(
                decision.round, counted, uses, decision.lost, adopted=steps[-1]
            )
            try:
                left_out = self._do(event)
            except InvalidRequestError as error:
                _logger.warning(
                    "round %d: what its workers hold cannot be used: %s", decision.round, error
                )
                steps = []
        if not steps:
            marks = whole_marks(self._core)
            if not marks:
                fail_without_checkpoint(self._core, self._do)
                return
            left_out = self._do(
                events.RoundEnded(decision.round, [], [], decision.lost, marks[-1].step)
            )
        self._on_end()
        # Of a step that is not firm it is not known that anybody has finished it.
        self._num_undone = max(firm_step - self._core.adopted.step, 0)
        if left_out is not None:
            _logger.warning(
                "worker %d has broken several rounds that had not finished a step; the others go "
                "on without it for a while",
                left_out,
            )
        if decision.done:
            self._finish()

    def _finish(self) -> None:
        if self._core.queue.ended:
            self._do(events.WorkDone())
            _logger.info("the work is done; the workers may leave")
        else:
            _logger.warning(
                "a worker has come to an end at step %d, but there is more work: it goes on",
                self._core.queue.last_step,
            )

    def _begin(self, decision: FormRound) -> None:
        start = self._start()
        if start is None:
            return
        plan = self._rounds.plan(decision.members, start)
        text = f"round {plan.number}: {_description(plan)}"
        if self._rounds.why:
            text += f" ({self._rounds.why})"
        self._do(events.RoundBegan(plan_to_plain(plan)))
        if self._num_undone:
            steps = "step is" if self._num_undone == 1 else "steps are"
            _logger.warning("%s; %s finished %s lost", text, f"{self._num_undone:,}", steps)
        else:
            _logger.info("%s", text)
        self._num_undone = 0

    def _start(self) -> StartPoint | None:
        """Returns where the next round goes on from; None when the job has failed instead.

        Where nobody has the state of the last step any more, and there is no checkpoint of it, the
        job goes back to the last step of which there is one or the other.
        """
        core = self._core
        step = core.adopted.step
        held = self._rounds.held_steps()
        whole = {mark.step: mark for mark in whole_marks(core)}
        if step not in held and step not in whole:
            usable = held.intersection(core.queue.adoptable_steps) | whole.keys()
            if not usable:
                fail_without_checkpoint(self._core, self._do)
                return None
            step = max(usable)
            self._num_undone += core.adopted.step - step
            self._do(events.Adopted(step))
            self._on_end()
        checkpoint = "" if step in held else whole[step].checkpoint
        return dataclasses.replace(core.start_point(), checkpoint=checkpoint)


def _description(plan: RoundPlan) -> str:
    workers = describe_workers([member.worker_id for member in plan.members])
    alone = len(plan.members) == 1
    step = plan.start.step
    if not step:
        return f"{workers} {'begins' if alone else 'begin'}"
    source = "the checkpoint of step" if plan.start.checkpoint else "step"
    return f"{workers} from {source} {step:,}"
