"""The counting model (`counting.py`) on several workers: each trainer writes down its rounds."""

import counting
from counting import CustomDataReader, feed_batch, loss, optimizer
from round_points import watch

from faults.chaos.points import plan

__all__ = ["CustomDataReader", "callbacks", "custom_model", "feed_batch", "loss", "optimizer"]

STOPS_AFTER_EPOCHS = 3

_watched = []


def custom_model(num_records):
    model = counting.custom_model(num_records)
    _watched.append(watch(model))
    return model


def callbacks():
    import keras

    class Chaos(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            _watched[-1].note("training begins")

        def on_epoch_begin(self, epoch, logs=None):
            _watched[-1].note("epoch begins", epoch=epoch)

        def on_epoch_end(self, epoch, logs=None):
            _watched[-1].note("epoch ends", epoch=epoch)
            _watched[-1].point("epoch ends")

    if not plan()["stops_early"]:
        return [Chaos()]
    # The loss is how often the records were used before: it never gets better.
    return [
        keras.callbacks.ReduceLROnPlateau(monitor="loss", factor=0.5, patience=1),
        keras.callbacks.EarlyStopping(monitor="loss", patience=STOPS_AFTER_EPOCHS - 1),
        Chaos(),
    ]
