"""A small network on the irises in a SQLite table: data that is not in files of records.

The data origin is the name of a table. A record is a row: four lengths in centimetres, then the
species as a number from 0 to 2.
"""

import sqlite3

import keras
import tensorflow as tf

from elasticdl_like.data_readers import AbstractDataReader


class CustomDataReader(AbstractDataReader):
    output_signature = ("float32", "float32", "float32", "float32", "int32")

    def __init__(self, data_origin, database):
        self.table = data_origin
        # It is made in one thread and read from in another, never in two at once.
        self.connection = sqlite3.connect(
            f"file:{database}?mode=ro", uri=True, check_same_thread=False
        )

    def create_shards(self):
        query = f"SELECT min(rowid), count(*) FROM {self.table}"
        return {self.table: self.connection.execute(query).fetchone()}

    def read_records(self, task):
        query = f"SELECT * FROM {task.shard_name} WHERE rowid >= ? AND rowid < ? ORDER BY rowid"
        yield from self.connection.execute(query, (task.start, task.end))


def custom_model():
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Rescaling(1.0, offset=[-5.8, -3.1, -3.8, -1.2]),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(3),
        ]
    )


def loss(labels, predictions):
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, predictions)


def optimizer(lr=0.01):
    return keras.optimizers.Adam(lr)


def feed_batch(records, mode, metadata):
    *lengths, species = records
    return tf.stack(lengths, axis=1), species


def eval_metrics_fn():
    return {"accuracy": keras.metrics.SparseCategoricalAccuracy()}
