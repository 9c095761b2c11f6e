"""One step of a round: this member's part before the exchange, and what follows it.

The step is sum(weight x gradient) / sum(weight) over the members: what one worker would do with all
their examples in one batch. What is exchanged is one vector:

    gradients x weight, moving statistics x weight, weight, loss x weight, numbers of rows, header

Gradients of large variables are exchanged by themselves, at the same time: to put them into one
vector, and to take them out again, would be two more trips through memory.

The gradient of an Embedding is rows of it, and each member has other ones. They follow in a second
vector, in which each member has a place of its own: the optimizer is to get the rows that it would
get of one batch, because it treats them in another way than a whole matrix.

No variable of the model is other than before until everything has been exchanged. So the loss of a
member in the middle leaves every other member at the same step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from elasticdl_like.worker.sparse_rows import (
    RowsOfVariable,
    decode_rows,
    encode_rows,
    row_numbers,
)
from elasticdl_like.worker.train_step import TrainStep, split_batch
from elasticdl_like.worker.user_code import explained

_SEED = "seed_generator_state"
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
        rank: which member this is.
        num_members: how many there are.

    Raises:
        ModelDefinitionError: the step cannot be made of such batches.
    """

    def __init__(
        self, step: TrainStep, element_spec: Any, header_size: int, rank: int, num_members: int
    ) -> None:
        model = step.model
        self._train_step = step
        self._model = model
        self._rank = rank
        self._num_members = num_members
        self._variables = list(model.trainable_variables)
        self._statistics = moving_statistics(model)
        dtypes = {variable.value.dtype for variable in self._variables}
        self._dtype = tf.float64 if tf.float64 in dtypes else tf.float32
        # Of each variable whether it has a gradient, and whether that is rows of it.
        self._has_gradient: list[bool] = []
        self._is_sparse: list[bool] = []
        split_batch(element_spec)
        self._contribute = tf.function(
            self._weighted,
            input_signature=[element_spec, tf.TensorSpec([header_size], tf.float32)],
            autograph=False,
            jit_compile=model.jit_compile,
        )
        with explained("the training step"):
            # Also where there is no batch yet: the gradients decide what the vector looks like.
            self._contribute.get_concrete_function()
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
        self._sizes = [_size(variable) for variable in (*small, *self._statistics)]
        self._header_size = header_size
        self._apply = tf.function(
            self._apply_sum,
            input_signature=[
                [
                    tf.TensorSpec([sum(self._sizes) + self.tail_size], self._dtype),
                    *(tf.TensorSpec(variable.shape, self._dtype) for variable in large),
                ],
                tf.TensorSpec([None], self._dtype),
                tf.TensorSpec([num_members, len(sparse)], tf.int64),
            ],
            autograph=False,
            jit_compile=model.jit_compile,
        )
        self._nothing = tf.zeros([sum(self._sizes) + self.tail_size - header_size], self._dtype)
        self._no_gradients = [tf.zeros(variable.shape, self._dtype) for variable in large]
        self._no_rows = tf.zeros([0], self._dtype)

    @property
    def tail_size(self) -> int:
        """How many numbers follow gradients and statistics in the vector; the header is the last.

        The first are the weight and the product of weight and loss.
        """
        return 2 + self._num_members * sum(self._is_sparse) + self._header_size

    def contribution(
        self, data: Any, header: NDArray[np.float32]
    ) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Returns this member's vector and large gradients, and its rows of sparse gradients.

        Args:
            data: its batch, or None when it has none; then it runs no forward pass.
            header: what it has to say beside.

        Raises:
            ModelDefinitionError: the batch, the model or the loss is not as agreed.
        """
        if data is None:
            vector = tf.concat([self._nothing, tf.cast(header, self._dtype)], 0)
            return [vector, *self._no_gradients], self._no_rows
        self._train_step.check(data)
        with explained("the training step"):
            tensors, rows = self._contribute(data, tf.constant(header))
        return tensors, rows

    def num_rows(self, tail: NDArray[Any]) -> NDArray[np.int64]:
        """Returns how many rows of each sparse gradient each member has.

        Args:
            tail: the last `tail_size` numbers of the sum of all vectors.

        Returns:
            Of shape (members, sparse gradients).
        """
        numbers = tail[2 : -self._header_size].reshape(self._num_members, -1)
        return numbers.astype(np.int64)

    def place_rows(self, rows: tf.Tensor, num_rows: NDArray[np.int64]) -> tf.Tensor:
        """Returns the second vector: the member's rows in their place among those of all."""
        sizes = num_rows @ np.array(self._row_numbers, np.int64)
        before, after = sizes[: self._rank].sum(), sizes[self._rank + 1 :].sum()
        return tf.pad(rows, [[before, after]])

    def apply(
        self, summed: Sequence[tf.Tensor], rows: tf.Tensor, num_rows: NDArray[np.int64]
    ) -> None:
        """Applies the sums of what all members contribute, whose weight is not 0.

        Args:
            summed: of the vectors, and of the large gradients.
            rows: of the vectors of rows; empty where there are no sparse gradients.
            num_rows: how many rows of each sparse gradient each member has.
        """
        with explained("the optimizer"):
            self._apply(list(summed), rows, tf.constant(num_rows))

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
            tf.reshape(weight, [1]),
            self._times(loss, weight),
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

    def _times(self, value: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        # A member whose examples all have weight 0 must not spoil the sum, whatever its loss is.
        return tf.math.multiply_no_nan(tf.cast(value, self._dtype), weight)

    def _apply_sum(self, summed: Sequence[tf.Tensor], rows: tf.Tensor, num_rows: tf.Tensor) -> None:
        vector, *large = summed
        weight = vector[-self.tail_size]
        *values, _ = tf.split(vector, [*self._sizes, self.tail_size])
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


def _mean(value: tf.Tensor, weight: tf.Tensor, variable: keras.Variable) -> tf.Tensor:
    return tf.cast(tf.reshape(value / weight, variable.shape), variable.value.dtype)


def _size(value: Any) -> int:
    return int(np.prod(value.shape, dtype=np.int64))


def _is_large(value: Any) -> bool:
    return _size(value) >= _LARGE
