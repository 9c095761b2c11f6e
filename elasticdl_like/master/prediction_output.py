"""The output of a prediction, as far as the master has to do with it: pure.

Where predictions go into files, each commit names the file with the rows of its records. The file
becomes a part of the output when the commit is counted, and the output is whole when every part has
got its name. Where a class of the model definition file takes them, the master keeps what its
processes need to take part in one output, and has one of them end it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from elasticdl_like.errors import InvalidRequestError
from elasticdl_like.tasks import Commit, Finish


class PredictionOutput:
    """What is known of the output of one job.

    Args:
        in_files: whether predictions go into files.
        job_id: names the job in the folder of its output; "" before there is one.
    """

    def __init__(self, in_files: bool, job_id: str = "") -> None:
        self.in_files = in_files
        self.job_id = job_id
        self._state = ""
        self._parts: dict[str, int] = {}
        self._unpublished: dict[str, None] = {}
        self._is_whole = False
        self._finisher: int | None = None

    @property
    def state(self) -> str:
        """What processes need to take part in an output that appears whole; "" for none yet."""
        return self._state

    @property
    def parts(self) -> Mapping[str, int]:
        """How many rows each part has, by name, in the order in which they were counted."""
        return self._parts

    @property
    def unpublished(self) -> Collection[str]:
        """The parts that are not known to have got their name, the oldest first."""
        return self._unpublished.keys()

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left to do once all records are predicted."""
        return self._is_whole or not (self.in_files or self._state)

    def check(self, worker_id: int, commit: Commit) -> None:
        """Checks that a commit says where the predictions are.

        Raises:
            InvalidRequestError: it does not, or in a way that is not the job's.
        """
        if commit.problem:
            return
        if commit.part and not self.in_files:
            raise InvalidRequestError(
                f"worker {worker_id} names the file {commit.part!r}, and the predictions of this "
                "job do not go into files"
            )
        if self.in_files and bool(commit.part) != bool(commit.intervals):
            raise InvalidRequestError(
                f"worker {worker_id} commits {commit.part or 'records'!r}, and each file of "
                "predictions belongs to records, and each record to a file"
            )
        if commit.part in self._parts:
            raise InvalidRequestError(f"the file {commit.part!r} was committed before")

    def count(self, commit: Commit) -> None:
        """Makes the file of a commit that was counted a part of the output."""
        if commit.part:
            self._parts[commit.part] = sum(each.size for each in commit.intervals)
            self._unpublished[commit.part] = None

    def published(self, names: Collection[str]) -> None:
        """Notes that parts have got their names."""
        for name in names:
            self._unpublished.pop(name, None)

    def begin(self, state: str) -> None:
        """Keeps what processes need to take part in the output; the first one's stays."""
        self._state = self._state or state

    def end(self) -> None:
        """Notes that the output is whole."""
        self._is_whole = True

    def choose(self, worker_id: int) -> None:
        """Has a worker end the output."""
        self._finisher = worker_id

    def forget(self, worker_id: int) -> None:
        """Has another worker end the output, if this one was to."""
        if self._finisher == worker_id:
            self._finisher = None

    def finish(self, worker_id: int) -> Finish | None:
        """Returns what a worker is to do once all records are predicted.

        None if it may be chosen to end the output, which nobody is at present.
        """
        if self.is_done:
            return Finish.DONE
        if self.in_files:
            return Finish.WAIT  # for the master
        if self._finisher is None:
            return None
        return Finish.FINISH if self._finisher == worker_id else Finish.WAIT

    def to_plain(self) -> dict[str, Any]:
        """Returns the whole state as JSON."""
        return {
            "in_files": self.in_files,
            "job_id": self.job_id,
            "state": self._state,
            "parts": list(self._parts.items()),
            "unpublished": list(self._unpublished),
            "is_whole": self._is_whole,
            "finisher": self._finisher,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> PredictionOutput:
        """Returns the output whose `to_plain` this is."""
        output = cls(plain["in_files"], plain["job_id"])
        output._state = plain["state"]
        output._parts = dict(plain["parts"])
        output._unpublished = dict.fromkeys(plain["unpublished"])
        output._is_whole = plain["is_whole"]
        output._finisher = plain["finisher"]
        return output
