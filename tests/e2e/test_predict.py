"""`elasticdl predict` on digits, compared row by row with `model.predict`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from elasticdl_command import RunElasticdl
from elasticdl_like.master.reports import load_ledger
from inference_job import MODEL_DEF, NUM_PIXELS, TrainedDigits, assert_predicted, read_rows
from odps_server import Control

# Several jobs at once on a small machine take their time.
TIMEOUT_S = 150
TASKS = ("--minibatch_size", 10, "--num_minibatches_per_task", 2)

# More of the model file. Each process writes a file of what it was given.
PROCESS = """
class PredictionOutputsProcessor:
    def __init__(self):
        import os

        self.file = open(f"taken-{os.getpid()}.jsonl", "w")

    def process(self, predictions, worker_id):
        import json

        for row in predictions:
            print(json.dumps([worker_id, [float(each) for each in row]]), file=self.file)

    def close(self):
        self.file.close()
"""

PROCESS_TASK = """
class PredictionOutputsProcessor:
    def process_task(self, predictions, task):
        import numpy as np

        name = f"{task.shard_name.rpartition('/')[2]}-{task.start}-{task.end}"
        np.save(f"{name}.npy", predictions)
"""

ODPS = """
from elasticdl_like.prediction_outputs.odps import OdpsPredictionOutputsProcessor


class PredictionOutputsProcessor(OdpsPredictionOutputsProcessor):
    def __init__(self):
        names = ["shard", "row", *(f"d{n}" for n in range(10))]
        super().__init__("predicted", names, ["string", "bigint"] + 10 * ["double"])

    def to_columns(self, predictions, task):
        columns = {f"d{n}": predictions[:, n].astype("float64") for n in range(10)}
        rows = list(range(task.start, task.end))
        return {"shard": [task.shard_name] * len(rows), "row": rows, **columns}
