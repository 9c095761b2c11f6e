from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from round_parts import Company

from elasticdl_like.master.round_decisions import RoundState
from elasticdl_like.rounds import AgentPhase, AgentReport, Order, RoundOrder, StepUse
from elasticdl_like.tasks import Interval


def members(company: Company) -> list[list[int]]:
    return [[each.worker_id for each in plan.members] for plan in company.plans]


def starts(company: Company) -> list[int]:
    return [plan.start.step for plan in company.plans]


def running(num_agents: int, steps: int = 5, **workers: float) -> Company:
    """A round of all agents that has finished some steps."""
    company = Company(num_agents, **workers)
    company.poll_all(1)
    company.wait(1.1)
    company.poll_all()
    assert company.rounds.state is RoundState.RUNNING
    company.train(steps)
    company.poll_all(1)
    return company


# Beginning.


def test_ten_at_once_make_one_round() -> None:
    company = Company(10)
    for worker_id in range(9):
        assert company.poll(worker_id) == RoundOrder(Order.WAIT)
        company.wait(0.05)
    assert company.plans == []
    order = company.poll(9)
    assert order.order is Order.TRAIN
    company.poll_all()
    assert members(company) == [list(range(10))]
    plan = company.plans[0]
    assert (plan.number, plan.start.step, plan.holders) == (1, 0, ())
    assert plan.members[3].agent_address == "agent:3"
    assert plan.members[3].trainer_address == "trainer:3"


def test_fewer_than_wanted_begin_when_they_have_settled() -> None:
    company = Company(2, num_workers=3)
    company.poll_all()
    company.wait(0.9)
    company.poll_all(1)
    assert company.plans == []
    company.wait(0.2)
    assert members(company) == [[0, 1]]


def test_one_that_is_about_to_be_ready_is_waited_for() -> None:
    company = Company(2, num_workers=4)
    company.join(2, ready=False)
    for _ in range(9):
        company.poll_all(1)
        company.wait(1)
    assert company.plans == []
    company.agents[2].become_ready()
    company.poll(2)
    company.wait(1.1)
    assert members(company) == [[0, 1, 2]]


def test_but_not_for_ever() -> None:
    company = Company(2, num_workers=3)
    company.join(2, ready=False)
    for _ in range(10):
        company.poll_all(1)
        company.wait(1)
    assert members(company) == [[0, 1]]


def test_nothing_begins_with_too_few() -> None:
    company = Company(2, num_workers=4, min_workers=3)
    company.poll_all()
    company.wait(1000)
    assert company.plans == []
    company.join(2)
    company.poll(2)
    company.wait(1.1)
    assert members(company) == [[0, 1, 2]]


# Joining and leaving.


def test_one_joins_when_it_has_settled() -> None:
    company = running(2, num_workers=4)
    company.join(7)
    assert company.poll(7).order is Order.WAIT
    company.wait(0.5)
    assert company.tell(0).order is Order.TRAIN
    company.wait(0.6)
    assert company.poll(0) == RoundOrder(Order.STOP, 1)
    assert company.poll(1) == RoundOrder(Order.STOP, 1)
    assert company.rounds.state is RoundState.STOPPING
    company.poll_all()
    assert members(company) == [[0, 1], [0, 1, 7]]
    assert starts(company) == [0, 5]
    assert company.plans[1].holders == ("agent:0", "agent:1")
    assert company.plans[1].start.checkpoint == ""


def test_the_last_that_is_wanted_joins_at_once() -> None:
    company = running(2, num_workers=3)
    company.join(2)
    company.poll_all()
    assert members(company) == [[0, 1], [0, 1, 2]]


def test_a_member_that_leaves_gives_the_state_away() -> None:
    company = running(3)
    company.agents[1].report = replace(company.agents[1].report, leaving=True)
    assert company.poll(1) == RoundOrder(Order.STOP, 1)
    assert company.poll(0) == RoundOrder(Order.STOP, 1)
    assert company.poll(2) == RoundOrder(Order.STOP, 1)
    company.poll_all()
    assert members(company) == [[0, 1, 2], [0, 2]]
    assert starts(company) == [0, 5]
    assert 1 not in company.agents


