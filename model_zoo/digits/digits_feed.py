"""The same network as `digits_cnn`, fed record by record, as ElasticDL's model files do it."""

import tensorflow as tf
from digits.digits_cnn import custom_model, eval_metrics_fn, loss, optimizer

__all__ = ["custom_model", "eval_metrics_fn", "feed", "loss", "optimizer"]


def feed(dataset, mode, metadata):
    def parse(record):
        values = tf.io.decode_raw(record, tf.uint8)
        image = tf.cast(tf.reshape(values[:64], [8, 8, 1]), tf.float32) / 16
        return image, tf.cast(values[64], tf.int32)

    dataset = dataset.map(parse)
    if mode == "training":
        dataset = dataset.shuffle(1024)
    return dataset
