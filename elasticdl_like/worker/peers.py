"""The members of a round, as a trainer talks to them: TensorFlow's collectives, and nothing else.

`tf.distribute.MultiWorkerMirroredStrategy` sets up the cluster and does the collectives. Variables
live outside of it, so that a step is applied by the ordinary optimizer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from elasticdl_like.errors import ElasticdlError

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


class PeersLostError(ElasticdlError):
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
        self._strategy = None
        self._num_calls = 0
        self._call_began_s: float | None = None
        self._seen_outside_s = 0.0
        if self.size > 1:
            try:
                self._strategy = _make_strategy(addresses, rank)
            except _SIGNS_OF_LOSS as error:
                raise PeersLostError(_in_one_line(error)) from error
            # A graph alone knows when it has come to its collective: it counts that here.
            with tf.device("CPU:0"):
                self._num_reached = tf.Variable(0, dtype=tf.int64, trainable=False)
        # The shapes of what members share by the way, such as metrics, are not known before.
        self._sum_any = tf.function(
            self._sum_integers,
            input_signature=[tf.TensorSpec([None], tf.int64)],
            autograph=False,
        )

    @property
    def is_chief(self) -> bool:
        """Whether this is the one member that does what is to be done once."""
        return self.rank == 0

    @property
    def exchanging_s(self) -> float:
        """For how long this process has been in a collective; 0.0 when it is in none.

        What a graph does before its collective does not count. When it has come to it is known as
        exactly as this is asked often.
        """
        now_s = time.monotonic()
        began_s = self._call_began_s
        if began_s is None:
            return 0.0
        if not self._has_reached_collective:
            self._seen_outside_s = now_s
            return 0.0
        return now_s - max(began_s, self._seen_outside_s)

    def all_reduce(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Returns the sums of the tensors of all members, which have the same shapes and types.

        Part of a graph that `exchange` runs, and has this in it once. It does not begin before all
        of the tensors are there.
        """
        strategy = self._strategy
        if strategy is None:
            return list(tensors)
        (device,) = strategy.extended.worker_devices
        with tf.control_dependencies(tensors):
            reached = self._num_reached.assign_add(1)

        def in_replica(*values: tf.Tensor) -> Any:
            # A tensor of no device in particular has no place that a collective could reduce to.
            with tf.device(device), tf.control_dependencies([reached]):
                placed = [tf.identity(value) for value in values]
            context = tf.distribute.get_replica_context()
            return context.all_reduce(tf.distribute.ReduceOp.SUM, placed)

        return list(strategy.run(in_replica, args=tuple(tensors)))

    def exchange(
        self, function: Callable[..., tuple[tf.Tensor, list[tf.Tensor], Any]], *args: Any
    ) -> tuple[NDArray[Any], list[tf.Tensor], Any]:
        """Runs a graph with an `all_reduce` in it, as all members do at the same time.

        Their graphs may differ in all but the shapes and types of what they reduce.

        Args:
            function: a `tf.function`. It returns a sum to be read from the device, other sums, and
                what it has beside them.
            args: its arguments.

        Returns:
            What the function returns.

        Raises:
            PeersLostError: a member is gone.
            Exception: whatever the function raises before its collective.
        """
        self._num_calls += 1
        self._call_began_s = time.monotonic()
        try:
            first, others, beside = function(*args)
            return first.numpy(), others, beside
        except _SIGNS_OF_LOSS as error:
            if self._has_reached_collective:
                raise PeersLostError(_in_one_line(error)) from error
            raise
        finally:
            self._call_began_s = None

    def sum_integers(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns the sum of the arrays of all members, which have one shape.

        Raises:
            PeersLostError: a member is gone.
        """
        if self._strategy is None:
            return values
        summed, _, _ = self.exchange(self._sum_any, tf.constant(values.reshape(-1), tf.int64))
        return summed.reshape(values.shape)

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

    def _sum_integers(self, values: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor], None]:
        (summed,) = self.all_reduce([values])
        return summed, [], None

    @property
    def _has_reached_collective(self) -> bool:
        """Whether the graph that is running, or was run last, has come to its collective."""
        return self._strategy is not None and int(self._num_reached.numpy()) == self._num_calls


def _make_strategy(addresses: Sequence[str], rank: int) -> Any:
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(addresses)}),
        task_type="worker",
        task_id=rank,
        rpc_layer="grpc",
    )
    return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)


def _in_one_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line]
    reason = next((line for line in lines if "aborted by" in line), lines[0] if lines else "")
    return f"{type(error).__name__}: {reason}"
