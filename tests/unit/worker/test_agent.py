"""Agents as real processes, with real zygotes and stand-in trainers, against a fake master."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from fake_master import TOKEN
from round_master import RoundMaster, with_behaviour
from stand_in_trainer import state_of

from elasticdl_command import RunningCommand, eventually, running
from elasticdl_like.config import TlsConfig
from elasticdl_like.errors import StateUnavailableError
from elasticdl_like.rounds import AgentPhase, Member, Order
from elasticdl_like.worker.state_client import StateFetch
from elasticdl_like.worker.state_memory import mapped

_HERE = Path(__file__).parent
_NOBODY = "127.0.0.1:1"

StartAgent = Callable[..., RunningCommand]


@contextlib.contextmanager
def closing_master() -> Iterator[RoundMaster]:
    master = RoundMaster()
    try:
        yield master
    finally:
        master.stop()


@pytest.fixture
def master() -> Iterator[RoundMaster]:
    with closing_master() as master:
        yield master


@pytest.fixture
def start_agent(
    master: RoundMaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[StartAgent]:
    """Starts agents, whose zygotes import nothing large unless a test says otherwise."""
    master.publish_endpoint(tmp_path)
    empty = tmp_path / "empty"
    empty.mkdir()
    for name in ("tensorflow", "keras"):
        (empty / f"{name}.py").touch()
    with ExitStack() as commands:

        def start(worker_id: int = 0, with_tensorflow: bool = False) -> RunningCommand:
            path = [str(_HERE), *([] if with_tensorflow else [str(empty)])]
            monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
            directory = tmp_path / f"worker-{worker_id}"
            directory.mkdir()
            command = [_HERE / "agent_command.py", "worker", "--job_dir", tmp_path]
            arguments = [*command, "--worker_id", worker_id]
            return commands.enter_context(running(arguments, directory))

        yield start


def zygote_of(agent: RunningCommand) -> int:
    """Returns the zygote's process, or 0: the child that leads a session of its own."""
    for each in psutil.Process(agent.pid).children():
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            if each.status() != psutil.STATUS_ZOMBIE and os.getsid(each.pid) == each.pid:
                return each.pid
    return 0


def trainer_of(agent: RunningCommand) -> int:
    """Returns the trainer's process, or 0: the child that was not started by `exec`."""
    for each in psutil.Process(agent.pid).children():
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            if each.status() != psutil.STATUS_ZOMBIE and os.getsid(each.pid) != each.pid:
                return each.pid
    return 0


def fetched(address: str, step: int) -> bytes:
    file = StateFetch([address], step, TOKEN, TlsConfig()).run()
    try:
        return bytes(mapped(file, writable=False))
    finally:
        os.close(file)


def test_a_round_is_stopped_and_the_next_goes_on_from_its_state(
    master: RoundMaster, start_agent: StartAgent
) -> None:
    with_behaviour(master, behaviour="op")
    agent = start_agent(with_tensorflow=True)
    idle = master.when_idle(0, timeout=100, command=agent)
    assert not idle.holds_state
    master.train(1)
    master.when_trained(1, 3, command=agent)
    master.order(Order.STOP, 1)
    first = master.when_idle(1, command=agent)
    assert (first.holds_state, first.problem) == (True, "")
    assert [use.step for use in first.uses] == [first.step]
    assert first.uses[0].intervals[0].end_position == first.step
    assert first.trainer_address != idle.trainer_address
    assert fetched(first.agent_address, first.step) == state_of(first.step, 2000)

    master.train(2, first.step, (first.agent_address,))
    running = master.when_trained(2, first.step + 3, command=agent)
    assert (running.phase, running.holds_state, running.uses) == (AgentPhase.TRAINING, True, ())
    # Nobody needs the old state any more.
    with pytest.raises(StateUnavailableError, match="is not here"):
        fetched(first.agent_address, first.step)
    master.order(Order.END, 2)
    second = master.when_idle(2, command=agent)
    assert second.holds_state
    assert second.step >= first.step + 3
    master.order(Order.LEAVE)
    assert agent.wait(20).exit_code == 0
    assert [each.failure for each in master.left] == [""]


def test_the_end_of_the_job_is_reported(master: RoundMaster, start_agent: StartAgent) -> None:
    with_behaviour(master, behaviour="done")
    agent = start_agent()
    master.when_idle(0, command=agent)
    master.train(1)
    done = master.when(lambda report: report.phase is AgentPhase.DONE, command=agent)
    assert (done.round, done.step, done.problem) == (1, 3, "")
    master.order(Order.LEAVE)
    assert agent.wait(20).exit_code == 0


def test_a_trainer_that_loses_its_peers_keeps_its_state(
    master: RoundMaster, start_agent: StartAgent
) -> None:
    with_behaviour(master, behaviour="broken")
    agent = start_agent()
    master.when_idle(0, command=agent)
    master.train(1)
    report = master.when_idle(1, command=agent)
    assert (report.step, report.holds_state) == (3, True)
    assert report.problem == "connection reset by peer"