def test_the_only_one_with_the_state_leaves_when_another_has_it() -> None:
    company = running(1)
    leaver = company.agents[0]
    leaver.report = replace(leaver.report, leaving=True)
    company.poll_all()
    assert company.rounds.state is RoundState.FORMING
    assert company.rounds.order(0) == RoundOrder(Order.WAIT)
    company.join(1)
    company.poll(1)
    company.wait(1.1)
    assert members(company) == [[0], [1]]
    assert company.plans[1].holders == ("agent:0",)
    assert company.tell(0).order is Order.WAIT  # worker 1 does not have it yet
    company.poll(1)
    company.tell(1)
    assert company.poll(0).order is Order.LEAVE
    company.poll_all()
    assert starts(company) == [0, 5]


def test_nobody_is_kept_for_ever() -> None:
    company = running(1)
    company.agents[0].report = replace(company.agents[0].report, leaving=True)
    company.poll_all()
    company.wait(19)
    assert company.tell(0).order is Order.WAIT
    company.wait(1)
    assert company.poll(0).order is Order.LEAVE


def test_a_round_is_not_stopped_before_all_have_begun() -> None:
    company = Company(2)
    company.poll_all(1)
    company.poll(0)
    company.agents[0].report = replace(company.agents[0].report, leaving=True)
    assert company.tell(0).order is Order.TRAIN
    company.poll_all(1)
    assert company.tell(1).order is Order.STOP


# Deaths.


def test_one_of_three_dies() -> None:
    company = running(3)
    company.train(without=2)
    company.lose(1)
    assert company.rounds.why == "worker 1 is gone: it was killed"
    assert company.poll(2) == RoundOrder(Order.END, 1)
    assert company.poll(0) == RoundOrder(Order.END, 1)
    company.poll_all()
    assert members(company) == [[0, 1, 2], [0, 2]]
    assert starts(company) == [0, 6]
    assert company.plans[1].holders == ("agent:0",)
    (end,) = company.ends
    assert (end.steps, end.lost, end.done) == ([5, 6], [1], False)


def test_the_chief_dies() -> None:
    company = running(3)
    company.lose(0)
    company.poll_all()
    assert members(company)[1] == [1, 2]
    company.join(0)
    company.poll_all()
    assert members(company)[2] == [1, 0, 2]  # the chief stays
    assert starts(company) == [0, 5, 5]


def test_one_comes_back_before_the_round_is_over() -> None:
    company = running(3)
    company.lose(1)
    company.join(1)
    assert company.poll(1).order is Order.WAIT
    company.poll_all()
    assert members(company) == [[0, 1, 2], [0, 1, 2]]
    assert company.ends[0].lost == [1]


def test_the_only_holder_dies_before_it_has_given_the_state_away() -> None:
    company = running(2)
    company.train(without=1)
    company.agents[0].end("cut off")
    company.poll(0)
    company.poll_all(1)
    company.tell(1)
    assert starts(company) == [0, 6]
    assert company.plans[1].holders == ("agent:0",)
    company.lose(0)
    company.poll(1)
    company.tell(1)
    assert members(company) == [[0, 1], [0, 1], [1]]
    assert starts(company) == [0, 6, 5]
    assert company.plans[2].holders == ("agent:1",)


def test_nobody_has_the_state() -> None:
    company = running(2)
    company.checkpoint = company.history = (1, 1)
    for agent in company.agents.values():
        agent.end("killed by signal 9", with_state=False)
    company.poll_all()
    assert company.ends[0].steps == []
    assert starts(company) == [0, 2]
    assert company.plans[1].start.checkpoint == "checkpoint-2"
    assert company.plans[1].holders == ()


