"""How long is a step of two workers, against that of plain MultiWorkerMirroredStrategy?

Ours is `elasticdl train --num_workers 2` on a RecordIO file, as users run it: master, agents,
leases, commits. The other side is two processes with the same model, optimizer and batches, whose
data is in memory and which count nothing. Both run in turns. A sample is the median time of the
steps in the last half of a run; ratios are those of steps per second.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import step_times
from common import write_recordio
from comparison import Row, table, take_turns
from masters import end

from elasticdl_like.data_readers.recordio import Compressor

FOLDER = Path(__file__).parent
RECORDS = 40_000
ROUNDS = 3
# Name of the model in step_times.py, records of a batch of one worker, steps.
CASES = (("small", 64, 300), ("large", 64, 40))
ASKED = 1 / 1.1


def ours_s(folder: Path, data: Path, model: str, batch: int, steps: int) -> float:
    """Returns the seconds of a step of a job of two workers."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        times = Path(name) / "times"
        command = [sys.executable, "-m", "elasticdl_like", "train", "--num_workers=2"]
        command += [f"--model_zoo={FOLDER}", f"--model_def=step_times.{model}"]
        command += [f"--training_data={data}", f"--job_dir={name}/job", "--num_epochs=1000"]
        command += [f"--minibatch_size={batch}", f"--max_step={steps}"]
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            env=os.environ | {"STEP_TIMES": str(times)},
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        ends_s = [float(line) for line in times.read_text().splitlines()]
    half = ends_s[len(ends_s) // 2 :]
    return statistics.median(b - a for a, b in itertools.pairwise(half))


def plain_s(model: str, batch: int, steps: int) -> float:
    """Returns the seconds of a step of two workers of the plain strategy."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(2)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    with contextlib.ExitStack() as stack:
        workers = []
        for rank in range(2):
            command = [sys.executable, FOLDER / "plain_strategy.py", str(rank), model]
            command += [str(batch), str(steps), *addresses]
            worker = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            stack.callback(end, worker)
            workers.append(worker)
        return statistics.mean(float(worker.communicate()[0]) for worker in workers)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = folder / "data.recordio"
        write_recordio(data, step_times.random_records(RECORDS), Compressor.SNAPPY)
        rows = []
        for model, batch, steps in CASES:
            sides = {
                "ours": lambda: 1 / ours_s(folder, data, model, batch, steps),  # noqa: B023
                "plain": lambda: 1 / plain_s(model, batch, steps),  # noqa: B023
            }
            samples = take_turns(sides, ROUNDS, warm_up_rounds=0)
            row_name = f"{model} model, batches of {batch}"
            rows.append(
                Row(row_name, samples["ours"], "the plain strategy", samples["plain"], ASKED)
            )
    print(table(rows, "steps/s"))


if __name__ == "__main__":
    main()
