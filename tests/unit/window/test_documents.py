"""The documents: JSON for browsers, and no secrets in them."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

from stand_in_master import STATUS

from elasticdl_like.config import DataConfig, JobConfig, ModelConfig
from elasticdl_like.job_directory import JobDirectory
from elasticdl_like.window.documents import (
    config_document,
    coverage_document,
    encode,
    events_document,
    ledger_document,
    status_document,
)


def test_numbers_that_json_does_not_have_become_null() -> None:
    document = {"loss": math.nan, "samples": [1.5, math.inf, (-math.inf, 2)], "name": "NaN"}

    assert json.loads(encode(document)) == {
        "loss": None,
        "samples": [1.5, None, [None, 2]],
        "name": "NaN",
    }


def test_the_configuration_has_everything_but_its_secrets(tmp_path: Path) -> None:
    config = JobConfig(
        name="job",
        data=DataConfig(
            "https://user:hunter2@example.com/data?sig=1",
            reader_params={
                "access_key": "env:ELASTICDL_READER_ACCESS_KEY",
                "password": "hunter2",
                "options": {"api_key": "hunter2", "columns": ["a", "b"]},
                "url": "s3://bucket?X-Amz-Signature=hunter2&part=1",
            },
        ),
        model=ModelConfig("/zoo", "model.make", {"hub_token": "hunter2", "width": 3}),
    )
    directory = JobDirectory(tmp_path)
    directory.save_resume_command("cd /here && elasticdl train")

    document = config_document(config, directory)

    assert "hunter2" not in encode(document)
    params = document["data"]["reader_params"]
    assert params["access_key"] == "env:ELASTICDL_READER_ACCESS_KEY"
    assert params["options"]["columns"] == ["a", "b"]
    assert params["url"].endswith("&part=1")
    assert document["data"]["training_data"].startswith("https://user:…@example.com/data")
    assert document["model"]["params"]["width"] == 3
    assert document["resume_command"] == "cd /here && elasticdl train"
    assert document["job_dir"] == str(tmp_path)


def test_a_job_whose_command_is_not_known_has_none(tmp_path: Path) -> None:
    config = JobConfig(name="job", data=DataConfig("data"))

    assert config_document(config, JobDirectory(tmp_path))["resume_command"] == ""


def test_what_quotes_an_address_does_not_tell_its_password() -> None:
    address = "https://me:hunter2@example.com/part-1"
    shown = "https://me:…@example.com/part-1"
    quarantined = [{"shard": address, "start": 0, "end": 1}]

    status = status_document(replace(STATUS, reason=f"cannot read {address}"))
    ledger = ledger_document({"job": "job", "epochs": [], "quarantined": quarantined})
    events = events_document([{"id": 1, "text": f"cannot read {address}"}])
    coverage = coverage_document({"epoch": 1, "shards": [{"name": address, "records": 5}]})

    assert status["reason"] == f"cannot read {shown}"
    assert status["loss"] == STATUS.loss
    assert ledger["quarantined"] == [{"shard": shown, "start": 0, "end": 1}]
    assert events == [{"id": 1, "text": f"cannot read {shown}"}]
    assert coverage == {"epoch": 1, "shards": [{"name": shown, "records": 5}]}
