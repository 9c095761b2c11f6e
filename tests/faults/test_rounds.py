"""Several workers train one model: what becomes of a job when something happens to one of them.

Each job trains the counting model of the chaos harness, and is checked as a seed of it is
(docs/faults.md): every record counted once in each epoch, members that agree after each step, no
finished step done again as long as somebody holds it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from faults.chaos.outcome import Outcome
from faults.chaos.round_plan import (
    ManyWorkersPlan,
    PointBlow,
    Rank,
    RoundBlow,
    RoundPoint,
    make_shards,
)
from faults.chaos.round_run import Lines, ManyWorkersRun
from faults.chaos.round_trace import Life, Trace

pytestmark = pytest.mark.timeout(200)

Train = Callable[..., Trace]


@pytest.fixture
def train(tmp_path: Path) -> Train:
    """Trains on two workers, with blows at points, and checks what came of it."""

    def run(
        *blows: PointBlow,
        num_workers: int = 2,
        num_epochs: int = 3,
        pace_s: float = 0.005,
        checkpoint_steps: int = 0,
        slow_from_step: int = 0,
        stops_early: bool = False,
        script: Callable[[ManyWorkersRun], None] | None = None,
        flags: tuple[object, ...] = (),
    ) -> Trace:
        plan = ManyWorkersPlan(
            seed=1,
            num_workers=num_workers,
            shards=make_shards(160, 2),
            uses_feed=False,
            shuffle=True,
            num_epochs=num_epochs,
            minibatch_size=4,
            num_minibatches_per_task=2,
            checkpoint_steps=checkpoint_steps,
            pace_s=pace_s,
            blows=blows,
            slow_from_step=slow_from_step,
            stops_early=stops_early,
        )
        return ManyWorkersRun(plan, tmp_path, Outcome(0, "rounds"), flags, script).run()

    return run


def rounds_that_trained(trace: Trace) -> list[list[Life]]:
    return [members for members in trace.rounds.values() if any(life.steps for life in members)]


def workers_in(members: list[Life]) -> list[int]:
    return [life.worker[0] for life in members]


def test_chief_dies_in_the_collective_and_the_other_member_gives_it_the_last_step(
    train: Train,
) -> None:
    blow = PointBlow(RoundBlow.KILL_TRAINER, RoundPoint.IN_EXCHANGE, 30, Rank.CHIEF, 0.01)
    trace = train(blow)
    first, second, *_ = rounds_that_trained(trace)
    (killed,) = [life for life in first if not life.outcome]
    (survivor,) = [life for life in first if life.outcome]
    assert killed.rank == 0
    assert survivor.holds_state
    assert second[0].start_step == survivor.ended_step
    assert second[0].start_step >= 10
    assert sorted(workers_in(second)) == [0, 1]
    assert {life.worker for life in first} == {life.worker for life in second}


def test_trainer_that_is_stopped_for_ever_is_replaced(train: Train) -> None:
    blow = PointBlow(
        RoundBlow.STOP_TRAINER, RoundPoint.BEFORE_EXCHANGE, 30, Rank.OTHER, duration_s=900.0
    )
    trace = train(blow)
    first, second, *_ = rounds_that_trained(trace)
    assert [bool(life.outcome) for life in first] == [True, False]
    assert second[0].start_step == first[0].ended_step


def test_members_that_lose_sight_of_each_other_come_together_again(train: Train) -> None:
    # Of their connections, that is: all of them still reach the master. Cut between two exchanges
    # they would be made anew, and nobody would notice.
    blows = [
        PointBlow(RoundBlow.CUT_CONNECTIONS, RoundPoint.IN_EXCHANGE, count, Rank.OTHER, delay_s)
        for count, delay_s in ((15, 0.0), (25, 0.0003), (35, 0.001), (45, 0.003))
    ]
    trace = train(*blows)
    first, second, *_ = rounds_that_trained(trace)
    assert all(life.holds_state for life in first)
    assert {life.worker for life in first} == {life.worker for life in second}
    assert second[0].start_step == max(life.ended_step or 0 for life in first)


def test_agent_that_is_killed_takes_its_trainer_along_and_its_successor_joins(
    train: Train,
) -> None:
    def let_it_join(run: ManyWorkersRun) -> None:
        run.wait_for("another agent of a worker", lambda lines: len(agents(lines)) == 3)
        run.go_on()

    blow = PointBlow(RoundBlow.KILL_AGENT, RoundPoint.BEFORE_COMMIT, 30, Rank.CHIEF)
    trace = train(blow, slow_from_step=20, script=let_it_join)
    first, second, *_, last = rounds_that_trained(trace)
    assert workers_in(second) == [first[1].worker[0]]
    assert sorted(workers_in(last)) == [0, 1]
    # It stopped for the one who joined, all members at the same step.
    assert {life.outcome for life in second} == {"stopped"}
    assert last[0].worker == second[0].worker


def agents(lines: Lines) -> set[tuple[int, str]]:
    return {(line["worker"], line["incarnation"]) for line in lines if line["what"] == "begins"}


def test_worker_without_its_zygote_starts_trainers_all_the_same(train: Train) -> None:
    trace = train(
        PointBlow(RoundBlow.KILL_ZYGOTE, RoundPoint.BEFORE_EXCHANGE, 10, Rank.OTHER),
        PointBlow(RoundBlow.KILL_TRAINER, RoundPoint.BEFORE_EXCHANGE, 20, Rank.OTHER),
        slow_from_step=25,
        script=lambda run: let_both_train_on(run, 10),
    )
    assert len(rounds_that_trained(trace)[-1]) == 2


def let_both_train_on(run: ManyWorkersRun, after_step: int) -> None:
    def two_in_a_later_round(lines: Lines) -> bool:
        return any(
            line["what"] == "step" and line["size"] == 2 and line["round"] > first_round(lines)
            for line in lines
        )

    run.wait_for("a later round of two", two_in_a_later_round)
    run.go_on()


def first_round(lines: Lines) -> int:
    return min(int(line["round"]) for line in lines if line["what"] == "begins")


def test_master_that_is_killed_and_started_again_costs_no_step(train: Train) -> None:
    trace = train(PointBlow(RoundBlow.KILL_COMMAND, RoundPoint.BEFORE_COMMIT, 30), pace_s=0.04)
    assert len({life.worker for life in trace.lives}) == 2
    steps = [step for life in trace.lives if life.worker[0] == 0 for step in life.steps]
    assert steps == list(range(1, len(steps) + 1))


def test_scale_up_and_down_while_it_trains(train: Train) -> None:
    def scale(run: ManyWorkersRun) -> None:
        run.wait_for("a step", lambda lines: any(line["what"] == "step" for line in lines))
        run.scale(4)
        run.wait_for("a step of four", lambda lines: has_step_of(4, lines))
        run.scale(1)
        run.wait_for("a step of one", lambda lines: has_step_of(1, lines))
        run.go_on()

    trace = train(num_epochs=4, slow_from_step=10, script=scale)
    sizes = [len(members) for members in rounds_that_trained(trace)]
    assert max(sizes) == 4
    assert sizes[-1] == 1
    # Nobody died: each round ended after a step that all of its members had finished.
    for members in rounds_that_trained(trace):
        assert {life.outcome for life in members} <= {"stopped", "done"}
        assert len({life.ended_step for life in members}) == 1


def has_step_of(size: int, lines: Lines) -> bool:
    return any(line["what"] == "step" and line["size"] == size for line in lines)


def test_worker_that_is_told_to_end_leaves_after_a_step_and_is_replaced(train: Train) -> None:
    def preempt(run: ManyWorkersRun) -> None:
        run.wait_for("a step of two", lambda lines: has_step_of(2, lines))
        run.end_agent(1)
        run.wait_for("another agent of a worker", lambda lines: len(agents(lines)) == 3)
        run.go_on()

    trace = train(num_epochs=4, slow_from_step=10, script=preempt)
    first, second, *_, last = rounds_that_trained(trace)
    assert {life.outcome for life in first} == {"stopped"}
    assert len({life.ended_step for life in first}) == 1
    assert workers_in(second) == [0]
    assert sorted(workers_in(last)) == [0, 1]


def test_all_workers_killed_at_once_go_on_from_the_newest_checkpoint(train: Train) -> None:
    # Between two checkpoints, however many exchanges without data there are.
    blow = PointBlow(RoundBlow.KILL_ALL_WORKERS, RoundPoint.BEFORE_COMMIT, 46, delay_s=0.005)
    trace = train(blow, checkpoint_steps=10)
    first, second, *_ = rounds_that_trained(trace)
    got_to = max(step for life in first for step in life.steps)
    assert 0 < second[0].start_step < got_to
    assert second[0].start_step >= got_to - 25


def test_state_that_is_lost_while_it_is_sent_is_made_up_for(train: Train) -> None:
    # The only one who has the last step dies while it gives it away.
    trace = train(
        PointBlow(RoundBlow.KILL_TRAINER, RoundPoint.AFTER_EXCHANGE, 60, Rank.CHIEF),
        PointBlow(RoundBlow.KILL_AGENT, RoundPoint.SENDING_STATE, 1),
        checkpoint_steps=10,
    )
    assert len(rounds_that_trained(trace)) >= 2


def test_chief_that_dies_at_the_end_of_the_last_epoch_leaves_its_checkpoint_to_the_next(
    train: Train,
) -> None:
    trace = train(PointBlow(RoundBlow.KILL_TRAINER, RoundPoint.EPOCH_ENDS, 3))
    # There is no further step, and still a checkpoint to take: `train` looks at the last one.
    assert not any(life.steps for life in trace.rounds[max(trace.rounds)])


def test_callbacks_decide_for_all_and_remember_when_the_chief_dies(train: Train) -> None:
    # 30 steps make an epoch: each member gets to the second one's middle.
    blow = PointBlow(RoundBlow.KILL_AGENT, RoundPoint.AFTER_EXCHANGE, 45, Rank.CHIEF)
    trace = train(blow, stops_early=True, num_epochs=3, flags=("--num_epochs", 9))
    assert len(rounds_that_trained(trace)) >= 2
    rates: dict[int, set[float]] = {}
    for line in trace.of("step"):
        rates.setdefault(line["step"], set()).add(line["learning_rate"])
    assert all(len(found) == 1 for found in rates.values()), rates
    assert sorted({rate for found in rates.values() for rate in found}) == [0.5, 1.0]
    assert [line["epoch"] for line in trace.of("epoch ends")] == [0, 1, 2]
