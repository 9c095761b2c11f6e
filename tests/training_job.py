"""Small training jobs, which stand still in the middle for a test to do its worst."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from elasticdl_command import RunningCommand, eventually, running
from elasticdl_like.job_directory import JobDirectory
from elasticdl_like.master.reports import load_status
from elasticdl_like.platforms.worker_record import WorkerRecords

WriteModel = Callable[..., Path]

MODEL_DEF = ("--model_def", "model.custom_model")

# A job of three epochs, ten steps each, of the hundred records.
STEPS_PER_EPOCH = 10
NUM_EPOCHS = 3
HELD_AT_STEP = 15
TRAINING_FLAGS = (
    *("--num_epochs", NUM_EPOCHS, "--minibatch_size", 10, "--num_minibatches_per_task", 2),
)

# More of a model definition file: each step is written down, and the worker stands still after
# HELD_AT_STEP until there is a file `go`.
HOLD = """
def callbacks():
    import pathlib
    import time

    import keras

    class Hold(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch

        def on_train_batch_end(self, batch, logs=None):
            with open("steps.log", "a") as file:
                file.write(f"{self.epoch} {batch}\\n")
            if (self.epoch, batch) == (1, 4):
                while not pathlib.Path("go").exists():
                    time.sleep(0.02)

    return [Hold()]
"""


def train_arguments(zoo: Path, data: Path | str, job: Path, *flags: object) -> tuple[object, ...]:
    """Returns the arguments of `elasticdl` for the job of three epochs."""
    return (
        *("train", "--model_zoo", zoo, *MODEL_DEF, "--training_data", data, "--job_dir", job),
        *(*TRAINING_FLAGS, *flags),
    )


@contextmanager
def elasticdl(directory: Path, *arguments: object) -> Iterator[RunningCommand]:
    """Runs `elasticdl` in a directory, as long as the context lasts."""
    with running(["-m", "elasticdl_like", *arguments], directory) as command:
        yield command


@contextmanager
def held_training(zoo: Path, data: Path, directory: Path) -> Iterator[RunningCommand]:
    """Runs the job of three epochs, in `directory / "job"`, until it stands still.

    By then there is the checkpoint of the first epoch, and nothing is on its way any more.
    """
    job = directory / "job"
    with elasticdl(directory, *train_arguments(zoo, data, job)) as command:
        wait_for_step(job, HELD_AT_STEP, command)
        published = f"checkpoint-{STEPS_PER_EPOCH:09}\n"
        eventually(lambda: published in command.stderr, 30, command)
        yield command


def wait_for_step(job: Path, step: int, command: RunningCommand) -> None:
    """Waits until the master has counted a step."""
    exists = JobDirectory(job).has_job
    eventually(lambda: exists() and load_status(job)["step"] >= step, 90, command)


def worker_pid(job: Path) -> int:
    """Returns the process of the job's worker; 0 while there is none."""
    record = WorkerRecords(JobDirectory(job).workers).load(0)
    return (record.pid or 0) if record is not None else 0


def steps_taken(directory: Path) -> list[str]:
    """Returns "epoch batch" of each step that a worker of HOLD has taken in a directory."""
    return (directory / "steps.log").read_text().splitlines()


def steps_of(epoch: int, end: int = STEPS_PER_EPOCH) -> list[str]:
    """Returns the steps of an epoch, as `steps_taken` does."""
    return [f"{epoch} {batch}" for batch in range(end)]
