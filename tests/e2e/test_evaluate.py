"""`elasticdl evaluate` on digits, compared with the same metrics computed in float64."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import f1_score, log_loss, precision_score, recall_score

from elasticdl_command import RunElasticdl
from elasticdl_like.master.reports import load_ledger, load_status
from inference_job import MODEL_DEF, NUM_DIGITS, TrainedDigits

if TYPE_CHECKING:
    from conftest import TrainedJob

TASKS = ("--minibatch_size", 10, "--num_minibatches_per_task", 2)


def auc(labels: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """The area as `keras.metrics.AUC` defines it: trapezoids between 200 thresholds."""
    inner = np.arange(1, 199) / 199
    thresholds = np.concatenate([[-1e-7], inner, [1 + 1e-7]])
    above = scores[None, :] > thresholds[:, None]
    true_rate = (above & labels).sum(axis=1) / labels.sum()
    false_rate = (above & ~labels).sum(axis=1) / (~labels).sum()
    heights = (true_rate[:-1] + true_rate[1:]) / 2
    return float(np.sum((false_rate[:-1] - false_rate[1:]) * heights))


def reference(trained: TrainedDigits) -> dict[str, float]:
    """Loss and metrics of the model file, from all predictions at once."""
    scores = trained.predictions.astype(np.float64)
    truth = np.eye(NUM_DIGITS)[trained.labels]
    chosen = scores.argmax(axis=1)
    ranks = (scores > scores[np.arange(len(scores)), trained.labels][:, None]).sum(axis=1)
    yes, said_yes = truth.ravel() == 1, (scores > 0.5).ravel()
    return {
        "loss": float(log_loss(trained.labels, scores / scores.sum(axis=1, keepdims=True))),
        "accuracy": float(np.mean(chosen == trained.labels)),
        "top3": float(np.mean(ranks < 3)),
        "auc": auc(yes, scores.ravel()),
        "precision": float(precision_score(yes, said_yes)),
        "recall": float(recall_score(yes, said_yes)),
        "f1": float(f1_score(trained.labels, chosen, average="macro")),
        "mse": float(np.mean((scores - truth) ** 2)),
        "distance": float(np.mean(np.abs(scores - truth).sum(axis=1))),
    }


@pytest.mark.timeout(200)
@pytest.mark.parametrize("num_workers", [1, 3])
def test_metrics_are_those_of_all_records_together(
    trained_digits: TrainedDigits,
    run_elasticdl: RunElasticdl,
    tmp_path: Path,
    num_workers: int,
) -> None:
    job = tmp_path / "job"
    finished = run_elasticdl(
        *("evaluate", "--model_zoo", trained_digits.zoo, *MODEL_DEF, "--job_dir", job),
        *("--validation_data", trained_digits.data, "--model_path", trained_digits.model_path),
        *(*TASKS, "--num_workers", num_workers, "--json"),
        timeout=150,
    )
    assert finished.exit_code == 0, finished.stderr
    result = json.loads(finished.stdout)
    assert (result["records"], result["quarantined"]) == (397, 0)
    expected = reference(trained_digits)
    assert result["metrics"].keys() == expected.keys()
    assert result["metrics"] == pytest.approx(expected, rel=1e-6)
    assert load_status(job)["evaluations"][-1]["metrics"] == result["metrics"]
    (entry,) = load_ledger(job)["epochs"]
    assert (entry["type"], entry["committed"], entry["missing"]) == ("evaluation", 397, 0)
    assert run_elasticdl("ledger", job, "--verify").exit_code == 0
    shown = run_elasticdl("status", job)
    assert shown.exit_code == 0, shown.stderr
    assert f"accuracy {expected['accuracy']:.4f}" in shown.stdout


@pytest.mark.timeout(200)
def test_a_checkpoint_evaluates_as_in_training(
    trained: TrainedJob, run_elasticdl: RunElasticdl, model_zoo: Path, digits: Path, tmp_path: Path
) -> None:
    flags = (
        *("--model_zoo", model_zoo, "--model_def", "digits.digits_cnn.custom_model"),
        *("--validation_data", digits / "validation"),
    )
    finished = run_elasticdl(
        *("evaluate", *flags, "--checkpoint_dir", trained.directory / "checkpoints"),
        *("--job_name", "again"),
        timeout=90,
    )
    assert finished.exit_code == 0, finished.stderr
    assert "job again finished: 397 records evaluated" in finished.stdout
    metrics = load_status(tmp_path / "jobs" / "again")["evaluations"][-1]["metrics"]
    last = load_status(trained.directory)["evaluations"][-1]["metrics"]
    assert metrics == pytest.approx(last, rel=1e-5)
    for name, value in metrics.items():
        assert f"{name}  {value:.7g}" in " ".join(finished.stdout.split()).replace(" ", "  ")
    # The same command again: it has finished, and nothing is touched.
    again = run_elasticdl(
        *("evaluate", *flags, "--checkpoint_dir", trained.directory / "checkpoints"),
        *("--job_name", "again"),
    )
    assert again.exit_code == 1
    assert "holds a job that has finished" in again.stderr


def test_a_metric_that_does_not_add_up_is_refused_by_name(
    trained_digits: TrainedDigits, run_elasticdl: RunElasticdl, tmp_path: Path
) -> None:
    zoo = tmp_path / "zoo"
    zoo.mkdir()
    (zoo / "model.py").write_text(
        f"{(trained_digits.zoo / 'model.py').read_text()}\n\n"
        "class Largest(keras.metrics.Metric):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.largest = self.add_variable((), 'zeros', name='largest')\n\n"
        "    def update_state(self, y_true, y_pred, sample_weight=None):\n"
        "        self.largest.assign(tf.maximum(self.largest, tf.reduce_max(y_pred)))\n\n"
        "    def result(self):\n"
        "        return self.largest\n\n\n"
        "def eval_metrics_fn():\n"
        "    return {'largest_of_all': Largest()}\n"
    )
    finished = run_elasticdl(
        *("evaluate", "--model_zoo", zoo, *MODEL_DEF, "--job_dir", tmp_path / "job"),
        *("--validation_data", trained_digits.data, "--model_path", trained_digits.model_path),
        *TASKS,
    )
    assert finished.exit_code == 1
    assert "'largest_of_all'" in finished.stderr.splitlines()[-1]
