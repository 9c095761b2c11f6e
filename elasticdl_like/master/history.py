"""How a job went so far: a few numbers over time, and the results of evaluations.

Pure: the time is passed in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

_MOST_SAMPLES = 1000
_MOST_EVALUATIONS = 1000
_LEAST_INTERVAL_S = 1.0


@dataclass(frozen=True, slots=True)
class Sample:
    """How a job stood at one time.

    Attributes:
        time_s: when, in Unix seconds.
        records: committed and quarantined records of all epochs; fewer than before where the job
            has gone back to a checkpoint.
        records_per_s: the rate of the seconds before it.
        loss: the training loss last reported, or None.
        step: the last finished step; it may go back like the records.
        epoch: the training epoch, from 0.
        num_workers: how many workers took part.
    """

    time_s: float
    records: int
    records_per_s: float
    loss: float | None
    step: int
    epoch: int
    num_workers: int


_COLUMNS = ("time_s", "records", "records_per_s", "loss", "step", "epoch", "num_workers")


@dataclass(frozen=True, slots=True)
class TimedEvaluation:
    """The result of an evaluation, and when it came, in Unix seconds; what is no number is None."""

    time_s: float
    epoch: int
    step: int
    metrics: Mapping[str, float | None]


class History:
    """Samples in equal intervals of time, and evaluations.

    When there are too many samples, every second one is dropped, and from then on they are taken
    half as often. The last sample is always the newest: until the next is due it is replaced.
    """

    def __init__(self) -> None:
        self._samples: list[Sample] = []
        self._interval_s = _LEAST_INTERVAL_S
        self._evaluations: list[TimedEvaluation] = []
        # Over the time of the last sample.
        self._num_rates = 0
        self._sum_of_rates = 0.0

    @property
    def samples(self) -> Sequence[Sample]:
        """The samples, the oldest first."""
        return self._samples

    @property
    def evaluations(self) -> Sequence[TimedEvaluation]:
        """The evaluations of the steps that were not undone, in the order of their results."""
        return self._evaluations

    def add(self, sample: Sample) -> None:
        """Adds a sample; its rate is averaged with those that it replaces.

        A clock that was set back is not followed: it is the time of the last sample, then.
        """
        sample = replace(
            sample,
            loss=_finite(sample.loss),
            time_s=max([sample.time_s, *(each.time_s for each in self._samples[-1:])]),
        )
        samples = self._samples
        if len(samples) > 1 and samples[-1].time_s - samples[-2].time_s < self._interval_s:
            samples.pop()
        else:
            self._num_rates, self._sum_of_rates = 0, 0.0
        self._num_rates += 1
        self._sum_of_rates += sample.records_per_s
        samples.append(replace(sample, records_per_s=self._sum_of_rates / self._num_rates))
        if len(samples) > _MOST_SAMPLES:
            self._thin()

    def add_evaluation(self, evaluation: TimedEvaluation) -> None:
        """Adds the result of an evaluation; a new result replaces an old one."""
        key = (evaluation.epoch, evaluation.step)
        kept = [each for each in self._evaluations if (each.epoch, each.step) != key]
        metrics = {name: _finite(value) for name, value in evaluation.metrics.items()}
        self._evaluations = [*kept, replace(evaluation, metrics=metrics)][-_MOST_EVALUATIONS:]

    def go_back(self, step: int) -> None:
        """Drops the evaluations of later steps; what was sampled is how it was."""
        self._evaluations = [each for each in self._evaluations if each.step <= step]

    def to_plain(self) -> dict[str, Any]:
        """Returns the history as JSON: each number's samples in one list."""
        return {
            "samples": {
                name: [getattr(sample, name) for sample in self._samples] for name in _COLUMNS
            },
            "evaluations": [
                {
                    "time_s": each.time_s,
                    "epoch": each.epoch,
                    "step": each.step,
                    "metrics": dict(each.metrics),
                }
                for each in self._evaluations
            ],
            "interval_s": self._interval_s,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> History:
        """Reads what `to_plain` returned.

        Raises:
            ValueError: it is not that.
        """
        history = cls()
        try:
            columns = [plain["samples"][name] for name in _COLUMNS]
            history._samples = [
                Sample(
                    float(time_s),
                    int(records),
                    float(records_per_s),
                    _number(loss),
                    int(step),
                    int(epoch),
                    int(num_workers),
                )
                for time_s, records, records_per_s, loss, step, epoch, num_workers in zip(
                    *columns, strict=True
                )
            ]
            history._evaluations = [
                TimedEvaluation(
                    float(each["time_s"]),
                    int(each["epoch"]),
                    int(each["step"]),
                    {str(name): _number(value) for name, value in each["metrics"].items()},
                )
                for each in plain["evaluations"]
            ]
            history._interval_s = float(plain["interval_s"])
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"this is no history: {error!r}") from error
        return history

    def _thin(self) -> None:
        """Makes one sample of two: the later, with the rate of both."""
        pairs = zip(self._samples[0::2], self._samples[1::2], strict=False)
        thinned = [
            replace(later, records_per_s=(earlier.records_per_s + later.records_per_s) / 2)
            for earlier, later in pairs
        ]
        if len(self._samples) % 2:
            thinned.append(self._samples[-1])
        self._samples = thinned
        self._interval_s *= 2


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
