"""Records that cannot be used: the job fails and names one, or does without those it may."""

from __future__ import annotations

import json
from pathlib import Path

from elasticdl_command import RunElasticdl
from elasticdl_like.master.reports import load_ledger, load_status
from training_job import NUM_EPOCHS, WriteModel, train_arguments

UNREADABLE = 37
UNPARSABLE = 71
PROBLEMS = {
    UNREADABLE: "CustomDataReader raised OSError: bad sector",
    UNPARSABLE: "StringToNumberOp could not correctly convert string: poison",
}

READER = f"""
class CustomDataReader:
    def create_shards(self):
        return {{"numbers": 100}}

    def read_records(self, task):
        for number in range(task.start, task.end):
            if number == {UNREADABLE}:
                raise OSError("bad sector")
            yield b"poison" if number == {UNPARSABLE} else b"%d" % number
"""


def test_bad_records_fail_the_job_unless_it_may_set_them_aside(
    run_elasticdl: RunElasticdl, write_model: WriteModel, tmp_path: Path
) -> None:
    zoo, job = write_model(READER), tmp_path / "job"
    arguments = train_arguments(zoo, "here", job)
    failed = run_elasticdl(*arguments, timeout=90)
    assert failed.exit_code == 1
    error = failed.stderr.splitlines()[-1]
    # Which of the two is alone first depends on the order in which they are read.
    number = next(number for number, problem in PROBLEMS.items() if problem in error)
    where = f"records [{number}, {number + 1}) of shard 'numbers' cannot be used: "
    assert error.startswith(f"elasticdl: error: job model failed: {where}")
    assert error.endswith("--max_quarantined_records is 0")
    assert load_status(job)["state"] == "failed"

    # Two in each of the epochs; the same command goes on.
    allowed = run_elasticdl(*arguments, "--max_quarantined_records", 2 * NUM_EPOCHS, timeout=90)
    assert allowed.exit_code == 0, allowed.stderr
    assert load_status(job)["state"] == "finished"
    document = load_ledger(job)
    assert [
        (each["records"], each["committed"], each["quarantined"], each["missing"])
        for each in document["epochs"]
    ] == [(100, 98, 2, 0)] * NUM_EPOCHS
    assert {(each["epoch"], each["start"], each["end"]) for each in document["quarantined"]} == {
        (epoch, number, number + 1) for epoch in range(NUM_EPOCHS) for number in PROBLEMS
    }
    assert all(PROBLEMS[each["start"]] in each["problem"] for each in document["quarantined"])
    lines = (job / "quarantine.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == document["quarantined"]
    shown = run_elasticdl("ledger", job, "--verify")
    assert shown.exit_code == 0
    listed = [line for line in shown.stdout.splitlines() if line.startswith("quarantined in")]
    assert len(listed) == 2 * NUM_EPOCHS
    assert shown.stdout.splitlines()[-1].startswith("verified: ")
