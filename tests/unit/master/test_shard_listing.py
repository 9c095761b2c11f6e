"""Listing the shards of a job, in the master or in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from elasticdl_like.config import DataConfig, JobConfig, ModelConfig
from elasticdl_like.master.shard_listing import list_job_shards
from elasticdl_like.tasks import Shard

MODEL_FILE = """
class CustomDataReader:
    def __init__(self, data_origin, index_dir, count=1):
        self.arguments = data_origin, index_dir, count

    def create_shards(self):
        return {":".join(map(str, self.arguments)): self.arguments[-1]}

    def version(self, shard_name):
        return "version of " + shard_name

    def read_records(self, task):
        raise NotImplementedError
"""


def test_indexes_of_the_data_are_kept_in_the_directory_for_them(tmp_path: Path) -> None:
    data = tmp_path / "lines.txt"
    data.write_text("a\nb\n")
    index_dir = tmp_path / "index"
    config = JobConfig("job", DataConfig(str(data)), index_dir=str(index_dir))
    (first,), validation = list_job_shards(config, tmp_path / "log")
    assert (first.name, first.count, validation) == (str(data), 2, ())
    (kept,) = index_dir.iterdir()
    before = kept.stat().st_mtime_ns
    (again,), _ = list_job_shards(config, tmp_path / "log")
    assert again == first
    assert kept.stat().st_mtime_ns == before


@pytest.mark.parametrize("params", [{}, {"count": 7}])
def test_a_reader_of_the_user_gets_everything_in_its_process(
    tmp_path: Path, params: dict[str, int]
) -> None:
    (tmp_path / "a_model_file.py").write_text(MODEL_FILE)
    data = DataConfig("here", "there", custom_data_reader="CustomDataReader", reader_params=params)
    model = ModelConfig(str(tmp_path), "a_model_file.custom_model")
    config = JobConfig("job", data, model, index_dir="/kept")
    count = params.get("count", 1)
    training, validation = list_job_shards(config, tmp_path / "log")
    for table, origin in ((training, "here"), (validation, "there")):
        name = f"{origin}:/kept:{count}"
        assert table == (Shard(name, 0, count, f"version of {name}"),)
