"""Where the predictions of a job go."""

from elasticdl_like.prediction_outputs.base import PredictionOutputsProcessor, SharedOutput

__all__ = ["PredictionOutputsProcessor", "SharedOutput"]
