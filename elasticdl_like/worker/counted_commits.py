"""The commits of a worker that works independently of others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from elasticdl_like.tasks import EpochKey
from elasticdl_like.worker.blocks import Batch, Piece
from elasticdl_like.worker.master_client import MasterClient
from elasticdl_like.worker.task_stream import TaskStream


class CountedCommits:
    """Numbers commits, and learns whether they were counted.

    One that was refused, because a lease was split or lost, counts nothing at all: its batch had
    records of other leases, too. The worker gives up all of its leases then, and begins a stream
    anew.

    Args:
        client: the connection to the master.
        key: the epoch.
        step: the number of the last commit before these.

    Attributes:
        stream: leases records, and sends the commits.
    """

    def __init__(self, client: MasterClient, key: EpochKey, step: int = 0) -> None:
        self.stream = TaskStream(client, key, self._on_fenced)
        self._step = step
        self._refused: set[int] = set()

    @property
    def step(self) -> int:
        """The number of the last commit."""
        return self._step

    @property
    def are_refused(self) -> bool:
        """Whether any of them was refused."""
        return bool(self._refused)

    def send(self, pieces: Sequence[Piece], sums: Sequence[float] = ()) -> None:
        """Commits records, in an evaluation with their sums.

        Whether that was counted is known later.
        """
        self._step += 1
        self.stream.commit(self._step, [piece.interval for piece in pieces], sums=sums)

    def commit_part(self, pieces: Sequence[Piece], part: str) -> bool:
        """Commits records with the file of what was predicted for them.

        Returns:
            Whether it was counted.
        """
        self._step += 1
        self.stream.commit(self._step, [piece.interval for piece in pieces], part=part)
        self.stream.flush()
        return self._step not in self._refused

    def fail(self, pieces: Sequence[Piece], problem: str) -> None:
        """Reports records that cannot be used."""
        self._step += 1
        self.stream.fail(self._step, [piece.interval for piece in pieces], problem)

    def give_up(self, batches: Iterator[Batch]) -> None:
        """Lets go of all leases, once what was committed of them is counted or refused.

        Args:
            batches: those of the stream; after their end the pipeline is ready for another one.
        """
        self.stream.flush()
        self.stream.close()
        for _ in batches:
            continue

    def _on_fenced(self, step: int) -> None:
        self._refused.add(step)
