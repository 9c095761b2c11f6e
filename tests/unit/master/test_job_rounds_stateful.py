"""Whatever happens to its workers, the surviving model has used every record as often as it should.

The model is the list of its steps, each with the records that it has used.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from job_parts import Clock, JobInDirectory, Record, records_of, state_of, training, whole
from round_worker import RoundWorker

from elasticdl_like.config import WorkersConfig
from elasticdl_like.job_directory import JobState
from elasticdl_like.master.caller import Caller
from elasticdl_like.rounds import AgentPhase
from elasticdl_like.tasks import Answer, Commit, Lease, Shard

NUM_EPOCHS = 2
SHARDS = (Shard("a", 0, 30), Shard("b", 5, 7))
MEMORY = Path("/dev/shm")

Model = tuple[tuple[Record, ...], ...]


class ModelWorker(RoundWorker):
    """Attributes: model, which its trainer or its agent has; commits, which it has yet to send."""

    model: Model = ()
    commits: tuple[Commit, ...] = ()
    epoch = 0


class JobRoundsMachine(RuleBasedStateMachine):
    @initialize(num_workers=st.integers(1, 3), seed=st.sampled_from([None, 5]))
    def start(self, num_workers: int, seed: int | None) -> None:
        self.directory = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
        self.one = JobInDirectory(
            self.directory,
            Clock(),
            tables=(SHARDS,),
            workers=WorkersConfig(num_workers),
            num_epochs=NUM_EPOCHS,
            shuffle=seed is not None,
            seed=seed or 0,
        )
        self.workers: dict[int, ModelWorker] = {}
        self.names = 0
        self.checkpoints: dict[int, Model] = {0: ()}
        for _ in range(num_workers):
            self.join()

    def trainers(self) -> list[ModelWorker]:
        return [each for each in self.workers.values() if each.trains]

    def members(self) -> list[ModelWorker]:
        """The members of the round that runs, if all of them are there and train in it."""
        rounds = self.one.core.in_rounds()
        if rounds.running is None or len(rounds.members) < len(rounds.running.members):
            return []
        members = [self.workers[worker_id] for worker_id in rounds.members]
        ready = all(each.trains and each.report.round == rounds.number for each in members)
        return members if ready else []

    def draw(self, data: st.DataObject, workers: list[ModelWorker]) -> ModelWorker:
        return workers[data.draw(st.integers(0, len(workers) - 1))]

    def poll(self, worker: ModelWorker) -> None:
        before = worker.report.round
        worker.poll()
        if worker.left:
            del self.workers[worker.worker_id]
        elif worker.trains and worker.report.round != before:
            assert worker.plan is not None
            start = worker.plan.start
            if worker.plan.holders:
                by_address = {each.report.agent_address: each for each in self.workers.values()}
                holders = [by_address.get(address) for address in worker.plan.holders]
                models = [each.model for each in holders if each is not None and each.model]
                models = [model for model in models if len(model) == start.step]
                # A holder that is gone, or ahead by now, cannot give it; that breaks the round.
                if not models and start.step:
                    worker.end("the state cannot be had", with_state=False)
                    return
                worker.model = models[0] if models else ()
                assert set(models) <= {worker.model}
            else:
                worker.model = self.checkpoints[start.step]
            worker.commits, worker.epoch = (), start.epoch

    @rule()
    def join(self) -> None:
        if len(self.workers) < 4:
            self.names += 1
            worker = ModelWorker(self.one.job, f"w{self.names}")
            self.workers[worker.worker_id] = worker

    @rule(times=st.integers(1, 3))
    def poll_all(self, times: int = 3) -> None:
        for _ in range(times):
            for worker in list(self.workers.values()):
                self.poll(worker)

    @precondition(lambda self: self.workers)
    @rule(data=st.data())
    def poll_one(self, data: st.DataObject) -> None:
        self.poll(self.draw(data, list(self.workers.values())))

    @rule(steps=st.integers(1, 5), mark=st.booleans())
    def train(self, steps: int = 1, mark: bool = False) -> None:
        if not self.members():
            self.poll_all()
        for _ in range(steps):
            leases = self.lease(self.members())
            if not any(leases):
                return
            for worker, mine in zip(self.members(), leases, strict=True):
                self.finish(worker, mine, leases)
        if mark and self.members():
            self.save_checkpoint()

    @precondition(lambda self: self.members())
    @rule(data=st.data(), dies=st.booleans(), has_said_so=st.booleans())
    def break_a_step(self, data: st.DataObject, dies: bool, has_said_so: bool) -> None:
        """A member does not finish a step that the others have finished; all trainers end."""
        members = self.members()
        last = self.draw(data, members)
        leases = self.lease(members)
        for worker, mine in zip(members, leases, strict=True):
            if worker is not last and any(leases):
                self.finish(worker, mine, leases)
                if has_said_so:
                    worker.call(worker.commits, 0, training(worker.epoch))
                    worker.commits = ()
        for worker in members:
            worker.end("cut off")
        if dies:
            self.lose(last)

    @precondition(lambda self: self.workers)
    @rule(data=st.data())
    def kill(self, data: st.DataObject) -> None:
        self.lose(self.draw(data, list(self.workers.values())))

    @precondition(lambda self: self.trainers())
    @rule(data=st.data(), with_state=st.booleans())
    def end_a_trainer(self, data: st.DataObject, with_state: bool) -> None:
        worker = self.draw(data, self.trainers())
        worker.end("cut off", with_state=with_state)
        if not with_state:
            worker.model = ()

    @rule()
    def restart(self) -> None:
        self.one.job.flush()
        before = state_of(self.one.core)
        job = self.one.restart()
        assert state_of(self.one.core) == before
        for worker in self.workers.values():
            worker.job = job

    @invariant()
    def the_ledger_adds_up(self) -> None:
        for epoch in self.one.core.queue.epochs:
            epoch.check()

    def lose(self, worker: ModelWorker) -> None:
        del self.workers[worker.worker_id]
        self.one.job.lose(worker.worker_id, "it was killed")

    def lease(self, members: list[ModelWorker]) -> list[list[Lease]]:
        """Each sends what it has to commit, and gets a lease if there is one."""
        leases = []
        for worker in members:
            reply = worker.call(worker.commits, 1, training(worker.epoch))
            worker.commits = ()
            leases.append(list(reply.leases))
            if reply.answer is Answer.EPOCH_ENDED:
                worker.epoch += 1
        return leases

    def finish(self, worker: ModelWorker, mine: list[Lease], leases: list[list[Lease]]) -> None:
        step = len(worker.model) + 1
        used = [record for each in leases for lease in each for record in records_of(lease)]
        worker.model = (*worker.model, tuple(used))
        worker.finish(step, leases)
        if mine:
            worker.commits = (*worker.commits, whole(step, mine))

    def save_checkpoint(self) -> None:
        members = self.members()
        chief = members[0]
        step = len(chief.model)
        if step in self.checkpoints or chief.epoch >= NUM_EPOCHS:
            return
        self.names += 1
        written = Path(self.one.job.config.checkpoint.directory) / f".checkpoint-{self.names}"
        written.mkdir(parents=True)
        chief.commits = (*chief.commits, Commit(step, [], mark=True))
        for worker in members:
            worker.call(worker.commits, 0, training(worker.epoch))
            worker.commits = ()
        self.one.job.publications.publish_checkpoint(
            Caller(chief.worker_id, chief.name, chief.report.round), written, step, {}
        )
        self.checkpoints[step] = chief.model

    def teardown(self) -> None:
        if not hasattr(self, "one"):
            return
        try:
            self.finish_the_job()
        finally:
            self.one.close()
            shutil.rmtree(self.directory)

    def finish_the_job(self) -> None:
        job, core = self.one.job, self.one.core
        model: Model | None = None
        for _ in range(400):
            if job.state is not JobState.RUNNING:
                break
            while len(self.workers) < core.in_rounds().wanted and not core.in_rounds().done:
                self.join()
            self.one.clock.now_s += 50  # type: ignore[attr-defined]
            self.poll_all()
            members = self.members()
            if members and all(each.epoch >= NUM_EPOCHS for each in members):
                (model,) = {each.model for each in members}
                for each in members:
                    each.end(phase=AgentPhase.DONE)
            elif members:
                self.train(3)
        assert job.state is JobState.FINISHED
        assert model is not None
        used = Counter(record for step in model for record in step)
        assert used == {
            (shard.name, index): NUM_EPOCHS
            for shard in SHARDS
            for index in range(shard.first, shard.end)
        }
        assert job.status().step == len(model)
        for entry in core.queue.epochs.ledger():
            assert (entry.committed, entry.missing) == (entry.records, 0)


JobRoundsMachine.TestCase.settings = settings(
    derandomize=True,
    deadline=None,
    max_examples=150,
    stateful_step_count=40,
    database=None,
    phases=[Phase.generate],
)
TestJobRounds: Any = JobRoundsMachine.TestCase
