"""The digits, one batch a second until a file says that it may go faster.

A test makes the file, in a folder that it shares with the pods.
"""

import pathlib
import time

import tensorflow as tf
from digits import digits_cnn

__all__ = ["custom_model", "feed_batch"]

FINISH = pathlib.Path("/elasticdl/jobs/order-finish")
custom_model = digits_cnn.custom_model


def _at_leisure(records):
    if not FINISH.exists():
        time.sleep(1)
    return records


def feed_batch(records, mode, metadata):
    shape = records.shape
    records = tf.numpy_function(_at_leisure, [records], tf.string)
    records.set_shape(shape)
    return digits_cnn.feed_batch(records, mode, metadata)
