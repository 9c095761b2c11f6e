"""The counting model: one weight per record, which counts how often a step has used the record.

The optimizer adds to each weight how often its record is in the step's batch: the gradient divided
by its smallest positive entry, so that a record that is twice in one batch shows too. A weight is
the number of epochs if and only if its record was used once in each.

A record is its number, in decimal digits. The file named by the environment variable CHAOS_PLAN
has the deaths of the processes (see `training_plan.py`): nothing else in the product knows of them.

TensorFlow is imported where it is needed, so that listing the shards is quick.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

_PLAN = Path(os.environ.get("CHAOS_PLAN", "no plan"))
_RUN = _PLAN.parent
# Larger than the logs, smaller than the journal gets and, because of `Ballast`, the model's file.
_DISK_BYTES = 48 * 1024
_BALLAST = 100_000


class CustomDataReader:
    """Shards of consecutive numbers; writes down what it reads.

    The data origin is the shards as JSON, `[[name, first, count], …]`, the parameter the number of
    records in each group, or 0.
    """

    def __init__(self, data_origin, group_records):
        self._shards = json.loads(data_origin)
        self._group_records = group_records

    def create_shards(self):
        return {name: (first, count) for name, first, count in self._shards}

    def natural_splits(self, shard_name):
        ((first, count),) = [each[1:] for each in self._shards if each[0] == shard_name]
        size = self._group_records or count
        return range(first + size, first + count, size)

    def read_records(self, task):
        _append("read.txt", f"{task.end - task.start}")
        for index in range(task.start, task.end):
            yield b"%d" % index


def custom_model(num_records):
    import keras

    class Ballast(keras.layers.Layer):
        """Makes a checkpoint larger than the logs, so that a disk can be full for it alone."""

        def build(self, input_shape):
            self.add_weight(shape=(_BALLAST,), initializer="zeros", trainable=False)

        def call(self, inputs):
            return inputs

    return keras.Sequential(
        [
            keras.Input((), dtype="int64"),
            keras.layers.Embedding(num_records, 1, embeddings_initializer="zeros", name="counts"),
            Ballast(),
        ]
    )


def loss(labels, predictions):
    import tensorflow as tf

    return tf.reduce_mean(predictions)


def optimizer():
    import keras
    import tensorflow as tf

    class CountingOptimizer(keras.optimizers.Optimizer):
        def update_step(self, gradient, variable, learning_rate):
            gradient = tf.convert_to_tensor(gradient)
            smallest = tf.reduce_min(tf.where(gradient > 0, gradient, gradient.dtype.max))
            self.assign_add(variable, tf.round(gradient / smallest))

    return CountingOptimizer(learning_rate=1.0)


def feed_batch(records, mode, metadata):
    import tensorflow as tf

    numbers = tf.strings.to_number(records, tf.int64)
    return numbers, numbers


def callbacks():
    import keras

    class Chaos(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            _append("lives.txt", f"{os.getpid()}")
            _wrap_product()

        def on_epoch_begin(self, epoch, logs=None):
            _pass_point("epoch begins")

        def on_train_batch_begin(self, batch, logs=None):
            _pass_point("before step")

        def on_train_batch_end(self, batch, logs=None):
            _append("steps.txt", "step")
            time.sleep(_plan()["pace_s"])
            _pass_point("after commit")
            _wait_for_move()

        def on_epoch_end(self, epoch, logs=None):
            _pass_point("epoch ends")

        def on_train_end(self, logs=None):
            import numpy as np

            counts = self.model.get_layer("counts").embeddings.numpy().ravel()
            np.save(_RUN / "counts.writing.npy", counts)
            (_RUN / "counts.writing.npy").replace(_RUN / "counts.npy")
            _pass_point("training ends")

    return [Chaos()]


def _wrap_product():
    """Puts points between two calls of the product, where no callback is called."""
    from elasticdl_like.worker import checkpoint_writer
    from elasticdl_like.worker.master_client import MasterClient
    from elasticdl_like.worker.task_stream import TaskStream

    def with_point(owner, name, point):
        wrapped = getattr(owner, name)
        if hasattr(wrapped, "has_point"):
            return

        def call(*args, **kwargs):
            _pass_point(point)
            return wrapped(*args, **kwargs)

        call.has_point = True
        setattr(owner, name, call)

    with_point(TaskStream, "commit", "before commit")
    with_point(TaskStream, "mark", "before mark")
    with_point(checkpoint_writer, "write_variables", "mid-checkpoint")
    with_point(MasterClient, "publish_checkpoint", "before publication")


def _pass_point(point):
    for number, blow in enumerate(_plan()["blows"]):
        if blow["point"] != point or (_RUN / f"fired-{number}").exists():
            continue
        # How often it was passed, over all lives, is the size of a file: no death can spoil that.
        with (_RUN / f"passed-{number}").open("a") as counter:
            counter.write(".")
            counter.flush()
            passed = counter.tell()
        if passed >= blow["count"]:
            (_RUN / f"fired-{number}").write_text(f"{os.getpid()}")
            if blow["delay_s"]:
                # What was called goes on meanwhile.
                threading.Timer(blow["delay_s"], _strike, [blow]).start()
            else:
                _strike(blow)


def _wait_for_move():
    """Lets training get no further than where it is to go on in another job directory."""
    at_step = _plan()["moves_at_step"]
    if not at_step or (_RUN / "moved").exists():
        return
    if len((_RUN / "steps.txt").read_text().splitlines()) < at_step:
        return
    if any(_RUN.glob("job/checkpoints/checkpoint-*/manifest.json")):
        (_RUN / "may move").touch()
        while not (_RUN / "moved").exists():
            time.sleep(0.01)


def _strike(blow):
    command = int((_RUN / "command.pid").read_text())
    match blow["kind"]:
        case "kill worker":
            os.kill(os.getpid(), signal.SIGKILL)
        case "kill command":
            os.kill(command, signal.SIGKILL)
        case "kill everything":
            os.kill(command, signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        case "stop worker":
            _signal_later(os.getpid(), signal.SIGCONT, blow["duration_s"])
            os.kill(os.getpid(), signal.SIGSTOP)
        case "stop command":
            _signal_later(command, signal.SIGCONT, blow["duration_s"])
            os.kill(command, signal.SIGSTOP)
        case "fill worker's disk":
            _fill_disk(os.getpid(), blow["duration_s"])
        case "fill command's disk":
            _fill_disk(command, blow["duration_s"])
        case unknown:
            raise ValueError(unknown)


def _signal_later(pid, number, delay_s):
    _do_later(f"os.kill({pid}, {int(number)})", delay_s)


def _fill_disk(pid, duration_s):
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (_DISK_BYTES, before[1]))
    _do_later(f"resource.prlimit({pid}, resource.RLIMIT_FSIZE, {before})", duration_s)


def _do_later(statement, delay_s):
    """Runs a statement in a process of its own: this one may be stopped, or dead, by then."""
    code = f"import os, resource, time; time.sleep({delay_s}); {statement}"
    subprocess.Popen(
        [sys.executable, "-S", "-c", code], stderr=subprocess.DEVNULL, start_new_session=True
    )


def _plan():
    return json.loads(_PLAN.read_text())


def _append(name, line):
    # A full disk stops these as well; they are only a lower bound then.
    try:
        with (_RUN / name).open("a") as file:
            file.write(f"{line}\n")
    except OSError:
        return
