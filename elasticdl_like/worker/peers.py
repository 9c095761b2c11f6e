"""The members of a round, as a trainer talks to them: TensorFlow's collectives, and nothing else.

`tf.distribute.MultiWorkerMirroredStrategy` sets up the cluster and does the collectives. Variables
live outside of it, so that a step is applied by the ordinary optimizer.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

# What a collective raises when a member is gone, or ends its part of it.
_SIGNS_OF_LOSS = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
    tf.errors.UnavailableError,
    tf.errors.UnknownError,
)


class PeersLostError(Exception):
    """A collective failed: some member of the round is gone, or cannot be reached."""


class Peers:
    """The members of a round.

    Made before TensorFlow does anything else in this process, because its collectives cannot be
    set up afterwards.

    Args:
        addresses: HOST:PORT of each member's trainer, by rank.
        rank: which of them is this process.

    Raises:
        PeersLostError: the members do not come together.
    """

    def __init__(self, addresses: Sequence[str], rank: int) -> None:
        self.rank = rank
        self.size = len(addresses)
        self._since_s: float | None = None
        self._strategy = None
        if self.size > 1:
            with _explained():
                self._strategy = _make_strategy(addresses, rank)
        # The shapes of what members share by the way, such as metrics, are not known before.
        self._sum_any = tf.function(
            self._all_reduce,
            input_signature=[[tf.TensorSpec([None], tf.int64)]],
            autograph=False,
        )
        self._sum = tf.function(self._all_reduce, autograph=False)

    @property
    def is_chief(self) -> bool:
        """Whether this is the one member that does what is to be done once."""
        return self.rank == 0

    @property
    def exchanging_s(self) -> float:
        """For how long this process has been in a collective; 0.0 when it is in none."""
        since_s = self._since_s
        return 0.0 if since_s is None else time.monotonic() - since_s

    def exchange(
        self, tensors: Sequence[tf.Tensor], num_read: int = 0
    ) -> tuple[list[tf.Tensor], NDArray[Any]]:
        """Returns the sums of the tensors of all members, which have the same shapes and types.

        Args:
            tensors: what this member contributes; the first is a vector.
            num_read: how many entries of the first sum, its last ones, to read from the device.

        Returns:
            The sums, and these entries.

        Raises:
            PeersLostError: a member is gone.
        """
        with self._in_collective():
            summed = list(tensors) if self._strategy is None else self._sum(list(tensors))
            return summed, summed[0][summed[0].shape[0] - num_read :].numpy()

    def sum_integers(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns the sum of the arrays of all members, which have one shape.

        Raises:
            PeersLostError: a member is gone.
        """
        if self._strategy is None:
            return values
        with self._in_collective():
            (summed,) = self._sum_any([tf.constant(values.reshape(-1), tf.int64)])
        result: NDArray[np.int64] = summed.numpy().reshape(values.shape)
        return result

    def broadcast(self, data: bytes) -> bytes:
        """Returns the chief's data to every member; whatever the others give does not count.

        Raises:
            PeersLostError: a member is gone.
        """
        if self._strategy is None:
            return data
        own = data if self.is_chief else b""
        size = int(self.sum_integers(np.array([len(own)]))[0])
        padded = np.zeros(-(-size // 8), np.int64)
        padded.view(np.uint8)[: len(own)] = np.frombuffer(own, np.uint8)
        return self.sum_integers(padded).tobytes()[:size]

    def _all_reduce(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        strategy = self._strategy
        if strategy is None:
            return list(tensors)
        (device,) = strategy.extended.worker_devices

        def in_replica(*values: tf.Tensor) -> Any:
            # A tensor of no device in particular has no place that a collective could reduce to.
            with tf.device(device):
                placed = [tf.identity(value) for value in values]
            context = tf.distribute.get_replica_context()
            return context.all_reduce(tf.distribute.ReduceOp.SUM, placed)

        return list(strategy.run(in_replica, args=tuple(tensors)))

    @contextmanager
    def _in_collective(self) -> Iterator[None]:
        self._since_s = time.monotonic()
        try:
            with _explained():
                yield
        finally:
            self._since_s = None


def _make_strategy(addresses: Sequence[str], rank: int) -> Any:
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(addresses)}),
        task_type="worker",
        task_id=rank,
        rpc_layer="grpc",
    )
    return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except _SIGNS_OF_LOSS as error:
        lines = [line for line in str(error).splitlines() if line]
        reason = next((line for line in lines if "aborted by" in line), lines[0] if lines else "")
        raise PeersLostError(f"{type(error).__name__}: {reason}") from error
