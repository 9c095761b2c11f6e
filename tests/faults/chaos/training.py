"""Trains the counting model under the faults of one seed."""

from __future__ import annotations

import json
import re
import signal
import time
from dataclasses import asdict
from pathlib import Path

import psutil

from faults.chaos.outcome import ChaosError, Outcome
from faults.chaos.processes import ChaosProcess, Deadline, clock_jumps, jumping_clock
from faults.chaos.training_check import check_counts
from faults.chaos.training_plan import TrainingPlan

HERE = Path(__file__).parent
DEADLINE_S = 300.0
_TICK_S = 0.05
_TAKEN_OVER = "is taken over"


class TrainingRun:
    """One job from its start to its end, in one job directory or two.

    Args:
        plan: the job and its faults.
        directory: gets everything; it is empty.
        outcome: gets what happened.
    """

    def __init__(self, plan: TrainingPlan, directory: Path, outcome: Outcome) -> None:
        self._plan = plan
        self._directory = directory
        self._outcome = outcome
        self._deadline = Deadline(DEADLINE_S)
        self._environment = {
            "CHAOS_PLAN": str(directory / "plan.json"),
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "PYTHONFAULTHANDLER": "1",
        }
        if plan.clock_jumps:
            self._environment |= jumping_clock(directory)
        self._command: ChaosProcess | None = None

    def run(self) -> None:
        """Runs the job and checks it.

        Raises:
            ChaosError: a promise was broken, it hung, or a fault did not fire.
        """
        plan_text = json.dumps(asdict(self._plan))
        (self._directory / "plan.json").write_text(plan_text, encoding="utf-8")
        jobs = [self._directory / "job"]
        try:
            self._let_it_happen(jobs[0], "")
            if self._plan.moves_at_step:
                if not (self._directory / "moved").exists():
                    raise ChaosError("the job ended before it could move")
                self._outcome.fired["goes on in another job directory"] += 1
                jobs.append(self._directory / "second job")
                self._let_it_happen(jobs[1], str(jobs[0] / "checkpoints"))
        except ChaosError:
            self._dump_stacks()
            raise
        finally:
            self._close()
        self._note_effects()
        self._note_fired()
        check_counts(self._plan, self._directory, jobs[-1], self._outcome)

    def _let_it_happen(self, job: Path, resume_from: str) -> None:
        """Gives the command again and again until it ends well, or the job is to move."""
        may_move, moved = self._directory / "may move", self._directory / "moved"
        while True:
            workers_before = self._worker_pids()
            command = self._start(job, resume_from)
            while command.running:
                self._deadline.check("the job")
                time.sleep(_TICK_S)
                if may_move.exists() and not moved.exists():
                    self._kill_everything(command)
                    moved.touch()
                    return
            if _TAKEN_OVER in command.log:
                self._outcome.fired["worker taken over"] += 1
                if not workers_before:
                    raise ChaosError("a worker was taken over that had ended before")
            if command.exit_code == 0:
                return
            if command.exit_code == 1 and "holds a job that has finished" in command.log:
                return
            if command.exit_code != -signal.SIGKILL:
                raise ChaosError(
                    f"the command ended with {command.exit_code}: {command.log[-3000:]}"
                )

    def _start(self, job: Path, resume_from: str) -> ChaosProcess:
        plan = self._plan
        minibatches_per_task = plan.num_minibatches_per_task
        arguments: list[object] = ["-m", "elasticdl_like", "train", "--job_dir", job]
        if resume_from:
            minibatches_per_task = plan.minibatches_per_task_after
            arguments += ["--resume_from", resume_from]
        if plan.writes_output:
            arguments += ["--output", self._directory / "output"]
        arguments += [
            *("--model_zoo", HERE / "zoo"),
            "--model_def",
            "counting_feed.custom_model" if plan.uses_feed else "counting.custom_model",
            *("--model_params", f"num_records={plan.num_records}"),
            *("--training_data", json.dumps(plan.shards)),
            *("--custom_data_reader_params", f"group_records={plan.group_records}"),
            *("--minibatch_size", plan.minibatch_size),
            *("--num_minibatches_per_task", minibatches_per_task),
            *("--num_epochs", plan.num_epochs),
            *("--checkpoint_steps", plan.checkpoint_steps),
            *("--shuffle" if plan.shuffle else "--no-shuffle", "--seed", plan.seed),
        ]
        command = ChaosProcess(arguments, self._directory / "command.log", self._environment)
        (self._directory / "command.pid").write_text(str(command.pid), encoding="utf-8")
        self._command = command
        return command

    def _kill_everything(self, command: ChaosProcess) -> None:
        command.signal(signal.SIGKILL)
        for pid in self._worker_pids():
            psutil.Process(pid).kill()
        while self._worker_pids():
            self._deadline.check("the worker")
            time.sleep(_TICK_S)

    def _worker_pids(self) -> list[int]:
        """Returns the processes of this run that are left of its workers."""
        marker = str(self._directory / "plan.json")
        found = []
        for process in psutil.process_iter():
            try:
                if (
                    process.environ().get("CHAOS_PLAN") == marker
                    and process.status() != psutil.STATUS_ZOMBIE
                    and "worker" in process.cmdline()
                ):
                    found.append(process.pid)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    def _dump_stacks(self) -> None:
        for pid in self._worker_pids():
            psutil.Process(pid).send_signal(signal.SIGCONT)
            psutil.Process(pid).send_signal(signal.SIGABRT)
        if self._command is not None:
            self._command.dump_stacks()

    def _close(self) -> None:
        if self._command is not None:
            self._command.close()
        for pid in self._worker_pids():
            psutil.Process(pid).kill()

    def _note_effects(self) -> None:
        """Counts what full disks have led to, as the logs tell."""
        logs = [self._directory / "command.log", *self._directory.glob("*job/logs/worker-0.log")]
        text = "".join(path.read_text(encoding="utf-8", errors="replace") for path in logs)
        for effect in ("checkpoint could not be written", "job waits until it can be written"):
            pattern = effect.replace("checkpoint", "checkpoint of step [0-9]+")
            self._outcome.fired[effect] += len(re.findall(pattern, text))

    def _note_fired(self) -> None:
        silent = []
        self._outcome.fired["clock jumps"] += clock_jumps(self._directory)
        if self._plan.clock_jumps and not self._outcome.fired["clock jumps"]:
            silent.append("clock jumps")
        for number, blow in enumerate(self._plan.blows):
            name = f"{blow.kind}: {blow.point}"
            if (self._directory / f"fired-{number}").exists():
                self._outcome.fired[name] += 1
            else:
                silent.append(name)
        if silent:
            raise ChaosError(f"planned faults did not happen: {', '.join(silent)}")
