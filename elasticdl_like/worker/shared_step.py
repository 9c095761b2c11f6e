"""One step of a round: this member's part before the exchange, and what follows it.

The step is sum(weight x gradient) / sum(weight) over the members: what one worker would do with all
their examples in one batch. What is exchanged is one vector:

    gradients x weight, moving statistics x weight,
    weight, loss x weight, the chief's learning rate, numbers of rows, header

Gradients of large variables are exchanged by themselves, at the same time: to put them into one
vector, and to take them out again, would be two more trips through memory.

The gradient of an Embedding is rows of it, and each member has other ones. They follow in a second
vector, in which each member has a place of its own: the optimizer is to get the rows that it would
get of one batch, because it treats them in another way than a whole matrix.

No variable of the model is other than before until everything has been exchanged. So the loss of a
member in the middle leaves every other member at the same step.

A small model has no time for more than two calls of a graph in a step: one up to the sums, one that
applies them. What they need beside the tensors is done inside of them, and they are concrete
functions: what `tf.function` does around each call takes longer than some of the models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from elasticdl_like.worker.peers import Peers
from elasticdl_like.worker.sparse_rows import (
    RowsOfVariable,
    decode_rows,
    encode_rows,
    row_numbers,
)
from elasticdl_like.worker.train_step import TrainStep, split_batch
from elasticdl_like.worker.user_code import explained

_SEED = "seed_generator_state"
# Weight, loss x weight, learning rate.
_NUMBERS = 3
# A MiB: below it a collective costs more than the copies that it saves.
_LARGE = 1 << 18
# Far apart, so that no two members draw the same random numbers in one round.
_SEED_STRIDE = 1_000_003


class SharedStep:
    """The step of a model whose variables are built.

    Args:
        step: computes loss and gradients of a batch.
        element_spec: the `tf.TypeSpec` of batches, `(features, labels[, weights])`.
        header_size: how many numbers the header has.
        peers: the members.

    Raises:
        ModelDefinitionError: the step cannot be made of such batches.
    """

    def __init__(self, step: TrainStep, element_spec: Any, header_size: int, peers: Peers) -> None:
        model = step.model
        self._train_step = step
        self._model = model
        self._peers = peers
        self._rank = peers.rank
        self._num_members = peers.size
        self._variables = list(model.trainable_variables)
        self._statistics = moving_statistics(model)
        self._learning_rate = learning_rate_variable(model.optimizer)
        dtypes = {variable.value.dtype for variable in self._variables}
        self._dtype = tf.float64 if tf.float64 in dtypes else tf.float32
        # Of each variable whether it has a gradient, and whether that is rows of it.
        self._has_gradient: list[bool] = []
        self._is_sparse: list[bool] = []
        split_batch(element_spec)
        self._header_spec = tf.TensorSpec([header_size], tf.float32)
        self._element_spec = element_spec
        with explained("the training step"):
            # Also where there is no batch yet: the gradients decide what the vector looks like.
            self._contribute = _concrete(
                self._weighted, [element_spec, self._header_spec], model.jit_compile
            )
        sparse = [
            variable
            for variable, is_sparse in zip(self._variables, self._is_sparse, strict=True)
            if is_sparse
        ]
        self._row_numbers = [row_numbers(variable.shape) for variable in sparse]
        self._dense = [
            variable
            for variable, is_sparse in zip(self._variables, self._is_sparse, strict=True)
            if not is_sparse
        ]
        small = [variable for variable in self._dense if not _is_large(variable)]
        large = [variable for variable in self._dense if _is_large(variable)]
        self._large_shapes = [tuple(variable.shape) for variable in large]
        self._sizes = [_size(variable) for variable in (*small, *self._statistics)]
        self._header_size = header_size
        self._no_rows = tf.zeros([0], self._dtype)

    @property
    def tail_size(self) -> int:
        """How many numbers follow gradients and statistics in the vector; the header is the last.

        The first are the weight, the product of weight and loss, and the learning rate.
        """
        return _NUMBERS + self._num_members * sum(self._is_sparse) + self._header_size

    def exchange(
        self, data: Any, header: NDArray[np.float32]
    ) -> tuple[NDArray[Any], list[tf.Tensor], tf.Tensor]:
        """Contributes a vector and large gradients.

        Args:
            data: this member's batch, or None when it has none; then it runs no forward pass.
            header: what it has to say beside.

        Returns:
            The last `tail_size` numbers of the sum of all vectors; this sum and those of the large
            gradients; and this member's own rows of sparse gradients.

        Raises:
            ModelDefinitionError: the batch, the model or the loss is not as agreed.
            PeersLostError: a member is gone.
        """
        numbers = tf.constant(header)
        if data is None:
            return self._peers.exchange(self._exchange_nothing, numbers)
        self._train_step.check(data)
        with explained("the training step"):
            return self._peers.exchange(self._exchange, data, numbers)

    def exchange_rows(self, rows: tf.Tensor, tail: NDArray[Any]) -> tf.Tensor:
        """Returns the rows of sparse gradients of all members, one member's after the other's.

        Args:
            rows: of this member.
            tail: the last `tail_size` numbers of the sum of all vectors.

        Raises:
            PeersLostError: a member is gone.
        """
        num_rows = tail[_NUMBERS : -self._header_size].reshape(self._num_members, -1)
        sizes = num_rows.astype(np.int64) @ np.array(self._row_numbers, np.int64)
        if not sizes.any():
            return self._no_rows
        before, after = sizes[: self._rank].sum(), sizes[self._rank + 1 :].sum()
        place = tf.constant([[before, after]], tf.int64)
        _, (summed,), _ = self._peers.exchange(self._exchange_rows, rows, place)
        return summed

    def apply(self, summed: Sequence[tf.Tensor], rows: tf.Tensor) -> None:
        """Applies the sums of what all members contribute, whose weight is not 0.

        Args:
            summed: of the vectors, and of the large gradients.
            rows: of the vectors of rows; empty where there are no sparse gradients.
        """
        with explained("the optimizer"):
            self._apply(list(summed), rows)

    @cached_property
    def _exchange(self) -> Any:
        return _concrete(self._exchanged, [self._element_spec, self._header_spec])

    @cached_property
    def _exchange_nothing(self) -> Any:
        return _concrete(self._nothing_exchanged, [self._header_spec])

    @cached_property
    def _exchange_rows(self) -> Any:
        rows, place = tf.TensorSpec([None], self._dtype), tf.TensorSpec([1, 2], tf.int64)
        return _concrete(self._rows_exchanged, [rows, place])

    @cached_property
    def _apply(self) -> Any:
        vector = tf.TensorSpec([sum(self._sizes) + self.tail_size], self._dtype)
        large = [tf.TensorSpec(shape, self._dtype) for shape in self._large_shapes]
        rows = tf.TensorSpec([None], self._dtype)
        return _concrete(self._apply_sum, [[vector, *large], rows], self._model.jit_compile)

    def _weighted(self, batch: Any, header: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
        features, labels, weights = split_batch(batch)
        before = [tf.identity(statistic.value) for statistic in self._statistics]
        loss, gradients = self._train_step.gradients(features, labels, weights)
        after = [tf.identity(statistic.value) for statistic in self._statistics]
        for statistic, value in zip(self._statistics, before, strict=True):
            statistic.assign(value)
        if weights is None:
            weight = tf.cast(tf.shape(tf.nest.flatten(labels)[0])[0], self._dtype)
        else:
            weight = tf.reduce_sum(tf.cast(weights, self._dtype))
        self._has_gradient = [gradient is not None for gradient in gradients]
        self._is_sparse = [isinstance(gradient, tf.IndexedSlices) for gradient in gradients]
        small: list[tf.Tensor] = []
        large: list[tf.Tensor] = []
        for gradient, variable in zip(gradients, self._variables, strict=True):
            if not isinstance(gradient, tf.IndexedSlices):
                dense = tf.zeros(variable.shape) if gradient is None else gradient
                (large if _is_large(variable) else small).append(dense)
        sparse = [gradient for gradient in gradients if isinstance(gradient, tf.IndexedSlices)]
        counts = tf.concat(
            [tf.zeros([0], tf.int32), *(tf.shape(gradient.indices)[:1] for gradient in sparse)], 0
        )
        ranks_after = self._num_members - self._rank - 1
        place = [[self._rank * len(sparse), ranks_after * len(sparse)]]
        parts = [
            *(self._times(value, weight) for value in (*small, *after)),
            weight,
            self._times(loss, weight),
            self._own_rate(),
            tf.cast(tf.pad(counts, place), self._dtype),
            tf.cast(header, self._dtype),
        ]
        vector = tf.concat([tf.reshape(part, [-1]) for part in parts], 0)
        rows = [encode_rows(gradient, weight) for gradient in sparse]
        no_rows = tf.zeros([0], self._dtype)
        return (
            [vector, *(self._times(value, weight) for value in large)],
            tf.concat([no_rows, *rows], 0),
        )

    def _exchanged(
        self, batch: Any, header: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor], tf.Tensor]:
        # What a function returns is there when all of its assignments are done: the statistics are
        # as before while this member waits for the others.
        tensors, rows = self._contribute(batch, header)
        summed = self._peers.all_reduce(tensors)
        return summed[0][-self.tail_size :], summed, rows

    def _nothing_exchanged(self, header: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor], tf.Tensor]:
        num_rows = self.tail_size - _NUMBERS - self._header_size
        parts = [
            tf.zeros([sum(self._sizes) + _NUMBERS - 1], self._dtype),
            tf.reshape(self._own_rate(), [1]),
            tf.zeros([num_rows], self._dtype),
            tf.cast(header, self._dtype),
        ]
        large = [tf.zeros(shape, self._dtype) for shape in self._large_shapes]
        summed = self._peers.all_reduce([tf.concat(parts, 0), *large])
        return summed[0][-self.tail_size :], summed, self._no_rows

    def _rows_exchanged(
        self, rows: tf.Tensor, place: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor], None]:
        summed = self._peers.all_reduce([tf.pad(rows, place)])
        return summed[0][:0], summed, None

    def _own_rate(self) -> tf.Tensor:
        if self._learning_rate is None or not self._peers.is_chief:
            return tf.zeros([], self._dtype)
        return tf.cast(self._learning_rate.value, self._dtype)

    def _times(self, value: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        # A member whose examples all have weight 0 must not spoil the sum, whatever its loss is.
        return tf.math.multiply_no_nan(tf.cast(value, self._dtype), weight)

    def _apply_sum(self, summed: Sequence[tf.Tensor], rows: tf.Tensor) -> None:
        vector, *large = summed
        *values, tail = tf.split(vector, [*self._sizes, self.tail_size])
        weight, _, learning_rate = tf.unstack(tail[:_NUMBERS])
        num_rows = tf.cast(
            tf.reshape(tail[_NUMBERS : -self._header_size], [self._num_members, -1]), tf.int64
        )
        small_values, large_values = iter(values), iter(large)
        dense = [
            _mean(next(large_values if _is_large(variable) else small_values), weight, variable)
            for variable in self._dense
        ]
        for statistic, value in zip(self._statistics, small_values, strict=True):
            statistic.assign(_mean(value, weight, statistic))
        gradients_of_dense = iter(dense)
        sparse = iter(decode_rows(rows, num_rows, self._sparse_variables(), weight))
        gradients = []
        for is_sparse, has_gradient in zip(self._is_sparse, self._has_gradient, strict=True):
            gradient = next(sparse) if is_sparse else next(gradients_of_dense)
            gradients.append(gradient if has_gradient else None)
        if self._learning_rate is not None and not self._peers.is_chief:
            # What the chief's callbacks have set.
            self._learning_rate.assign(tf.cast(learning_rate, self._learning_rate.dtype))
        self._model.optimizer.apply_gradients(zip(gradients, self._variables, strict=True))

    def _sparse_variables(self) -> Sequence[RowsOfVariable]:
        return [
            RowsOfVariable(tuple(variable.shape), variable.value.dtype)
            for variable, is_sparse in zip(self._variables, self._is_sparse, strict=True)
            if is_sparse
        ]


def moving_statistics(model: keras.Model) -> list[keras.Variable]:
    """Returns the variables that a forward pass changes, such as BatchNormalization's averages.

    They are those that their layer has made as not trainable, and that are not integers. Weights
    that were made trainable and are frozen now are none of them.
    """
    found: dict[int, keras.Variable] = {}
    for layer in model._flatten_layers():
        for variable in layer._non_trainable_variables:
            if variable.value.dtype.is_floating:
                found[id(variable)] = variable
    return list(found.values())


def spread_seeds(model: keras.Model, rank: int) -> None:
    """Has the random layers of each member, such as Dropout, draw numbers of their own."""
    for variable in model.variables:
        if variable.name == _SEED:
            dtype = variable.value.dtype
            variable.assign_add(tf.cast([0, rank * _SEED_STRIDE], dtype))


def learning_rate_variable(optimizer: keras.optimizers.Optimizer) -> keras.Variable | None:
    """Returns the learning rate that callbacks can set; None where a schedule decides it."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    rate = inner._learning_rate
    return rate if isinstance(rate, keras.Variable) else None


def _concrete(
    function: Callable[..., Any], signature: Sequence[Any], jit_compile: bool | None = None
) -> Any:
    graph = tf.function(
        function, input_signature=signature, autograph=False, jit_compile=jit_compile
    )
    return graph.get_concrete_function()


def _mean(value: tf.Tensor, weight: tf.Tensor, variable: keras.Variable) -> tf.Tensor:
    return tf.cast(tf.reshape(value / weight, variable.shape), variable.value.dtype)


def _size(value: Any) -> int:
    return int(np.prod(value.shape, dtype=np.int64))


def _is_large(value: Any) -> bool:
    return _size(value) >= _LARGE
