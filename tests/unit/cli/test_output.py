from __future__ import annotations

import dataclasses
from typing import Any

from elasticdl_like.cli.output import (
    describe_progress,
    describe_trip,
    ledger_table,
    quarantine_lines,
)
from elasticdl_like.master.progress import RoundStatus
from stand_in_job import StandInJob


def entry(**changes: Any) -> dict[str, Any]:
    return {
        "type": "training",
        "epoch": 0,
        "records": 1400,
        "committed": 1400,
        "tentative": 0,
        "leased": 0,
        "quarantined": 0,
        "missing": 0,
        "ended": True,
    } | changes


def test_the_ledger_is_a_table() -> None:
    ledger = {
        "epochs": [
            entry(),
            entry(type="evaluation", step=1100, records=397, committed=397),
            entry(epoch=1, committed=12, leased=64, missing=None, ended=False),
        ]
    }
    assert ledger_table(ledger).splitlines() == [
        "type        epoch   step  records  committed  leased  quarantined    missing",
        "training        0           1,400      1,400       0            0          0",
        "evaluation      0  1,100      397        397       0            0          0",
        "training        1           1,400         12      64            0  not ended",
    ]


def test_tentative_records_are_shown_where_there_are_any() -> None:
    ledger = {"epochs": [entry(), entry(epoch=1, committed=20, tentative=8, missing=None)]}
    assert ledger_table(ledger).splitlines() == [
        "type      epoch  step  records  committed  tentative  leased  quarantined    missing",
        "training      0          1,400      1,400          0       0            0          0",
        "training      1          1,400         20          8       0            0  not ended",
    ]


def test_quarantined_records_are_listed_in_one_line_each() -> None:
    quarantined = {"type": "training", "epoch": 2, "shard": "a", "start": 10, "end": 12}
    ledger = {"epochs": [], "quarantined": [quarantined | {"problem": "cannot be\n  decoded"}]}
    assert quarantine_lines(ledger) == [
        "quarantined in training epoch 2: records [10, 12) of shard 'a': cannot be decoded"
    ]
    assert quarantine_lines({"epochs": [], "quarantined": []}) == []


def test_progress_names_the_workers_where_there_are_several() -> None:
    alone = StandInJob().status()
    assert describe_progress(alone) == "0/0 records  0 records/s"
    of_many = dataclasses.replace(
        alone, workers_wanted=3, round=RoundStatus(4, "running", [2, 0], 1.0)
    )
    assert describe_progress(of_many) == "2/3 workers  0/0 records  0 records/s"
    forming = dataclasses.replace(of_many, round=RoundStatus(4, "forming", [], 0.1))
    assert describe_progress(forming) == "0/3 workers  0/0 records  0 records/s"
    of_one = dataclasses.replace(of_many, workers_wanted=1, round=RoundStatus(4, "running", [0], 1))
    assert describe_progress(of_one) == "0/0 records  0 records/s"


def test_in_a_narrow_terminal_what_matters_least_gives_way() -> None:
    status = dataclasses.replace(
        StandInJob().status(),
        state="running",
        records=5,
        total_records=10,
        loss=0.5,
        remaining_s=61.0,
        workers_wanted=2,
        round=RoundStatus(4, "running", [1, 0], 1.0),
    )
    whole = "2/2 workers  5/10 records  0 records/s  loss 0.5000  1:01 left"
    assert describe_progress(status) == describe_progress(status, len(whole)) == whole
    assert describe_progress(status, 60) == whole.removeprefix("2/2 workers  ")
    assert describe_progress(status, 40) == "5/10 records  0 records/s  1:01 left"
    assert (
        describe_progress(status, 30) == describe_progress(status, 5) == "5/10 records  1:01 left"
    )


def test_an_evaluation_has_no_epochs() -> None:
    status = StandInJob().status()
    assert describe_trip(status) == "epoch 3/5"
    assert describe_trip(dataclasses.replace(status, kind="evaluation")) == "evaluation"
