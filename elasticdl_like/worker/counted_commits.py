"""The commits of a worker that works independently of others."""

from __future__ import annotations

from collections.abc import Sequence

from elasticdl_like.tasks import EpochKey
from elasticdl_like.worker.blocks import Piece
from elasticdl_like.worker.master_client import MasterClient
from elasticdl_like.worker.task_stream import TaskStream


class CountedCommits:
    """Numbers commits, and learns whether they were counted.

    One that was refused, because a lease was split or lost, counts nothing at all. The worker gives
    up all of its leases then, and begins a stream anew.

    Args:
        client: the connection to the master.
        key: the epoch.
        step: the number of the last commit before these.

    Attributes:
        stream: leases records, and sends the commits.
    """

    def __init__(self, client: MasterClient, key: EpochKey, step: int) -> None:
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

    def send(self, pieces: Sequence[Piece]) -> None:
        """Commits records; whether that was counted is known later."""
        self._step += 1
        self.stream.commit(self._step, [piece.interval for piece in pieces])

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

    def _on_fenced(self, step: int) -> None:
        self._refused.add(step)
