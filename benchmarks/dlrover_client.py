"""The worker of `dispatch_client.py` for DLRover: its own client, in a Python that has it.

Gets a task and reports it, over and over. Imports nothing of this project.
"""

from __future__ import annotations

import json
import logging
import sys
import time

from dlrover.python.elastic_agent.master_client import (  # type: ignore[import-not-found]
    build_master_client,
)

DATASET = "benchmark"
NUM_TASKS = 300_000
BATCH = 64
BATCHES_PER_TASK = 8


def main() -> None:
    logging.disable(logging.CRITICAL)
    client = build_master_client(sys.argv[1])
    # Repeated by each worker, as its own sharding client does; the first one counts.
    client.report_dataset_shard_params(
        batch_size=BATCH,
        num_epochs=1,
        dataset_size=NUM_TASKS * BATCH * BATCHES_PER_TASK,
        num_minibatches_per_shard=BATCHES_PER_TASK,
        dataset_name=DATASET,
        storage_type="table",
    )
    for line in sys.stdin:
        tasks = 0
        start_s = now_s = time.perf_counter()
        while now_s - start_s < float(line):
            success, task = client.get_task(DATASET)
            if not success or task.task_id < 0:
                raise AssertionError(f"no task: {success} {task}")
            client.report_task_result(DATASET, task.task_id, "")
            tasks += 1
            now_s = time.perf_counter()
        result = {"calls": 2 * tasks, "tasks": tasks, "seconds": now_s - start_s}
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
