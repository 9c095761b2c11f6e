"""A small convolutional network on 8x8 images of handwritten digits.

A record is 65 bytes: the 64 pixels of an image, 0 to 16, row by row, then the digit.
"""

import keras
import tensorflow as tf


def custom_model():
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(10),
        ]
    )


def loss(labels, predictions):
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, predictions)


def optimizer(lr=0.003):
    return keras.optimizers.Adam(lr)


def feed_batch(records, mode, metadata):
    values = tf.io.decode_raw(records, tf.uint8, fixed_length=65)
    images = tf.cast(tf.reshape(values[:, :64], [-1, 8, 8, 1]), tf.float32) / 16
    return images, tf.cast(values[:, 64], tf.int32)


def eval_metrics_fn():
    return {"accuracy": keras.metrics.SparseCategoricalAccuracy()}
