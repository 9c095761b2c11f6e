"""The digits, trained until a file says that it is enough.

A test makes the files, in a folder that it shares with the pods.
"""

import pathlib

import keras
from digits.digits_cnn import custom_model, eval_metrics_fn, feed_batch, loss, optimizer

__all__ = ["callbacks", "custom_model", "eval_metrics_fn", "feed_batch", "loss", "optimizer"]

ORDERS = pathlib.Path("/elasticdl/jobs")
FINISH = ORDERS / "order-finish"
EAT = ORDERS / "order-eat"


class Obey(keras.callbacks.Callback):
    """Finishes the job at the end of an epoch, or uses up all memory."""

    def on_train_batch_end(self, batch, logs=None):
        if EAT.exists():
            EAT.unlink()
            held = []
            while True:
                held.append(b"x" * (1 << 26))

    def on_epoch_end(self, epoch, logs=None):
        if FINISH.exists():
            self.model.stop_training = True


def callbacks():
    return [Obey()]