def test_all_die() -> None:
    company = running(2)
    company.lose(0)
    company.lose(1)
    assert (company.ends[0].steps, company.ends[0].lost) == ([], [0, 1])
    company.join(2)
    company.join(3)
    company.poll_all()
    assert members(company) == [[0, 1], [2, 3]]
    assert starts(company) == [0, 0]


def test_a_state_that_was_undone_is_not_given_to_anybody() -> None:
    company = running(3, steps=1)
    company.checkpoint = company.history = ()
    company.agents[2].report = replace(company.agents[2].report, phase=AgentPhase.STARTING)
    company.agents[2].report = replace(company.agents[2].report, holds_state=False, problem="x")
    for worker_id in (0, 1):
        company.agents[worker_id].end("x", with_state=False)
    company.poll_all(1)
    assert starts(company) == [0, 0]
    # Worker 2 has kept step 1 of round 1 after all; others make another step 1.
    old = company.agents[2]
    old.report = replace(old.report, holds_state=True, step=1, round=1)
    company.poll_all(1)
    company.train(1)
    for worker_id in company.rounds.members:
        company.agents[worker_id].end("x")
    company.poll_all(1)
    assert starts(company) == [0, 0, 1]
    assert "agent:2" not in company.plans[2].holders


# Rounds that do not work.


def test_a_trainer_that_ends_by_itself_breaks_the_round() -> None:
    company = running(2)
    company.agents[1].end("UnavailableError")
    company.poll(1)
    assert company.rounds.why == "the trainer of worker 1 has ended: UnavailableError"
    assert company.poll(0) == RoundOrder(Order.END, 1)
    company.poll_all()
    assert members(company) == [[0, 1], [0, 1]]
    assert starts(company) == [0, 5]


def exchange(company: Company, seconds: Sequence[float]) -> None:
    for worker_id, exchanging_s in enumerate(seconds):
        agent = company.agents[worker_id]
        agent.report = replace(agent.report, exchanging_s=exchanging_s)
        company.tell(worker_id)


def test_members_that_do_not_reach_each_other() -> None:
    company = running(2)
    exchange(company, [31.0, 0.0])  # the other evaluates, say
    assert company.rounds.state is RoundState.RUNNING
    exchange(company, [31.0, 30.5])
    assert company.rounds.state is RoundState.ENDING
    company.poll_all()
    assert (len(company.plans), starts(company)[-1]) == (2, 5)


def test_members_that_stop_reaching_each_other_while_they_stop() -> None:
    company = running(2, num_workers=3)
    company.join(2)
    company.tell(2)
    assert company.rounds.state is RoundState.STOPPING
    exchange(company, [31.0, 31.0])
    assert company.rounds.state is RoundState.ENDING


def test_a_member_that_does_not_begin() -> None:
    company = Company(2)
    company.poll(0)
    company.tell(1)
    company.poll(0)
    company.wait(59)
    company.poll(0)
    assert company.rounds.state is RoundState.RUNNING
    company.wait(2)
    assert company.rounds.state is RoundState.ENDING
    assert company.rounds.why == "worker 1 has not begun for 60 s"
    company.poll_all()
    assert len(company.plans) == 2


def fail_to_start(company: Company, worker_id: int) -> None:
    """A member cannot start its trainer in the round that runs."""
    agent = company.agents[worker_id]
    agent.report = replace(
        agent.report,
        phase=AgentPhase.IDLE,
        round=company.rounds.number,
        step=0,
        holds_state=False,
        problem="the port is in use",
    )
    company.tell(worker_id)


def test_one_that_cannot_start_is_left_out_for_a_while() -> None:
    company = running(2, num_workers=3)
    company.join(2)
    company.poll_all()
    for _ in range(3):
        assert company.rounds.members == [0, 1, 2]
        fail_to_start(company, 2)
        company.poll_all()
    assert company.rounds.members == [0, 1]
    assert starts(company)[-1] == 5
    company.poll_all()
    company.train(2)
    company.wait(25)
    company.poll_all()
    assert company.rounds.members == [0, 1]
    company.wait(5)
    company.poll_all()
    assert company.rounds.members == [0, 1, 2]
    assert starts(company)[-1] == 7


