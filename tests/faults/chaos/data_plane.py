"""Runs a job without a model under the faults of one seed."""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from elasticdl_like.data_readers import RecordIOWriter
from elasticdl_like.job_directory import JobDirectory
from faults.chaos.data_check import check_exactly_once
from faults.chaos.data_plan import Blow, DataPlan, MasterDeath, Point, ScheduledBlow
from faults.chaos.network_plan import NetworkFault
from faults.chaos.outcome import ChaosError, Outcome
from faults.chaos.processes import ChaosProcess, Deadline, clock_jumps, full_disk, jumping_clock
from faults.chaos.proxy import FaultyProxy, serving

HERE = Path(__file__).parent
DEADLINE_S = 60.0
_TICK_S = 0.01
_FAREWELL_S = 10.0
# What a master says that is started while the disk is full.
_CANNOT_START = "journal.sqlite cannot be"
# Above the master's log, below what its write-ahead log is after a few events.
_DISK_BYTES = 12 * 1024


class Worker:
    """A worker process, and what it has written down so far."""

    def __init__(self, process: ChaosProcess, log_path: Path) -> None:
        self.process = process
        self.log_path = log_path
        self._read_bytes = 0
        self.counted = 0
        self.died_at: str | None = None

    def look(self) -> None:
        """Reads on in its log."""
        if not self.log_path.exists():
            return
        with self.log_path.open("rb") as log:
            log.seek(self._read_bytes)
            text = log.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read_bytes += len(whole)
        for line in whole.splitlines():
            word, *rest = json.loads(line)
            if word == "counted":
                self.counted += rest[1]
            elif word == "death":
                self.died_at = rest[0]


