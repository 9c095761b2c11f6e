"""One worker of plain MultiWorkerMirroredStrategy, with its data in memory; run by a benchmark.

`python plain_strategy.py RANK MODEL BATCH STEPS ADDRESS…` prints the seconds of a step, by the
median of the last half of them.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time

import keras
import step_times
import tensorflow as tf


def main() -> None:
    rank, model_name, batch, steps = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
    addresses = sys.argv[5:]
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": addresses}),
        task_type="worker",
        task_id=rank,
        rpc_layer="grpc",
    )
    strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    records = step_times.random_records(16 * batch)
    features, labels = step_times.feed_batch(tf.constant(records), "training", None)
    with strategy.scope():
        model = getattr(step_times, model_name)()
        optimizer = step_times.optimizer()
        optimizer.build(model.trainable_variables)
    dataset = tf.data.Dataset.from_tensor_slices((features, labels)).repeat().batch(batch)
    num_replicas = strategy.num_replicas_in_sync

    def replica_step(batch_features: tf.Tensor, batch_labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            losses = step_times.loss(batch_labels, model(batch_features, training=True))
            loss = tf.reduce_mean(losses) / num_replicas
        # The optimizer sums the gradients over the replicas by itself.
        optimizer.apply_gradients(
            zip(
                tape.gradient(loss, model.trainable_variables),
                model.trainable_variables,
                strict=False,
            )
        )
        return loss

    @tf.function
    def step(batch_features: tf.Tensor, batch_labels: tf.Tensor) -> tf.Tensor:
        losses = strategy.run(replica_step, args=(batch_features, batch_labels))
        return strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)

    ends_s = []
    for number, (batch_features, batch_labels) in enumerate(dataset):
        float(step(batch_features, batch_labels))
        ends_s.append(time.perf_counter())
        if number == int(steps):
            break
    half = ends_s[len(ends_s) // 2 :]
    print(statistics.median(b - a for a, b in itertools.pairwise(half)), flush=True)


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    main()
