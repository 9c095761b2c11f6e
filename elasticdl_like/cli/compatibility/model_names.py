"""What becomes of each name of the contract between ElasticDL and a model definition file.

Data only: `docs/from_elasticdl.md` is made from it. The names are those of ElasticDL's whole
history, from April 2019 to January 2024, and of its tutorials.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

from elasticdl_like.cli.compatibility.entries import ModelName, Verdict
from elasticdl_like.cli.compatibility.reasons import OWN_LOOP


def _name(name: str, note: str = "") -> ModelName:
    return ModelName(name, Verdict.WORKS, note)


def _import(name: str, note: str) -> ModelName:
    return ModelName(name, Verdict.REFUSED, note)


MODEL_NAMES_BY_PLACE: Mapping[str, tuple[ModelName, ...]] = {
    "In the model definition file": (
        _name(
            "custom_model",
            "A function that returns a Keras 3 model. Its name is in `--model_def`, its arguments "
            "in `--model_params`.",
        ),
        _name("CustomModel", "A `keras.Model` subclass. One with its own `train_step` is refused."),
        ModelName(
            "model",
            Verdict.REFUSED,
            "A model made on import. Return it from a function and name that in `--model_def`.",
        ),
        _name(
            "loss",
            "`(labels, predictions)`, in this order. It must return the mean, or one value per "
            "example.",
        ),
        _name("optimizer", "Must return a Keras 3 optimizer."),
        _name(
            "feed",
            "`(dataset, mode, metadata)`. Applied to each task by itself, so a `shuffle`, "
            "`filter` or `repeat` stays inside the task. `feed_batch` is new, and faster.",
        ),
        _name("dataset_fn", "The older name of `feed`."),
        _name("eval_metrics_fn", "May be left out. Metrics are exact over all records."),
        _name(
            "callbacks",
            "All hooks are called; ElasticDL called `on_train_batch_begin` and `on_train_end`.",
        ),
        _name("custom_data_reader", "A function that returns a data reader."),
        _name(
            "CustomDataReader", "A class. It is looked up when there is no `custom_data_reader`."
        ),
        _name(
            "PredictionOutputsProcessor",
            "`process(predictions, worker_id)`, as before. `process_task(predictions, task)` is "
            "new, and gets whole tasks.",
        ),
        ModelName(
            "prepare_data_for_a_single_file",
            Verdict.WARNING,
            "It was for ElasticDL's Spark script. Use `elasticdl data convert`, or read the source "
            "with a data reader.",
        ),
        ModelName("input_fn", Verdict.REFUSED, "Write `feed`, which takes and returns a dataset."),
        ModelName(
            "learning_rate_scheduler",
            Verdict.REFUSED,
            "Give the optimizer a schedule of `keras.optimizers.schedules`.",
        ),
        ModelName("feature_columns", Verdict.REFUSED, "Decode the records in `feed`."),
        ModelName("label_columns", Verdict.REFUSED, "Decode the records in `feed`."),
        ModelName("input_names", Verdict.REFUSED, "Return a dict of features from `feed`."),
        ModelName("train", Verdict.REFUSED, OWN_LOOP),
    ),
    "In a data reader": (
        _name("__init__", "Gets `data_origin` and `records_per_task` if it takes them, as before."),
        _name("create_shards", "`{name: number}` and lists of `(name, first, number)` work too."),
        _name("read_records", "Must yield just the records asked for; an empty one counts."),
        _name(
            "records_output_types", "`output_signature` is its new name. `tf.string` if left out."
        ),
        _name("metadata"),
        _name("Metadata.column_names"),
        _name("Metadata.column_dtypes", "The types are NumPy's, never MaxCompute's."),
        ModelName(
            "Metadata.get_tf_dtype_from_maxcompute_column",
            Verdict.REFUSED,
            "Look the column up in `metadata.column_dtypes`.",
        ),
        ModelName("default_feed", Verdict.REFUSED, "Write `feed` in the model definition file."),
        ModelName(
            "default_dataset_fn", Verdict.REFUSED, "Write `feed` in the model definition file."
        ),
        _name("task.shard_name, task.start, task.end"),
        _name("task.shard.name, task.shard.start, task.shard.end"),
        _name(
            "task.type", 'Now the string "training", "evaluation" or "prediction", not a number.'
        ),
        ModelName(
            "task.shard.indices", Verdict.REFUSED, "Read `start` to `end`; shuffling comes after."
        ),
        ModelName("task.task_id", Verdict.REFUSED, "A task is known by its shard and range."),
        ModelName("task.model_version", Verdict.REFUSED, "A reader does not depend on the model."),
        ModelName("task.extended_config", Verdict.REFUSED, "Use the reader's parameters."),
    ),
    "Imported from ElasticDL": (
        _import(
            "elasticdl.python.common.constants.Mode",
            "Write `from elasticdl_like.tasks import TaskType as Mode`, or compare with the "
            'strings "training", "evaluation", "prediction", which are the same.',
        ),
        _import(
            "elasticdl.python.common.constants.MaxComputeConfig",
            "Read the environment variables by their names.",
        ),
        _import("elasticdl.python.common.log_utils.default_logger", "Use `logging.getLogger`."),
        _import(
            "elasticdl.python.data.reader.data_reader.AbstractDataReader",
            "Use `elasticdl_like.data_readers.AbstractDataReader`.",
        ),
        _import(
            "elasticdl.python.data.reader.data_reader.Metadata",
            "Use `elasticdl_like.data_readers.Metadata`.",
        ),
        _import(
            "elasticdl.python.data.reader.recordio_reader.RecordIODataReader",
            "It is the default. To wrap it, use `elasticdl_like.data_readers.RecordIODataReader`.",
        ),
        _import(
            "elasticdl.python.data.reader.text_reader.TextDataReader",
            "Write a data reader with `create_shards` and `read_records`.",
        ),
        _import(
            "elasticdl.python.data.reader.odps_reader.ODPSDataReader",
            "Use `--training_data odps://PROJECT/TABLE`; its parameters keep their names.",
        ),
        _import(
            "elasticdl.python.data.reader.odps_reader.ParallelODPSDataReader",
            "Use `--training_data odps://PROJECT/TABLE`, which reads in `num_processes` threads.",
        ),
        _import("elasticdl.python.data.odps_io.ODPSReader", "Use PyODPS."),
        _import(
            "elasticdl.python.data.odps_io.ODPSWriter",
            "Use `elasticdl data convert`, or `elasticdl_like.data_readers.odps.writer`.",
        ),
        _import("elasticdl.python.data.odps_io.is_odps_configured", "Use PyODPS."),
        _import(
            "elasticdl.python.elasticdl.callbacks.LearningRateScheduler",
            "Give the optimizer a schedule of `keras.optimizers.schedules`; Keras' callback of "
            "this name goes by epochs, not by steps.",
        ),
        _import("elasticdl.python.elasticdl.callbacks.MaxStepsStopping", "Use `--max_step`."),
        _import("elasticdl.python.elasticdl.callbacks.SavedModelExporter", "Use `--output`."),
        _import(
            "elasticdl.python.elasticdl.layers.embedding.Embedding",
            "Use `keras.layers.Embedding`; it must fit into the memory of one machine.",
        ),
        _import(
            "elasticdl.python.elasticdl.feature_column",
            "Use Keras' preprocessing layers and `keras.layers.Embedding`.",
        ),
        _import(
            "elasticdl.python.worker.prediction_outputs_processor.BasePredictionOutputsProcessor",
            "Use `elasticdl_like.prediction_outputs.PredictionOutputsProcessor`.",
        ),
        _import(
            "elasticdl_preprocessing",
            "Use Keras' preprocessing layers, such as `Hashing`, `StringLookup`, "
            "`Discretization` and `Normalization`.",
        ),
        _import("elasticai_api", OWN_LOOP),
    ),
}
"""The model-file names by where they occur; a place is a heading of the documentation."""

MODEL_NAMES: tuple[ModelName, ...] = tuple(chain.from_iterable(MODEL_NAMES_BY_PLACE.values()))
"""Every name of the contract between ElasticDL and a model definition file."""
