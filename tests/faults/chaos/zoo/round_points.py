"""Points in a trainer of several workers, and what each trainer writes down of its rounds."""

import hashlib
import os
import random
import sys
import time

import numpy as np

from faults.chaos.points import RUN, note, pass_point, plan, with_point

_SLOW_S = 0.25
_PRODUCT = "elasticdl_like.worker."


def watch(model):
    """Has this process, which is a trainer, write down what it does, and pass points."""
    watched = _Watched(model, _round_start())
    watched.wrap_product()
    watched.note("begins", start_step=watched.start.plan.start.step)
    watched.point("round begins")
    return watched


class _Watched:
    def __init__(self, model, start):
        self.start = start
        self._model = model
        self._rank = start.plan.rank(start.worker_id)
        self._agent = os.getppid()
        self._chance = random.Random(os.getpid())
        self._finished = start.plan.start.step

    def note(self, what, **fields):
        plan_ = self.start.plan
        who = {"round": plan_.number, "worker": self.start.worker_id, "rank": self._rank}
        who |= {"size": len(plan_.members), "incarnation": self.start.incarnation}
        note(what, **who, **fields)

    def point(self, name):
        pass_point(name, self._rank, self._agent)

    def counts(self):
        return self._model.get_layer("counts").embeddings.numpy().ravel()

    def state(self):
        digest = hashlib.sha256(self.counts().tobytes()).hexdigest()[:12]
        optimizer = self._model.optimizer
        rate = round(float(optimizer.learning_rate.numpy()), 6)
        iterations = int(optimizer.iterations.numpy())
        return {"iterations": iterations, "digest": digest, "learning_rate": rate}

    def wrap_product(self):
        from elasticdl_like.worker import checkpoint_writer, model_state
        from elasticdl_like.worker.master_client import MasterClient
        from elasticdl_like.worker.peers import Peers
        from elasticdl_like.worker.task_stream import TaskStream
        from elasticdl_like.worker.trainer_link import TrainerLink

        pace_s, slow_from = plan()["pace_s"], plan()["slow_from_step"]

        def before_exchange(*_):
            time.sleep(pace_s * self._chance.uniform(0.2, 1.8))
            if slow_from and self._finished >= slow_from and not (RUN / "go").exists():
                time.sleep(_SLOW_S)
            self.point("before exchange")
            self.point("in exchange")  # a little later, that is

        def before_commit(stream, step, intervals, *_):
            used = sum(each.end_position - each.start_position for each in intervals)
            self.note("commit", step=step, records=used)
            self.point("before commit")

        def finish_step(stream, step):
            self._finished = step
            self.note("step", step=step, **self.state())

        def end(link, end):
            self.note("ends", outcome=end.outcome, step=end.step, holds_state=end.holds_state)
            if end.outcome == "done":
                name = f"counts-{self.start.plan.number}-{self.start.worker_id}"
                np.save(RUN / f"{name}.writing.npy", self.counts())
                (RUN / f"{name}.writing.npy").rename(RUN / f"{name}.npy")

        with_point(Peers, "exchange", before_exchange)
        exchange = Peers.exchange

        def exchange_and_point(*args, **kwargs):
            result = exchange(*args, **kwargs)
            self.point("after exchange")
            return result

        Peers.exchange = exchange_and_point
        with_point(TaskStream, "commit", before_commit)
        with_point(TaskStream, "finish_step", finish_step)
        with_point(TrainerLink, "end", end)
        with_point(TaskStream, "mark", lambda *_: self.point("before mark"))
        with_point(checkpoint_writer, "write_variables", lambda *_: self.point("mid-checkpoint"))
        with_point(
            MasterClient, "publish_checkpoint", lambda *_, **__: self.point("before publication")
        )
        self._wrap_state(model_state)

    def _wrap_state(self, model_state):
        pack, unpack = model_state.pack_state, model_state.unpack_state

        def pack_with_points(step, model, extra, allocate):
            self.note("packs", step=step, **self.state())

            def allocate_and_point(size):
                memory = allocate(size)
                self.point("writing state")
                return memory

            pack(step, model, extra, allocate_and_point)
            self.point("state written")

        def unpack_with_points(*args, **kwargs):
            self.point("reading state")
            return unpack(*args, **kwargs)

        wrapped = {"pack_state": pack_with_points, "unpack_state": unpack_with_points}
        modules = [each for name, each in sys.modules.items() if name.startswith(_PRODUCT)]
        for module in modules:
            for name in wrapped.keys() & vars(module).keys():
                setattr(module, name, wrapped[name])


def _round_start():
    """Returns the `TrainerStart` of this process, from the call that it all happens in."""
    from elasticdl_like.worker.trainer_link import TrainerStart

    frame = sys._getframe()
    while frame is not None:
        for value in frame.f_locals.values():
            if isinstance(value, TrainerStart):
                return value
        frame = frame.f_back
    raise RuntimeError("this is not the trainer of a round")