def test_one_alone_that_cannot_start_waits_a_while() -> None:
    company = Company(1)
    company.poll(0)
    for _ in range(3):
        fail_to_start(company, 0)
    assert (len(company.plans), company.rounds.state) == (3, RoundState.FORMING)
    company.wait(30)
    assert len(company.plans) == 4


# Scaling.


def test_scaling_up() -> None:
    company = running(1)
    company.join(1)
    company.join(2)
    company.rounds.scale(3)
    company.poll_all()
    assert members(company) == [[0], [0, 1, 2]]
    assert starts(company) == [0, 5]


def test_scaling_down() -> None:
    company = running(4)
    company.rounds.scale(2)
    company.advance()
    assert company.rounds.why == "2 workers are wanted"
    company.poll_all()
    assert members(company) == [[0, 1, 2, 3], [0, 1]]
    assert starts(company) == [0, 5]
    assert list(company.agents) == [0, 1]


def test_more_than_wanted_are_sent_away() -> None:
    company = running(2)
    company.join(2)
    assert company.poll(2).order is Order.LEAVE
    assert members(company) == [[0, 1]]


def test_who_is_not_wanted_but_has_the_only_state_stays_until_it_is_handed_on() -> None:
    company = running(3)
    company.rounds.scale(2)
    for worker_id in (0, 1):
        company.agents[worker_id].end("killed", with_state=False)
        company.tell(worker_id)
    company.poll(2)
    assert company.tell(2).order is Order.WAIT
    assert members(company)[-1] == [0, 1]
    assert company.plans[-1].holders == ("agent:2",)
    company.poll_all()
    assert list(company.agents) == [0, 1]
    assert starts(company) == [0, 5]


# A restart of the master.


def test_a_round_goes_on_with_the_next_master() -> None:
    company = running(3)
    company.restart()
    company.train()
    company.poll_all()
    assert len(company.plans) == 1
    assert company.rounds.state is RoundState.RUNNING


def test_a_member_that_is_not_heard_of_again_is_lost() -> None:
    company = running(3)
    company.restart()
    company.poll(0)
    company.poll(1)
    company.lose(2)
    company.poll_all()
    assert members(company) == [[0, 1, 2], [0, 1]]
    assert starts(company) == [0, 5]


@pytest.mark.parametrize("state", [RoundState.STOPPING, RoundState.ENDING])
def test_the_end_of_a_round_is_found_again(state: RoundState) -> None:
    company = running(3)
    if state is RoundState.STOPPING:
        company.rounds.scale(2)
        company.advance()
    else:
        company.lose(2)
    company.poll(0)
    assert company.rounds.state is state
    company.restart()
    company.poll_all()
    assert len(company.plans) == 2
    assert members(company)[1] == [0, 1]
    assert starts(company) == [0, 5]


def test_while_one_forms_nobody_is_forgotten_who_may_have_the_state() -> None:
    company = running(2, min_workers=2)
    company.train(without=0)
    company.lose(0)
    company.poll_all()
    assert company.rounds.state is RoundState.FORMING
    company.restart()
    company.join(2)
    company.join(3)
    company.poll(2)
    company.poll(3)
    company.wait(5)
    assert company.rounds.state is RoundState.FORMING
    company.poll(1)
    assert starts(company) == [0, 6]
    assert company.plans[1].holders == ("agent:1",)


def test_a_trainer_of_another_round_is_ended() -> None:
    company = running(2)
    company.lose(1)
    company.poll(0)
    company.poll_all()
    assert members(company) == [[0, 1], [0]]
    stray = company.join(1)
    stray.report = replace(stray.report, phase=AgentPhase.TRAINING, round=1)
    assert company.tell(1) == RoundOrder(Order.END, 1)


