"""Where the predictions of a job go: what a model definition file may bring, and what is built in."""

from elasticdl_like.prediction_outputs.base import PredictionOutputsProcessor, SharedOutput

__all__ = ["PredictionOutputsProcessor", "SharedOutput"]
