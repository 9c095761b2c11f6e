"""A worker that predicts: python odps_predictions_worker.py STATE TASK…, each task START-END.

The prediction for record N is (N, N / 8). Tasks are of shard "data". One line for each that is
written.
"""

from __future__ import annotations

import sys

import numpy as np

from elasticdl_like.prediction_outputs.odps import OdpsPredictionOutputsProcessor
from elasticdl_like.tasks import Task, TaskType


class PredictionOutputsProcessor(OdpsPredictionOutputsProcessor):
    def __init__(self) -> None:
        super().__init__("predictions", ["id", "score"], ["bigint", "double"], partition="ds=1")


def predict(task: Task) -> list[np.ndarray]:
    numbers = np.arange(task.start, task.end)
    return [numbers, numbers / 8]


def main(state: str, *tasks: str) -> None:
    processor = PredictionOutputsProcessor()
    processor.join(state)
    for text in tasks:
        start, end = map(int, text.split("-"))
        task = Task("data", start, end, type=TaskType.PREDICTION)
        processor.process_task(predict(task), task)
        print(text, flush=True)
    processor.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