def test_who_is_told_to_end_before_it_has_begun_is_not_waited_for() -> None:
    company = running(2)
    company.agents[1].end("x")
    company.poll_all(1)
    company.poll(0)
    company.poll(0)
    assert len(company.plans) == 2  # worker 1 has not heard of it
    fail_to_start(company, 0)
    assert company.poll(1) == RoundOrder(Order.END, 2)
    company.poll_all()
    assert starts(company) == [0, 5, 5]


def test_a_round_that_passes_an_agent_by_does_not_make_its_old_state_a_new_one() -> None:
    company = running(2)
    company.has_no_marks = True
    for agent in company.agents.values():
        agent.end("x")
    company.tell(0)
    company.tell(1)
    assert starts(company) == [0, 0]
    company.poll(0)
    company.agents[0].end("x", with_state=False)
    company.tell(0)
    assert company.poll(1) == RoundOrder(Order.END, 2)
    assert (company.agents[1].report.round, company.agents[1].report.step) == (2, 5)
    company.tell(1)
    assert company.ends[1].steps == []
    assert company.plans[2].holders == ()


# The end.


def test_the_work_is_done_when_one_says_so_and_all_have_ended() -> None:
    company = running(3)
    for worker_id in range(3):
        agent = company.agents[worker_id]
        assert company.tell(worker_id).order is Order.TRAIN
        agent.report = replace(agent.report, phase=AgentPhase.DONE)
    assert company.tell(1).order is Order.TRAIN
    assert company.rounds.state is RoundState.FINISHING
    company.tell(2)
    assert company.ends == []  # the chief may be saving the model
    assert company.poll(0).order is Order.LEAVE
    assert company.rounds.state is RoundState.DONE
    assert (company.ends[0].steps, company.ends[0].done) == ([5], True)
    company.join(7, ready=False)
    assert company.poll(7).order is Order.LEAVE
    company.poll_all()
    assert company.agents == {}
    assert len(company.plans) == 1


def test_one_that_is_killed_while_others_are_done_does_not_begin_it_anew() -> None:
    company = running(2)
    company.agents[0].report = replace(company.agents[0].report, phase=AgentPhase.DONE)
    company.tell(0)
    company.lose(1)
    assert company.rounds.done
    assert company.poll(0).order is Order.LEAVE


def test_one_that_waits_for_who_is_done_is_ended() -> None:
    company = running(2)
    company.agents[0].report = replace(company.agents[0].report, phase=AgentPhase.DONE)
    company.tell(0)
    exchange(company, [0.0, 31.0])
    assert company.poll(1) == RoundOrder(Order.END, 1)
    company.poll_all()
    assert company.rounds.done


# What the last steps have used.


def test_uses_are_put_together() -> None:
    company = running(3)
    two, three = Interval(2, 0, 4), Interval(3, 0, 4)
    company.lose(2)
    company.poll_all(1)
    for worker_id, uses in enumerate(
        [[StepUse(4, [two]), StepUse(5, [two, three])], [StepUse(5, [three]), StepUse(6, [])]]
    ):
        agent = company.agents[worker_id]
        assert not agent.trains
        agent.report = replace(agent.report, uses=tuple(uses))
    company.tell(0)
    company.tell(1)
    (end,) = company.ends
    assert end.uses == [StepUse(4, [two]), StepUse(5, [two, three]), StepUse(6, [])]


def test_who_trained_in_a_former_round_says_nothing_of_this_one() -> None:
    report = AgentReport(AgentPhase.IDLE, "a", "t", round=1, uses=(StepUse(9, ()),))
    company = Company(2)
    company.poll_all(1)
    company.poll(0)
    company.agents[1].report = replace(report, round=0)
    company.agents[1].known = RoundOrder(Order.END, 1)
    company.tell(1)
    company.poll(0)
    company.tell(0)
    assert company.ends[0].uses == []