class DataPlaneRun:
    """One job from its start to its end.

    Args:
        plan: the job and its faults.
        directory: gets everything; it is empty.
        outcome: gets what happened.
    """

    def __init__(self, plan: DataPlan, directory: Path, outcome: Outcome) -> None:
        self._plan = plan
        self._directory = directory
        self._outcome = outcome
        self._fired = outcome.fired
        self._job = JobDirectory(directory / "job")
        self._chance = random.Random(plan.seed ^ 0x5EED)
        self._deadline = Deadline(DEADLINE_S)
        self._environment = jumping_clock(directory) if plan.clock_jumps else {}
        self._master: ChaosProcess | None = None
        self._workers: list[Worker] = []
        self._ended: list[Worker] = []
        # What is due at a time: the ends of stops and outages, and new processes.
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._master_deaths = list(plan.master_deaths)
        self._finished = False
        self._address = ""

    def run(self) -> None:
        """Runs the job and checks it.

        Raises:
            ChaosError: a promise was broken, it hung, or a fault did not fire.
        """
        proxy = FaultyProxy(
            self._job.path / "endpoint",
            self._plan.network,
            random.Random(self._plan.seed ^ 0xA11),
            self._on_lease_call,
            self._on_epoch_ended,
        )
        with ExitStack() as stack:
            stack.callback(self._close)
            self._address = stack.enter_context(serving(proxy))
            self._start_master(resume=False)
            self._wait_for("the start", (self._job.path / "endpoint").exists)
            for _ in range(self._plan.num_workers):
                self._start_worker()
            self._wait_for("registering", lambda: all(map(_has_life, self._workers)))
            (self._directory / "go").touch()
            try:
                self._let_it_happen()
            except ChaosError:
                for process in self._processes():
                    process.dump_stacks()
                raise
        self._fired.update(proxy.fired)
        self._fired["clock jumps"] += clock_jumps(self._directory)
        logs = [worker.log_path for worker in self._workers if worker.log_path.exists()]
        check_exactly_once(self._plan, self._job.path, logs, self._outcome)
        self._check_fired()

    def _let_it_happen(self) -> None:
        blows = list(self._plan.blows)
        total = self._plan.num_records * self._plan.num_epochs
        while not self._finished:
            self._deadline.check("the job")
            time.sleep(_TICK_S)
            self._do_what_is_due()
            self._look_after_master()
            self._look_after_workers()
            progress = sum(worker.counted for worker in self._workers) / total
            while blows and blows[0].progress <= progress:
                self._strike(blows.pop(0))
        self._say_goodbye()

    def _say_goodbye(self) -> None:
        """Waits for workers that are at their end; one that was away then waits for nobody."""
        deadline_s = time.monotonic() + _FAREWELL_S
        for worker in self._workers:
            while worker.process.running and not worker.process.stopped:
                worker.look()
                if time.monotonic() > deadline_s:
                    self._fired["left behind"] += 1
                    break
                self._do_what_is_due()
                time.sleep(_TICK_S)

    def _strike(self, blow: ScheduledBlow) -> None:
        live = [each for each in self._workers if each.process.running and not each.process.stopped]
        victim = self._chance.choice(live) if live else None
        master = self._master if self._master is not None and self._master.running else None
        match blow.kind:
            case Blow.KILL_WORKER if victim is not None:
                victim.process.signal(signal.SIGKILL)
            case Blow.KILL_WORKERS if live:
                for worker in live:
                    worker.process.signal(signal.SIGKILL)
            case Blow.STOP_WORKER | Blow.STOP_WORKER_LONG if victim is not None:
                victim.process.stop()
                self._after(blow.duration_s, victim.process.go_on)
            case Blow.KILL_MASTER if master is not None:
                master.signal(signal.SIGKILL)
            case Blow.KILL_EVERYTHING if master is not None:
                for process in (master, *(each.process for each in live)):
                    process.signal(signal.SIGKILL)
            case Blow.STOP_MASTER if master is not None:
                master.stop()
                self._after(blow.duration_s, master.go_on)
            case Blow.FILL_DISK if master is not None:
                self._fill_disk(master, blow.duration_s)
            case _:
                # Nobody is there to be struck; whoever comes next is.
                self._after(0.1, lambda: self._strike(blow))
                return
        self._fired[blow.kind] += 1

    def _fill_disk(self, master: ChaosProcess, duration_s: float) -> None:
        stack = ExitStack()
        stack.enter_context(full_disk(master.pid, _DISK_BYTES))
        self._after(duration_s, stack.close)

    def _look_after_master(self) -> None:
        if self._master is None or self._master.running:
            return
        exit_code, log = self._master.exit_code, self._master.log
        self._master = None
        if exit_code == 0 or (exit_code == 1 and "holds a job that has finished" in log):
            self._finished = True
        elif exit_code == -signal.SIGKILL or (exit_code == 1 and _CANNOT_START in log):
            self._after(self._chance.uniform(0.0, 0.3), lambda: self._start_master(resume=True))
        else:
            raise ChaosError(f"the master ended with {exit_code}: {log[-2000:]}")

    def _look_after_workers(self) -> None:
        for worker in self._workers:
            worker.look()
        for worker in [each for each in self._workers if each.process.exit_code is not None]:
            if worker in self._ended:
                continue
            self._ended.append(worker)
            worker.look()
            exit_code = worker.process.exit_code
            if exit_code == -signal.SIGKILL:
                if worker.died_at is not None:
                    self._fired[f"worker dies: {worker.died_at}"] += 1
                self._after(self._chance.uniform(0.0, 0.3), self._start_worker)
            elif exit_code != 0:
                log = worker.process.log[-600:]
                raise ChaosError(f"a worker ended with {exit_code}: {log}")

    def _start_master(self, resume: bool) -> None:
        plan = self._plan
        arguments = ["-m", "elasticdl_like", "master", "--job_dir", self._job.path]
        arguments += ["--worker_timeout", plan.worker_timeout_s]
        if resume:
            arguments += ["--resume"]
        else:
            arguments += [
                *("--num_epochs", plan.num_epochs, "--minibatch_size", plan.minibatch_size),
                *("--num_minibatches_per_task", plan.num_minibatches_per_task),
                *("--shuffle" if plan.shuffle else "--no-shuffle", "--seed", plan.seed),
                *("--job_name", "chaos", "--training_data", self._make_data()),
            ]
            if plan.custom_reader:
                arguments += ["--data_only", "--model_zoo", HERE / "zoo"]
                arguments += ["--model_def", "data_only.no_model"]
                params = f"group_records={plan.group_records}"
                arguments += ["--custom_data_reader_params", params]
        self._master = ChaosProcess(arguments, self._directory / "master.log", self._environment)

    def _make_data(self) -> str:
        if self._plan.custom_reader:
            return json.dumps(self._plan.shards)
        data = self._directory / "data"
        data.mkdir()
        for name, first, count in self._plan.shards:
            with RecordIOWriter(data / name) as writer:
                for index in range(first, first + count):
                    writer.write(f"{name}:{index}".encode())
        return str(data)

    def _start_worker(self) -> None:
        if self._finished:
            return
        number = len(self._workers)
        log_path = self._directory / f"worker-{number:02d}.jsonl"
        options = {
            "address": self._address,
            "token_file": str(self._job.path / "token"),
            "go_file": str(self._directory / "go"),
            "log": str(log_path),
            "deaths": [(death.point, death.count) for death in self._plan.deaths],
            "seed": self._plan.seed + number,
            "records_per_commit": self._plan.records_per_commit,
            "flush_share": self._plan.flush_share,
            "pace_s": self._plan.pace_s,
        }
        process = ChaosProcess(
            ["-m", "faults.chaos.data_worker", json.dumps(options)],
            self._directory / f"worker-{number:02d}.log",
            self._environment,
        )
        self._workers.append(Worker(process, log_path))

    def _on_lease_call(self, number: int) -> None:
        """Called in the proxy's thread."""
        for death in [each for each in self._master_deaths if each.call is not None]:
            assert death.call is not None
            if number >= death.call:
                self._kill_master_at(death, "master dies: in a call")

    def _on_epoch_ended(self, epoch: int) -> None:
        """Called in the proxy's thread."""
        for death in [each for each in self._master_deaths if each.call is None]:
            self._kill_master_at(death, "master dies: epoch change")

    def _kill_master_at(self, death: MasterDeath, what: str) -> None:
        master = self._master
        if master is None or not master.running:
            return
        self._master_deaths.remove(death)
        time.sleep(death.delay_s)
        master.signal(signal.SIGKILL)
        self._fired[what] += 1

    def _after(self, delay_s: float, action: Callable[[], None]) -> None:
        self._later.append((time.monotonic() + delay_s, action))

    def _do_what_is_due(self) -> None:
        now_s = time.monotonic()
        due = [each for each in self._later if each[0] <= now_s]
        self._later = [each for each in self._later if each[0] > now_s]
        for _, action in due:
            action()

    def _wait_for(self, what: str, condition: Callable[[], bool]) -> None:
        while not condition():
            self._deadline.check(what)
            if self._master is not None and not self._master.running:
                raise ChaosError(f"the master ended early: {self._master.log[-2000:]}")
            time.sleep(_TICK_S)

    def _processes(self) -> Iterator[ChaosProcess]:
        if self._master is not None:
            yield self._master
        yield from (worker.process for worker in self._workers)

    def _close(self) -> None:
        for process in self._processes():
            process.close()

    def _check_fired(self) -> None:
        planned: list[str] = [blow.kind for blow in self._plan.blows]
        calls = [each for each in self._plan.master_deaths if each.call is not None]
        planned += ["master dies: in a call"] if calls else []
        silent = [kind for kind in planned if not self._fired[kind]]
        if self._plan.deaths and not any(self._fired[f"worker dies: {point}"] for point in Point):
            silent.append("a worker's death")
        if self._plan.network.rates and not any(self._fired[kind] for kind in NetworkFault):
            silent.append("a fault of the network")
        if self._plan.clock_jumps and not self._fired["clock jumps"]:
            silent.append("clock jumps")
        killed = {Blow.KILL_MASTER, Blow.KILL_EVERYTHING} & set(planned)
        if (
            Blow.FILL_DISK in planned
            and not killed
            and not self._fired["journal cannot be written"]
        ):
            silent.append("a full disk that anybody noticed")
        if silent:
            raise ChaosError(f"planned faults did not happen: {', '.join(silent)}")


def _has_life(worker: Worker) -> bool:
    return worker.log_path.exists() and b'"life"' in worker.log_path.read_bytes()