def test_a_killed_trainer_is_a_loss_and_its_steps_are_gone(
    master: RoundMaster, start_agent: StartAgent
) -> None:
    agent = start_agent()
    master.when_idle(0, command=agent)
    master.train(1)
    master.when_trained(1, 3, command=agent)
    os.kill(trainer_of(agent), signal.SIGKILL)
    report = master.when_idle(1, command=agent)
    assert not report.holds_state
    assert "SIGKILL" in report.problem
    master.train(2)
    assert master.when_trained(2, 1, command=agent).problem == ""


def test_a_stopped_trainer_is_killed(master: RoundMaster, start_agent: StartAgent) -> None:
    agent = start_agent()
    master.when_idle(0, command=agent)
    master.train(1)
    master.when_trained(1, 3, command=agent)
    os.kill(trainer_of(agent), signal.SIGSTOP)
    report = master.when_idle(1, command=agent)
    assert "no sign of life" in report.problem


def test_the_state_that_a_trainer_started_from_outlives_it(
    master: RoundMaster, start_agent: StartAgent
) -> None:
    with_behaviour(master, state_bytes=5_000_000)
    first, second = start_agent(0), start_agent(1)
    master.when_idle(0, 0, command=first)
    master.when_idle(0, 1, command=second)
    master.train(1, worker_id=0)
    master.when_trained(1, 2, 0, command=first)
    master.order(Order.STOP, 1, worker_id=0)
    held = master.when_idle(1, 0, command=first)
    # The second worker gets it from the first, after having asked one that is gone.
    master.train(2, held.step, (_NOBODY, held.agent_address), worker_id=1)
    report = master.when_trained(2, held.step + 2, 1, command=second)
    assert report.phase is AgentPhase.TRAINING


def test_without_the_state_a_round_cannot_begin(
    master: RoundMaster, start_agent: StartAgent
) -> None:
    agent = start_agent()
    master.when_idle(0, command=agent)
    master.train(1, 5, (_NOBODY,))
    report = master.when_idle(1, command=agent)
    assert (report.step, report.holds_state) == (0, False)
    assert "the state of step 5 could not be fetched" in report.problem
    assert _NOBODY in report.problem


def test_a_trainer_outlives_its_zygote(master: RoundMaster, start_agent: StartAgent) -> None:
    agent = start_agent()
    master.when_idle(0, command=agent)
    master.train(1)
    step = master.when_trained(1, 2, command=agent).step
    zygote = zygote_of(agent)
    os.kill(zygote, signal.SIGKILL)
    eventually(lambda: zygote_of(agent) not in (0, zygote), 20, agent)
    master.when_trained(1, step + 5, command=agent)
    master.order(Order.STOP, 1)
    assert master.when_idle(1, command=agent).holds_state
    master.train(2)
    master.when_trained(2, 1, command=agent)


def test_a_stopped_zygote_is_replaced(master: RoundMaster, start_agent: StartAgent) -> None:
    agent = start_agent()
    master.when_idle(0, command=agent)
    zygote = zygote_of(agent)
    os.kill(zygote, signal.SIGSTOP)
    master.train(1)
    master.when_trained(1, 1, command=agent)
    assert zygote_of(agent) != zygote
    assert not psutil.pid_exists(zygote)


@pytest.mark.parametrize("stopped", ["nobody", "trainer", "zygote"])
def test_nothing_outlives_the_agent(
    master: RoundMaster, start_agent: StartAgent, stopped: str
) -> None:
    agent = start_agent()
    master.when_idle(0, command=agent)
    master.train(1)
    master.when_trained(1, 1, command=agent)
    processes = {"trainer": trainer_of(agent), "zygote": zygote_of(agent)}
    if stopped in processes:
        os.kill(processes[stopped], signal.SIGSTOP)
    os.kill(agent.pid, signal.SIGKILL)
    eventually(lambda: not agent.processes(), 20)


def test_what_a_trainer_started_ends_with_it(master: RoundMaster, start_agent: StartAgent) -> None:
    with_behaviour(master, behaviour="pool")
    agent = start_agent()
    master.when_idle(0, command=agent)
    master.train(1)
    master.when_trained(1, 1, command=agent)
    assert len(agent.processes()) == 4
    os.kill(trainer_of(agent), signal.SIGKILL)
    master.when_idle(1, command=agent)
    eventually(lambda: len(agent.processes()) == 2, 20, agent)


def test_a_trainer_that_does_not_end_is_killed(
    master: RoundMaster, start_agent: StartAgent
) -> None:
    with_behaviour(master, behaviour="hang")
    agent = start_agent()
    master.when_idle(0, command=agent)
    master.train(1)
    master.when_trained(1, 1, command=agent)
    master.order(Order.END, 1)
    report = master.when_idle(1, command=agent)
    assert (report.holds_state, report.problem) == (False, "")


