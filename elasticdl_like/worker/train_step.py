"""One step of training: forward, backward, apply."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from elasticdl_like.errors import ModelDefinitionError
from elasticdl_like.worker.example_mean import ExampleMean, example_count
from elasticdl_like.worker.model_spec import ModelSpec
from elasticdl_like.worker.user_code import explained


def split_batch(data: Any) -> tuple[Any, Any, Any]:
    """Returns features, labels and sample weights (or None) of a batch for training.

    Raises:
        ModelDefinitionError: the batch is not `(features, labels[, weights])`.
    """
    if isinstance(data, tuple) and len(data) == 2:
        return data[0], data[1], None
    if isinstance(data, tuple) and len(data) == 3:
        return data
    found = f"a tuple of {len(data)}" if isinstance(data, tuple) else type(data).__name__
    raise ModelDefinitionError(
        "feed and feed_batch must give (features, labels) or (features, labels, weights) for "
        f"training and evaluation, not {found}"
    )


def zeros_like_spec(spec: Any) -> Any:
    """Returns a batch of zeros and empty strings, for building a model without data.

    Args:
        spec: the structure of a batch, of `tf.TensorSpec`, `tf.RaggedTensorSpec` and
            `tf.SparseTensorSpec`. A dimension that it leaves open becomes 1.
    """
    return tf.nest.map_structure(_zeros, spec)


def _zeros(spec: Any) -> Any:
    shape = [1] if spec.shape.rank is None else [size or 1 for size in spec.shape.as_list()]
    zeros = tf.zeros(shape, spec.dtype)
    if isinstance(spec, tf.RaggedTensorSpec):
        return tf.RaggedTensor.from_tensor(
            zeros, ragged_rank=spec.ragged_rank, row_splits_dtype=spec.row_splits_dtype
        )
    if isinstance(spec, tf.SparseTensorSpec):
        return tf.sparse.from_dense(zeros)
    return zeros


class TrainStep:
    """Applies the optimizer to one batch after the other.

    Compiles the model with its optimizer, so that callbacks and saving find it there.

    Args:
        spec: the model definition.
    """

    def __init__(self, spec: ModelSpec) -> None:
        self.model = spec.model
        self.model.compile(optimizer=spec.optimizer)
        self._loss = ExampleMean(spec.loss, "loss(labels, predictions)")
        self._loss_checked = False
        self._built = False
        # Converting Python's control flow takes longer than all the rest of the tracing. Keras does
        # without it, too.
        self._step = tf.function(
            self._run, reduce_retracing=True, autograph=False, jit_compile=self.model.jit_compile
        )

    def __call__(self, data: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """Trains on one batch.

        Args:
            data: `(features, labels)` or `(features, labels, weights)`, tensors whose first axis
                is the examples.

        Returns:
            The loss, a scalar, and the weight of the batch: the sum of the sample weights, or
            the number of examples.

        Raises:
            ModelDefinitionError: the batch, the model or the loss is not as agreed.
        """
        self.check(data)
        features, labels, weights = split_batch(data)
        with explained("the training step"):
            loss: tf.Tensor = self._step(features, labels, weights)
        return loss, batch_weight(labels, weights)

    def check(self, data: Any) -> None:
        """Checks the loss, until one batch was enough to tell, and makes the model's variables.

        Raises:
            ModelDefinitionError: the batch, the model or the loss is not as agreed.
        """
        features, labels, weights = split_batch(data)
        with explained("the training step"):
            if not self._built:
                self.build(features)
            if not self._loss_checked:
                predictions = self.model(features, training=False)
                self._loss_checked = self._loss.check(labels, predictions, weights)

    def build(self, features: Any) -> None:
        """Makes the variables of model and optimizer, if they are not there yet."""
        if not self.model.built:
            self.model(features, training=False)
        if not self.model.trainable_variables:
            raise ModelDefinitionError("the model has nothing to train: no trainable variables")
        self.model.optimizer.build(self.model.trainable_variables)
        self._built = True

    def finish(self) -> None:
        """Gives the weights their final values, where the optimizer keeps averages of them."""
        if self._built:
            self.model.optimizer.finalize_variable_values(self.model.trainable_variables)

    def gradients(self, features: Any, labels: Any, weights: Any) -> tuple[tf.Tensor, list[Any]]:
        """Returns the loss of a batch, and its gradients as the optimizer takes them.

        Part of a graph. The gradients are those of the trainable variables, in their order; None
        where the loss does not depend on the variable.
        """
        with tf.GradientTape() as tape:
            predictions = self.model(features, training=True)
            loss = self._loss.mean(labels, predictions, weights)
            if self.model.losses:
                # Penalties of layers and their regularizers.
                loss += tf.cast(tf.add_n(self.model.losses), loss.dtype)
            scaled_loss = self.model.optimizer.scale_loss(loss)
        return loss, tape.gradient(scaled_loss, self.model.trainable_variables)

    def _run(self, features: Any, labels: Any, weights: Any) -> tf.Tensor:
        loss, gradients = self.gradients(features, labels, weights)
        self.model.optimizer.apply_gradients(
            zip(gradients, self.model.trainable_variables, strict=True)
        )
        return loss


def batch_weight(labels: Any, weights: Any) -> tf.Tensor:
    """Returns what a batch counts: the sum of its sample weights, or its number of examples."""
    if weights is not None:
        return tf.reduce_sum(tf.cast(weights, tf.float32))
    return tf.constant(example_count(labels), tf.float32)
