"""Trains the counting model on several workers, under the faults of one plan."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agent_processes import Found, Role, find_workers, kill_all, left_processes, pids_of
from faults.chaos.outcome import ChaosError, Outcome
from faults.chaos.points import STOPPED_FILE
from faults.chaos.processes import TESTS, ChaosProcess, Deadline
from faults.chaos.round_check import check_rounds
from faults.chaos.round_plan import ManyWorkersPlan, OutsideBlow, RoundBlow
from faults.chaos.round_trace import Trace, TraceFile

HERE = Path(__file__).parent
DEADLINE_S = 300.0
_TICK_S = 0.05
_END_WAIT_S = 15.0
# The job may end while the command is on its way.
_MOST_SCALINGS = 6
_VARIABLE = "CHAOS_PLAN"
_STOPS = {
    RoundBlow.STOP_TRAINER: Role.TRAINER,
    RoundBlow.STOP_ZYGOTE: Role.ZYGOTE,
    RoundBlow.STOP_AGENT: Role.AGENT,
}
_KILLS = {
    RoundBlow.KILL_TRAINER: Role.TRAINER,
    RoundBlow.KILL_ZYGOTE: Role.ZYGOTE,
    RoundBlow.KILL_AGENT: Role.AGENT,
}


Lines = Sequence[Mapping[str, Any]]


class ManyWorkersRun:
    """One job from its start to its end.

    Args:
        plan: the job and its faults.
        directory: gets everything; it is empty.
        outcome: gets what happened.
        flags: more arguments of `elasticdl train`.
        script: does things while the job runs, in a thread of its own.
    """

    def __init__(
        self,
        plan: ManyWorkersPlan,
        directory: Path,
        outcome: Outcome,
        flags: tuple[object, ...] = (),
        script: Callable[[ManyWorkersRun], None] | None = None,
    ) -> None:
        self.job = directory / "job"
        self._plan = plan
        self._directory = directory
        self._outcome = outcome
        self._flags = flags
        self._script = script
        self._deadline = Deadline(DEADLINE_S)
        self._marker = str(directory / "plan.json")
        self._environment = {
            _VARIABLE: self._marker,
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "PYTHONFAULTHANDLER": "1",
            "PYTHONPATH": f"{HERE / 'agent'}:{TESTS}",
        }
        self._command: ChaosProcess | None = None
        self._to_come = list(plan.outside_blows)
        self._scaling: tuple[OutsideBlow, subprocess.Popen[bytes]] | None = None
        self._stopped: dict[int, float] = {}
        self._num_stops_read = 0
        self._num_scalings = 0
        self._ended = False
        self._trace = TraceFile(directory)

    def run(self) -> Trace:
        """Runs the job and checks it; returns what the trainers have written down.

        Raises:
            ChaosError: a promise was broken, it hung, or a fault did not happen.
        """
        plan_text = json.dumps(asdict(self._plan))
        Path(self._marker).write_text(plan_text, encoding="utf-8")
        (self._directory / "masters.txt").write_text("", encoding="utf-8")
        try:
            with self._played_script():
                self._let_it_happen()
            self._check_nothing_left()
        except ChaosError:
            self._dump_stacks()
            raise
        finally:
            self._close()
        self._note_fired()
        return check_rounds(self._plan, self._directory, self.job, self._outcome)

    @property
    def workers(self) -> list[Found]:
        """The processes of the workers that there are now."""
        return find_workers(_VARIABLE, self._marker)

    def wait_for(self, what: str, done: Callable[[Lines], object]) -> None:
        """Waits, for a script, until what the trainers have written down has something.

        Args:
            what: what that is, in words.
            done: tells whether it is there.

        Raises:
            HangError: it does not come.
        """
        trace = TraceFile(self._directory)
        while not done(trace.lines()):
            self._deadline.check(f"the script, waiting for {what},")
            if self._ended:
                raise ChaosError(f"the job ended before there was {what}")
            time.sleep(_TICK_S)

    def go_on(self) -> None:
        """Lets training be slow no more."""
        (self._directory / "go").touch()

    def scale(self, num_workers: int) -> None:
        """Has the job go on with another number of workers.

        Raises:
            ChaosError: the command fails.
        """
        finished = subprocess.run(
            scale_command(self.job, num_workers), capture_output=True, text=True, check=False
        )
        if finished.returncode:
            raise ChaosError(f"elasticdl scale ended with {finished.returncode}: {finished.stderr}")

    def end_agent(self, worker_id: int) -> None:
        """Sends SIGTERM to the agent of a worker."""
        _signal(pids_of(self.workers, Role.AGENT)[worker_id], signal.SIGTERM)

    @contextmanager
    def _played_script(self) -> Iterator[None]:
        """Plays the script meanwhile; its error is one of this run."""
        script = self._script
        if script is None:
            yield
            return
        with ThreadPoolExecutor(1) as pool:
            playing = pool.submit(script, self)
            try:
                yield
            finally:
                self._ended = True
            playing.result()

    def _let_it_happen(self) -> None:
        """Gives the command again and again until it ends well."""
        while True:
            command = self._start()
            while command.running:
                self._deadline.check("the job")
                time.sleep(_TICK_S)
                self._note_master()
                self._let_go_on()
                self._strike_from_outside()
            if command.exit_code == 0:
                return
            if command.exit_code == 1 and "holds a job that has finished" in command.log:
                return
            if command.exit_code != -signal.SIGKILL:
                raise ChaosError(
                    f"the command ended with {command.exit_code}: {command.log[-3000:]}"
                )

    def _start(self) -> ChaosProcess:
        plan = self._plan
        arguments: list[object] = [
            *("-m", "elasticdl_like", "train", "--job_dir", self.job),
            *("--distribution_strategy", "AllReduce", "--num_workers", plan.num_workers),
            *("--model_zoo", HERE / "zoo", "--model_def"),
            "counting_round_feed.custom_model" if plan.uses_feed else "counting_round.custom_model",
            *("--model_params", f"num_records={plan.num_records}"),
            *("--training_data", json.dumps(plan.shards)),
            *("--custom_data_reader_params", f"group_records={plan.group_records}"),
            *("--minibatch_size", plan.minibatch_size),
            *("--num_minibatches_per_task", plan.num_minibatches_per_task),
            *("--num_epochs", plan.num_epochs),
            *("--checkpoint_steps", plan.checkpoint_steps),
            *("--shuffle" if plan.shuffle else "--no-shuffle", "--seed", plan.seed),
            *self._flags,
        ]
        if plan.writes_output:
            arguments += ["--output", self._directory / "output"]
        command = ChaosProcess(arguments, self._directory / "command.log", self._environment)
        (self._directory / "command.pid").write_text(str(command.pid), encoding="utf-8")
        self._command = command
        return command

    def _note_master(self) -> None:
        """Writes down where masters are, so that connections to them are not cut."""
        with contextlib.suppress(OSError):
            address = (self.job / "endpoint").read_text(encoding="utf-8").strip()
            path = self._directory / "masters.txt"
            if address not in path.read_text(encoding="utf-8").split():
                with path.open("a", encoding="utf-8") as file:
                    file.write(f"{address}\n")

    def _let_go_on(self) -> None:
        """Lets processes go on that have been stopped for long enough."""
        path = self._directory / STOPPED_FILE
        if path.exists():
            text = path.read_text(encoding="utf-8")
            for line in text.splitlines()[self._num_stops_read :]:
                self._num_stops_read += 1
                stopped, until = line.split()
                self._stopped[int(stopped)] = float(until)
        now_s = time.monotonic()
        for pid in [pid for pid, until_s in self._stopped.items() if until_s <= now_s]:
            del self._stopped[pid]
            _signal(pid, signal.SIGCONT)

    def _strike_from_outside(self) -> None:
        if self._scaling is not None:
            self._wait_for_scale(*self._scaling)
        elif self._to_come and self._trace.last_step() >= self._to_come[0].at_step:
            blow = self._to_come[0]
            if blow.kind is RoundBlow.SCALE:
                self._scale(blow)
            elif self._hit(blow):
                self._fired(blow)

    def _hit(self, blow: OutsideBlow) -> bool:
        """Hits a worker; returns whether there is one."""
        role = Role.AGENT if blow.kind is RoundBlow.END_AGENT else None
        role = role or _KILLS.get(blow.kind) or _STOPS[blow.kind]
        pids = [pid for _, pid in sorted(pids_of(self.workers, role).items())]
        if not pids:
            return False
        pid = pids[min(int(blow.share * len(pids)), len(pids) - 1)]
        if blow.kind in _STOPS:
            self._stopped[pid] = time.monotonic() + blow.duration_s
            return _signal(pid, signal.SIGSTOP)
        if blow.kind is RoundBlow.END_AGENT:
            return _signal(pid, signal.SIGTERM)
        return _signal(pid, signal.SIGKILL)

    def _scale(self, blow: OutsideBlow) -> None:
        log = self._directory / "scale.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                scale_command(self.job, blow.num_workers), stdout=output, stderr=output
            )
        self._scaling = blow, process

    def _wait_for_scale(self, blow: OutsideBlow, process: subprocess.Popen[bytes]) -> None:
        exit_code = process.poll()
        if exit_code is None:
            return
        self._scaling = None
        self._num_scalings += 1
        if exit_code == 0:
            self._fired(blow)
        elif not self._plan_may_end_master and self._num_scalings > _MOST_SCALINGS:
            log = (self._directory / "scale.log").read_text(encoding="utf-8")
            raise ChaosError(f"elasticdl scale ended with {exit_code}: {log}")

    @property
    def _plan_may_end_master(self) -> bool:
        """Whether there may be no master at times."""
        kinds = (RoundBlow.KILL_COMMAND, RoundBlow.KILL_EVERYTHING, RoundBlow.STOP_COMMAND)
        return any(kind in self._plan.kinds for kind in kinds)

    def _fired(self, blow: OutsideBlow) -> None:
        self._to_come.pop(0)
        self._outcome.fired[f"{blow.kind}: from outside"] += 1

    def _check_nothing_left(self) -> None:
        """Waits until all processes of the job have ended; those that were stopped go on."""
        until_s = time.monotonic() + _END_WAIT_S
        while left := left_processes(_VARIABLE, self._marker):
            self._let_go_on()
            if time.monotonic() > until_s and not self._stopped:
                raise ChaosError(f"the job has ended, these processes have not: {left}")
            self._deadline.check("what the job has left")
            time.sleep(_TICK_S)

    def _dump_stacks(self) -> None:
        for found in self.workers:
            _signal(found.pid, signal.SIGCONT)
        for found in self.workers:
            _signal(found.pid, signal.SIGABRT)
        if self._command is not None:
            self._command.dump_stacks()

    def _close(self) -> None:
        if self._scaling is not None:
            self._scaling[1].kill()
            self._scaling[1].wait()
        if self._command is not None:
            self._command.close()
        kill_all(_VARIABLE, self._marker)

    def _note_fired(self) -> None:
        if self._scaling is not None or self._num_scalings:
            # The job has ended before the command.
            self._to_come = [blow for blow in self._to_come if blow.kind is not RoundBlow.SCALE]
        silent = [f"{blow.kind}: from outside" for blow in self._to_come]
        for number, blow in enumerate(self._plan.blows):
            name = f"{blow.kind}: {blow.point}"
            if (self._directory / f"fired-{number}").exists():
                self._outcome.fired[name] += 1
            else:
                silent.append(name)
        if silent:
            raise ChaosError(f"planned faults did not happen: {', '.join(silent)}")


def scale_command(job: Path, num_workers: int) -> list[str]:
    """Returns the command that changes how many workers a job has."""
    words = ("-m", "elasticdl_like", "scale", job, "--num_workers", num_workers)
    return [sys.executable, *map(str, words)]


def _signal(pid: int, number: signal.Signals) -> bool:
    """Sends a signal; returns whether the process was there."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