def test_a_worker_that_is_asked_to_leave_does_when_the_master_agrees(
    master: RoundMaster, start_agent: StartAgent
) -> None:
    agent = start_agent()
    master.when_idle(0, command=agent)
    master.train(1)
    master.when_trained(1, 1, command=agent)
    os.kill(agent.pid, signal.SIGTERM)
    report = master.when(lambda report: report.leaving, command=agent)
    assert report.phase is AgentPhase.TRAINING
    master.order(Order.STOP, 1)
    report = master.when_idle(1, command=agent)
    assert (report.leaving, report.holds_state) == (True, True)
    master.order(Order.LEAVE)
    assert agent.wait(20).exit_code == 128 + signal.SIGTERM
    assert [each.failure for each in master.left] == [""]


def test_a_second_signal_ends_the_worker_at_once(
    master: RoundMaster, start_agent: StartAgent
) -> None:
    agent = start_agent()
    master.when_idle(0, command=agent)
    os.kill(agent.pid, signal.SIGTERM)
    master.when(lambda report: report.leaving, command=agent)
    os.kill(agent.pid, signal.SIGTERM)
    assert agent.wait(20).exit_code == 128 + signal.SIGTERM
    assert not master.left
    eventually(lambda: not agent.processes(), 20)


@pytest.mark.parametrize("has_trained", [False, True])
def test_a_worker_that_is_asked_to_leave_while_the_master_is_away_does(
    master: RoundMaster, start_agent: StartAgent, has_trained: bool
) -> None:
    agent = start_agent()
    master.when_idle(0, command=agent)
    if has_trained:
        # What it knows, the other member knows as well.
        master.train(1, others=(Member(1, _NOBODY, _NOBODY),))
        master.when_trained(1, 3, command=agent)
    master.stop()
    os.kill(agent.pid, signal.SIGTERM)
    ended = agent.wait(20)
    assert ended.exit_code == 128 + signal.SIGTERM
    assert "the master cannot be told" in ended.stderr
    eventually(lambda: not agent.processes(), 20)


def test_a_worker_with_the_only_state_waits_a_little_for_a_master_that_is_away(
    master: RoundMaster, start_agent: StartAgent, tmp_path: Path
) -> None:
    agent = start_agent()
    master.when_idle(0, command=agent)
    master.train(1)
    master.when_trained(1, 3, command=agent)
    master.stop()
    os.kill(agent.pid, signal.SIGTERM)
    eventually(lambda: "no answer from" in agent.stderr, 20, agent)
    with closing_master() as next_master:
        next_master.order(Order.STOP, 1)
        next_master.publish_endpoint(tmp_path)
        report = next_master.when_idle(1, command=agent)
        assert (report.leaving, report.holds_state) == (True, True)
        assert fetched(report.agent_address, report.step) == state_of(report.step, 2000)
        next_master.order(Order.LEAVE)
        assert agent.wait(20).exit_code == 128 + signal.SIGTERM
        assert [each.failure for each in next_master.left] == [""]


@pytest.mark.parametrize(
    ("behaviour", "shown"), [("crash", "ZeroDivisionError"), ("abort", "SIGABRT")]
)
def test_a_crash_of_the_trainer_is_one_of_the_worker(
    master: RoundMaster, start_agent: StartAgent, behaviour: str, shown: str
) -> None:
    with_behaviour(master, behaviour=behaviour)
    agent = start_agent()
    master.when_idle(0, command=agent)
    master.train(1)
    ended = agent.wait(30)
    assert ended.exit_code == 1
    assert shown in ended.stderr
    assert not master.left


def test_a_failure_of_the_model_fails_the_job(master: RoundMaster, start_agent: StartAgent) -> None:
    with_behaviour(master, behaviour="fail")
    agent = start_agent()
    master.when_idle(0, command=agent)
    master.train(1)
    assert agent.wait(30).exit_code == 1
    assert [each.failure for each in master.left] == ["no such layer"]


def test_a_worker_that_was_given_up_starts_over_with_a_warm_zygote(
    master: RoundMaster, start_agent: StartAgent
) -> None:
    agent = start_agent()
    master.when_idle(0, command=agent)
    zygote = zygote_of(agent)
    master.train(1)
    master.when_trained(1, 1, command=agent)
    trainer = trainer_of(agent)
    master.order(Order.WAIT)
    master.unknown.add(master.registered[0].incarnation)
    report = master.when_idle(0, command=agent)
    assert (report.step, report.holds_state) == (0, False)
    assert not psutil.pid_exists(trainer)
    assert zygote_of(agent) == zygote
    assert len({each.incarnation for each in master.registered}) == 2


def test_a_zygote_that_cannot_import_tensorflow_is_a_crash(
    master: RoundMaster, start_agent: StartAgent, tmp_path: Path
) -> None:
    (tmp_path / "empty" / "tensorflow.py").write_text("raise ImportError('no such library')")
    ended = start_agent().wait(30)
    assert ended.exit_code == 1
    assert "no such library" in ended.stderr
    assert not master.left
