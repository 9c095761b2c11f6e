"""Flags of ElasticDL that work, but not for `evaluate` and `predict`."""

from __future__ import annotations

from elasticdl_like.cli.compatibility.entries import ElasticdlFlag, refused, warning

_NOTHING_TRAINED = "Nothing is trained."

NOT_FOR_INFERENCE: tuple[ElasticdlFlag, ...] = (
    warning("--optimizer", _NOTHING_TRAINED),
    warning("--callbacks", _NOTHING_TRAINED),
    warning("--checkpoint_steps", _NOTHING_TRAINED),
    warning("--keep_checkpoint_max", _NOTHING_TRAINED),
    warning("--distribution_strategy", "Workers do not need each other here."),
    refused("--output", "No model is trained. Predictions go to `--prediction_output`."),
)
"""Flags that ElasticDL's `evaluate` and `predict` took, and that only `train` has use for."""

NOT_FOR_PREDICTION: tuple[ElasticdlFlag, ...] = (
    warning("--loss", "Nothing is compared with labels."),
    warning("--eval_metrics_fn", "Nothing is compared with labels."),
)
"""Flags that ElasticDL's `predict` took, and that only `train` and `evaluate` have use for."""
