"""Iterates over a dataset in a fifth of the time that `iter(dataset)` takes for each element."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import Any, Self

import tensorflow as tf


def element_iterator(dataset: tf.data.Dataset) -> Iterator[Any]:
    """Returns an iterator over the elements of a dataset.

    `iter(dataset)` switches TensorFlow to another executor and back for each element, which in
    eager execution, where everything is waited for anyway, changes nothing but the time: of an
    element with ten tensors 50 µs of 90.
    """
    if all(isinstance(spec, tf.TensorSpec) for spec in tf.nest.flatten(dataset.element_spec)):
        return _ElementIterator(dataset)
    return iter(dataset)  # sparse and ragged tensors come in parts that TensorFlow puts together


class _ElementIterator:
    """An iterator over elements that are made of tensors alone.

    After an error in a function of the dataset it goes on with the next element.
    """

    def __init__(self, dataset: tf.data.Dataset) -> None:
        specs = tf.nest.flatten(dataset.element_spec)
        # The numbers of the types, and no shapes: TensorFlow would turn the objects into these for
        # each element anew. The iterator itself knows the shapes, and each tensor has its own.
        self._types = [spec.dtype.as_datatype_enum for spec in specs]
        self._shapes = [None] * len(specs)
        self._pack, _ = _packer(dataset.element_spec, 0)
        self._iterator = tf.raw_ops.AnonymousIteratorV3(
            output_types=self._types, output_shapes=[spec.shape for spec in specs]
        )
        tf.raw_ops.MakeIterator(
            dataset=tf.data.experimental.to_variant(dataset), iterator=self._iterator
        )

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        try:
            tensors = tf.raw_ops.IteratorGetNext(
                iterator=self._iterator, output_types=self._types, output_shapes=self._shapes
            )
        except tf.errors.OutOfRangeError:
            raise StopIteration from None
        return self._pack(tensors)


def _packer(structure: Any, begin: int) -> tuple[Callable[[Sequence[tf.Tensor]], Any], int]:
    """Returns `tf.nest.pack_sequence_as` for one structure, several times as fast.

    Args:
        structure: the structure, or a part of one.
        begin: the number of its first tensor in the whole structure.

    Returns:
        What makes the structure of all tensors, and the number after its last tensor.
    """
    end = begin
    if isinstance(structure, tf.TensorSpec):
        return itemgetter(begin), begin + 1
    # Not those of derived types, such as named tuples.
    if type(structure) is tuple:
        parts = []
        for each in structure:
            part, end = _packer(each, end)
            parts.append(part)
        return lambda tensors: tuple([part(tensors) for part in parts]), end
    if type(structure) is dict:
        by_name = {}
        for name in sorted(structure):  # which is how `tf.nest` numbers them
            by_name[name], end = _packer(structure[name], end)
        items = [(name, by_name[name]) for name in structure]
        return lambda tensors: {name: part(tensors) for name, part in items}, end
    end += len(tf.nest.flatten(structure))
    return lambda tensors: tf.nest.pack_sequence_as(structure, tensors[begin:end]), end