"""


def with_more(trained: TrainedDigits, directory: Path, more: str) -> Path:
    """Returns a model zoo with the same model file, and more in it."""
    zoo = directory / "zoo"
    zoo.mkdir()
    (zoo / "model.py").write_text(f"{(trained.zoo / 'model.py').read_text()}\n\n{more}\n")
    return zoo


def flags_of(trained: TrainedDigits, job: Path, zoo: Path | None = None) -> tuple[object, ...]:
    return (
        *("predict", "--model_zoo", zoo or trained.zoo, *MODEL_DEF),
        *("--model_path", trained.model_path, "--job_dir", job, *TASKS),
    )


def check_ledger(job: Path, run_elasticdl: RunElasticdl) -> None:
    (entry,) = load_ledger(job)["epochs"]
    assert (entry["type"], entry["committed"], entry["missing"]) == ("prediction", 397, 0)
    assert run_elasticdl("ledger", job, "--verify").exit_code == 0


@pytest.mark.timeout(200)
@pytest.mark.parametrize(
    ("output_format", "num_workers"), [("parquet", 3), ("jsonl", 1), ("recordio", 1)]
)
def test_a_row_for_each_record(
    trained_digits: TrainedDigits,
    run_elasticdl: RunElasticdl,
    tmp_path: Path,
    output_format: str,
    num_workers: int,
) -> None:
    job, output = tmp_path / "job", tmp_path / "output"
    finished = run_elasticdl(
        *(*flags_of(trained_digits, job), "--prediction_data", trained_digits.data),
        *("--prediction_output", output, "--prediction_format", output_format),
        *("--num_workers", num_workers),
        timeout=TIMEOUT_S,
    )
    assert finished.exit_code == 0, finished.stderr
    assert "397 records predicted, in " in finished.stdout
    assert f"predictions: {output}" in finished.stdout
    rows = read_rows(output, output_format)
    assert_predicted(rows, trained_digits.places, trained_digits.predictions)
    assert all(row.keys() == {"shard", "index", "prediction"} for row in rows)
    check_ledger(job, run_elasticdl)


def write_table(trained: TrainedDigits, path: Path) -> None:
    columns = {f"p{number}": trained.pixels[:, number] for number in range(NUM_PIXELS)}
    names = [f"digit {number}" for number in range(len(trained.labels))]
    table = pa.table({"name": names, "label": trained.labels, **columns})
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=100)
    else:
        pyarrow.csv.write_csv(table, path)


@pytest.mark.timeout(200)
@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_kept_columns_stay_with_their_records(
    trained_digits: TrainedDigits, run_elasticdl: RunElasticdl, tmp_path: Path, suffix: str
) -> None:
    data, output = tmp_path / f"digits{suffix}", tmp_path / "output"
    write_table(trained_digits, data)
    finished = run_elasticdl(
        *(*flags_of(trained_digits, tmp_path / "job"), "--prediction_data", data),
        *("--prediction_output", output, "--keep_columns", "name,label", "--num_workers", 2),
        *("--log_format", "json"),
        timeout=TIMEOUT_S,
    )
    assert finished.exit_code == 0, finished.stderr
    result = json.loads(finished.stdout)
    assert (result["records"], result["output"], result["format"]) == (397, str(output), "parquet")
    rows = read_rows(output, "parquet")
    assert [row["index"] for row in rows] == list(range(397))
    assert {row["shard"] for row in rows} == {str(data)}
    found = np.array([row["prediction"] for row in rows])
    np.testing.assert_allclose(found, trained_digits.predictions, rtol=1e-5, atol=1e-6)
    kept = [(row["name"], row["label"]) for row in rows]
    assert kept == [(f"digit {n}", label) for n, label in enumerate(trained_digits.labels)]
    schema = pq.read_schema(next(output.glob("part-*")))
    assert schema.names == ["shard", "index", "name", "label", "prediction"]
    check_ledger(tmp_path / "job", run_elasticdl)


@pytest.mark.timeout(200)
def test_csv_takes_scalars_only(
    trained_digits: TrainedDigits, run_elasticdl: RunElasticdl, tmp_path: Path
) -> None:
    output = tmp_path / "output"
    finished = run_elasticdl(
        *(*flags_of(trained_digits, tmp_path / "job"), "--prediction_data", trained_digits.data),
        *("--prediction_output", output, "--prediction_format", "csv"),
        timeout=TIMEOUT_S,
    )
    assert finished.exit_code == 1
    assert "csv" in finished.stderr.splitlines()[-1]
    assert list(output.glob("part-*")) == []


@pytest.mark.timeout(400)
def test_an_output_of_another_job_is_left_alone(
    trained_digits: TrainedDigits, run_elasticdl: RunElasticdl, tmp_path: Path
) -> None:
    output = tmp_path / "output"

    def predict(job: str, *more: object) -> tuple[int, str]:
        finished = run_elasticdl(
            *(*flags_of(trained_digits, tmp_path / job), "--prediction_data", trained_digits.data),
            *("--prediction_output", output, "--prediction_format", "jsonl", *more),
            timeout=TIMEOUT_S,
        )
        return finished.exit_code, finished.stderr

    assert predict("first")[0] == 0
    before = {path.name: path.read_bytes() for path in output.iterdir()}
    exit_code, stderr = predict("second")
    assert exit_code == 1
    assert "holds predictions of another job" in stderr
    assert {path.name: path.read_bytes() for path in output.iterdir()} == before
    assert predict("third", "--overwrite")[0] == 0
    rows = read_rows(output, "jsonl")
    assert_predicted(rows, trained_digits.places, trained_digits.predictions)


@pytest.mark.timeout(200)
def test_a_processor_as_in_elasticdl(
    trained_digits: TrainedDigits, run_elasticdl: RunElasticdl, tmp_path: Path
) -> None:
    zoo = with_more(trained_digits, tmp_path, PROCESS)
    finished = run_elasticdl(
        *flags_of(trained_digits, tmp_path / "job", zoo),
        *("--prediction_data", trained_digits.data, "--num_workers", 2),
        timeout=TIMEOUT_S,
    )
    assert finished.exit_code == 0, finished.stderr
    assert "397 records predicted\n" in finished.stdout
    taken = [
        json.loads(line)
        for path in tmp_path.glob("taken-*.jsonl")
        for line in path.read_text().splitlines()
    ]
    assert {worker_id for worker_id, _ in taken} <= {0, 1}
    found = sorted(row for _, row in taken)
    np.testing.assert_allclose(
        np.array(found), np.array(sorted(trained_digits.predictions.tolist())), rtol=1e-5, atol=1e-6
    )
    check_ledger(tmp_path / "job", run_elasticdl)


@pytest.mark.timeout(200)
def test_a_processor_that_takes_whole_tasks(
    trained_digits: TrainedDigits, run_elasticdl: RunElasticdl, tmp_path: Path
) -> None:
    zoo = with_more(trained_digits, tmp_path, PROCESS_TASK)
    finished = run_elasticdl(
        *flags_of(trained_digits, tmp_path / "job", zoo),
        *("--prediction_data", trained_digits.data, "--num_workers", 2),
        timeout=TIMEOUT_S,
    )
    assert finished.exit_code == 0, finished.stderr
    expected = dict(zip(trained_digits.places, trained_digits.predictions, strict=True))
    seen = 0
    for shard in sorted({shard for shard, _ in trained_digits.places}):
        for path in tmp_path.glob(f"{Path(shard).name}-*.npy"):
            start, end = map(int, path.stem.split("-")[-2:])
            assert end - start == 20 or (shard, end) not in expected
            truth = [expected[shard, index] for index in range(start, end)]
            np.testing.assert_allclose(np.load(path), np.array(truth), rtol=1e-5, atol=1e-6)
            seen += end - start
    assert seen == 397


@pytest.mark.timeout(200)
def test_a_table_of_maxcompute(
    trained_digits: TrainedDigits, run_elasticdl: RunElasticdl, tmp_path: Path, odps: Control
) -> None:
    zoo = with_more(trained_digits, tmp_path, ODPS)
    finished = run_elasticdl(
        *flags_of(trained_digits, tmp_path / "job", zoo),
        *("--prediction_data", trained_digits.data, "--num_workers", 2),
        timeout=TIMEOUT_S,
    )
    assert finished.exit_code == 0, finished.stderr
    rows = odps.rows("predicted").to_pylist()
    by_place = {(row["shard"], row["row"]): [row[f"d{n}"] for n in range(10)] for row in rows}
    assert len(rows) == len(by_place) == 397
    found = np.array([by_place[place] for place in trained_digits.places])
    np.testing.assert_allclose(found, trained_digits.predictions, rtol=1e-5, atol=1e-6)
    check_ledger(tmp_path / "job", run_elasticdl)
