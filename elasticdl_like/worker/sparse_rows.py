"""Gradients that are rows of a matrix, in the form in which members exchange them.

A row is its number in three digits of 16 bits, which are exact in float32, and its values. Members
add vectors up in which only one of them is not zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import tensorflow as tf

_DIGIT_BITS = 16
_DIGITS = 3


@dataclass(frozen=True)
class RowsOfVariable:
    """A variable whose gradient is rows of it.

    Attributes:
        shape: of the variable; the first dimension is the rows.
        dtype: of the variable.
    """

    shape: Sequence[int]
    dtype: tf.DType


def row_numbers(shape: Sequence[int]) -> int:
    """Returns how many numbers a row of a variable of some shape is."""
    return _DIGITS + prod(shape[1:])


def encode_rows(gradient: tf.IndexedSlices, weight: tf.Tensor) -> tf.Tensor:
    """Returns the rows of a gradient, times a weight, as one vector of the weight's type."""
    indices = tf.cast(gradient.indices, tf.int64)
    digits = [
        tf.bitwise.bitwise_and(tf.bitwise.right_shift(indices, _DIGIT_BITS * digit), 0xFFFF)
        for digit in range(_DIGITS)
    ]
    values = tf.reshape(gradient.values, [tf.shape(indices)[0], -1])
    weighted = tf.math.multiply_no_nan(tf.cast(values, weight.dtype), weight)
    numbers = tf.cast(tf.stack(digits, axis=1), weight.dtype)
    return tf.reshape(tf.concat([numbers, weighted], 1), [-1])


def decode_rows(
    rows: tf.Tensor, num_rows: tf.Tensor, variables: Sequence[RowsOfVariable], weight: tf.Tensor
) -> list[tf.IndexedSlices]:
    """Returns the gradient of each variable, of the rows of all members.

    Args:
        rows: the members' vectors one after the other, each with the variables one after the other.
        num_rows: how many rows each member has of each variable, of shape (members, variables).
        variables: what the rows are of.
        weight: what the members' weights add up to.
    """
    found: list[list[tf.Tensor]] = [[] for _ in variables]
    start: Any = 0
    for member in range(num_rows.shape[0]):
        for number, variable in enumerate(variables):
            width = row_numbers(variable.shape)
            end = start + tf.cast(num_rows[member, number], tf.int32) * width
            found[number].append(tf.reshape(rows[start:end], [-1, width]))
            start = end
    gradients = []
    for variable, parts in zip(variables, found, strict=True):
        joined = tf.concat(parts, 0)
        digits = tf.cast(joined[:, :_DIGITS], tf.int64)
        indices = sum(
            tf.bitwise.left_shift(digits[:, digit], _DIGIT_BITS * digit) for digit in range(_DIGITS)
        )
        values = tf.reshape(joined[:, _DIGITS:] / weight, [-1, *variable.shape[1:]])
        gradients.append(
            tf.IndexedSlices(
                tf.cast(values, variable.dtype), indices, tf.constant(variable.shape, tf.int64)
            )
        )
    return gradients
