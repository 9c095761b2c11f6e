"""What becomes of each command-line flag and each model-file name of ElasticDL.

Data only. The command line reads it to say why a flag is refused or has no effect, and
`docs/from_elasticdl.md` is made from it. The names are those of ElasticDL's whole history, from
its first job flags of April 2019 to its last commit of January 2024, and of its tutorials. Flags
that were spelled with hyphens until May 2019 are listed under their later spelling.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain


class Verdict(StrEnum):
    """What happens to a name of ElasticDL."""

    WORKS = "works"
    WARNING = "warning"  # accepted, and has no effect
    REFUSED = "refused"


_TRUE_WORDS = ("true", "yes", "t", "y")


@dataclass(frozen=True)
class ElasticdlFlag:
    """A command-line flag of ElasticDL.

    Attributes:
        name: the flag, with its two dashes.
        verdict: what happens to it here.
        note: works: what differs, or "" when nothing does; warning: why it has no effect;
            refused: the reason, and what to use instead. Whole sentences.
        is_boolean: whether the value may be left out, which means true. Of the values, "true",
            "yes", "t" and "y" mean true and all others false.
        harmless_values: values of a refused flag that ask for what happens here anyway.
        commands: the commands or processes of ElasticDL that took it. "train" stands for
            `evaluate` and `predict` too.
    """

    name: str
    verdict: Verdict
    note: str = ""
    is_boolean: bool = False
    harmless_values: tuple[str, ...] = ()
    commands: tuple[str, ...] = ("train",)

    def verdict_of(self, value: str | None) -> Verdict:
        """Returns what happens to the flag with this value; None is a boolean's left-out value."""
        if self.is_boolean:
            is_true = value is None or value.lower() in _TRUE_WORDS
            value = "true" if is_true else "false"
        return Verdict.WORKS if value in self.harmless_values else self.verdict

    @property
    def message(self) -> str:
        """What a user who gives the flag is told, or "" for nothing."""
        match self.verdict:
            case Verdict.WARNING:
                return f"{self.name} has no effect. {self.note}"
            case Verdict.REFUSED:
                return f"{self.name} is not supported. {self.note}"
            case _:
                return ""


@dataclass(frozen=True)
class ModelName:
    """A name that ElasticDL's model definition files define, use or import.

    Attributes:
        name: the name.
        verdict: what happens to it here.
        note: as for `ElasticdlFlag`.
    """

    name: str
    verdict: Verdict
    note: str = ""


PARAMETER_SERVERS_REFUSED = (
    "There are no parameter servers here. Use AllReduce; an embedding must fit into the memory of "
    "one machine."
)
"""Why `ParameterServerStrategy` is refused, and what to use instead."""


def _works(name: str, note: str = "", *, commands: tuple[str, ...] = ("train",)) -> ElasticdlFlag:
    return ElasticdlFlag(name, Verdict.WORKS, note, commands=commands)


def _warning(
    name: str, note: str, *, is_boolean: bool = False, commands: tuple[str, ...] = ("train",)
) -> ElasticdlFlag:
    return ElasticdlFlag(name, Verdict.WARNING, note, is_boolean, commands=commands)


def _refused(
    name: str,
    note: str,
    *,
    is_boolean: bool = False,
    unless: tuple[str, ...] = (),
    commands: tuple[str, ...] = ("train",),
) -> ElasticdlFlag:
    return ElasticdlFlag(name, Verdict.REFUSED, note, is_boolean, unless, commands)


def _image(
    name: str, *, is_boolean: bool = False, commands: tuple[str, ...] = ("train",)
) -> ElasticdlFlag:
    reason = "No image is built for a job; give one that is there with `--image_name`."
    return _refused(name, reason, is_boolean=is_boolean, commands=commands)


def _evaluator(name: str) -> ElasticdlFlag:
    return _refused(name, "The workers evaluate too; there are no other pods for it.")


def _part_of(name: str, flag: str, example: str) -> ElasticdlFlag:
    return _refused(name, f"It is part of `{flag}` now, as in `{example}`.")


def _renamed(
    name: str, new_name: str, note: str = "", *, commands: tuple[str, ...] = ("train",)
) -> ElasticdlFlag:
    return _refused(name, f"Its present name is `{new_name}`. {note}".strip(), commands=commands)


_IN_FILE = "A name in the model definition file; import there what another file defines."
_OWN_LOOP = (
    "The training loop is that of this project. Write a model definition file and leave the loop "
    "to it."
)
_NO_PARAMETER_SERVERS = "There are no parameter servers."
_SYNCHRONOUS = "Training is synchronous, so gradients are never stale."
_WORKERS_REPLACED = "A lost worker is always replaced, and that is never a failure of its task."
_CRASHES_COUNTED = "Crashes are counted; see `elasticdl train --max_worker_restarts`."

FLAGS_BY_THEME: Mapping[str, tuple[ElasticdlFlag, ...]] = {
    "Model": (
        _works(
            "--model_zoo",
            "A folder of this machine, whose files travel to Kubernetes with the job; there also "
            "one of the image or of a volume.",
        ),
        _works("--model_def", "Other files of the model zoo can be imported by the file."),
        _works("--model_params", "Literals are parsed, nothing is evaluated."),
        _works("--feed", _IN_FILE),
        _works("--dataset_fn", "The older name of `--feed`."),
        _works("--loss", _IN_FILE),
        _works("--optimizer", _IN_FILE),
        _works("--eval_metrics_fn", _IN_FILE),
        _works("--callbacks", _IN_FILE),
    ),
    "Data": (
        _works("--training_data", "RecordIO, or whatever the chosen data reader understands."),
        _works("--validation_data", "As `--training_data`."),
        _works(
            "--custom_data_reader",
            f"{_IN_FILE} Left out, `custom_data_reader` is looked up, then `CustomDataReader`.",
        ),
        _works(
            "--custom_data_reader_params",
            "Reaches master and workers whole: `'k=v; k2=v2'`, JSON or `@file`. Literals are "
            "parsed, nothing is evaluated.",
        ),
        _works("--data_reader_params", "The same as `--custom_data_reader_params`."),
    ),
    "Training": (
        _works("--minibatch_size", "Records of one worker, as before."),
        _works("--num_minibatches_per_task"),
        _works("--num_epochs", "1 or more. With 0 or less ElasticDL trained without end."),
        _works(
            "--max_step",
            "Training stops at exactly this step. ElasticDL counted whole tasks and went past it.",
        ),
        _works("--log_loss_steps"),
        _works(
            "--distribution_strategy",
            "`Local`, for one worker, or `AllReduce`; left out, what the number of workers needs. "
            "`AllreduceStrategy` means `AllReduce`. "
            f"`ParameterServerStrategy`, ElasticDL's default, is refused. "
            f"{PARAMETER_SERVERS_REFUSED}",
        ),
        _warning(
            "--collective_communicator_service_name",
            "The master tells the workers each other's addresses.",
        ),
    ),
    "Evaluation": (
        _works(
            "--evaluation_steps",
            "With 0, the validation data is evaluated at the end of each epoch. ElasticDL then "
            "did not evaluate at all.",
        ),
        _warning(
            "--evaluation_start_delay_secs",
            "Evaluation goes by steps and epochs, not by time; see `--evaluation_steps`.",
        ),
        _warning(
            "--evaluation_throttle_secs",
            "Evaluation goes by steps and epochs, not by time; see `--evaluation_steps`.",
        ),
        _works(
            "--tensorboard_log_dir",
            "The directory gets the curves; TensorBoard itself is not started.",
        ),
    ),
    "Checkpoints and output": (
        _works("--output", "A folder. It gets `model.keras` and the SavedModel."),
        _works(
            "--checkpoint_steps",
            "With 0, a checkpoint is written every 10 minutes and at the end of each epoch; "
            "ElasticDL then wrote none.",
        ),
        _works("--checkpoint_dir"),
        _works(
            "--checkpoint_dir_for_init",
            "The weights start from a checkpoint of this project. ElasticDL's checkpoint files "
            "cannot be read. For `evaluate` and `predict` another name of `--checkpoint_dir`, and "
            "no longer required: `elasticdl predict --model_path` takes a `.keras` file.",
        ),
        _works("--keep_checkpoint_max", "3 when left out, was 0. 0 keeps all, as before."),
    ),
    "Job and workers": (
        _works("--job_name"),
        _works(
            "--num_workers",
            "1 when left out, was 2. `elasticdl scale` changes it while the job runs.",
        ),
        _works("--log_level"),
        _warning(
            "--log_file_path", "The output of each worker is kept in `logs` in the job directory."
        ),
        _warning(
            "--populate_env_names",
            "Workers inherit all environment variables of the command; for pods there is `--envs`.",
        ),
        _warning("--relaunch_on_worker_failure", f"{_WORKERS_REPLACED} {_CRASHES_COUNTED}"),
        _warning(
            "--relaunch_timeout_worker",
            "A worker that stops answering is always taken for lost.",
            is_boolean=True,
        ),
        _warning("--task_fault_tolerance", _WORKERS_REPLACED, is_boolean=True),
        _warning("--aux_params", "It held settings for debugging ElasticDL's own pods."),
    ),
    "Training loops of one's own": (
        _warning(
            "--need_elasticdl_job_service",
            "The master always runs the whole job.",
            is_boolean=True,
        ),
        _refused(
            "--need_task_manager",
            "The master always hands out the data.",
            is_boolean=True,
            unless=("true",),
        ),
        _refused(
            "--need_pod_manager",
            "`elasticdl train` always starts the workers. Use `elasticdl master` and `elasticdl "
            "worker` to start each process yourself.",
            is_boolean=True,
            unless=("true",),
        ),
        _refused("--job_command", _OWN_LOOP),
        _refused("--need_tf_config", _OWN_LOOP, is_boolean=True, unless=("false",)),
        _refused("--custom_training_loop", _OWN_LOOP, is_boolean=True, unless=("false",)),
        _refused(
            "--num_evaluator",
            "The workers evaluate too; there are no other processes for it.",
            unless=("0",),
        ),
        _evaluator("--evaluator_resource_request"),
        _evaluator("--evaluator_resource_limit"),
        _refused("--chief_resource_request", "There is no chief; all workers are alike."),
        _refused("--chief_resource_limit", "There is no chief; all workers are alike."),
    ),
    "Parameter servers": (
        _refused("--num_ps_pods", PARAMETER_SERVERS_REFUSED, unless=("0",)),
        _refused(
            "--use_async",
            "Training is always synchronous.",
            is_boolean=True,
            unless=("false",),
        ),
        _refused(
            "--grads_to_wait",
            "A step always averages the gradients of all workers. For a larger batch in one step "
            "use `--minibatch_size`.",
            unless=("1",),
        ),
        _warning("--get_model_steps", "Every worker has the newest weights at each step."),
        _warning("--sync_version_tolerance", _SYNCHRONOUS),
        _warning("--lr_staleness_modulation", _SYNCHRONOUS, is_boolean=True),
        _warning("--use_go_ps", _NO_PARAMETER_SERVERS, is_boolean=True),
        _warning("--ps_resource_request", _NO_PARAMETER_SERVERS),
        _warning("--ps_resource_limit", _NO_PARAMETER_SERVERS),
        _warning("--ps_pod_priority", _NO_PARAMETER_SERVERS),
        _warning("--ps_image", _NO_PARAMETER_SERVERS),
    ),
    "Kubernetes": (
        _works("--image_name", "With `--platform kubernetes`, as all flags of this table."),
        _works("--worker_image"),
        _works("--image_pull_policy", "`IfNotPresent` when left out, was `Always`."),
        _works(
            "--restart_policy",
            "Of the master: `OnFailure` when left out, or `Never`. Lost workers are always "
            "replaced, by new pods.",
        ),
        _works("--namespace"),
        _works("--master_resource_request"),
        _works(
            "--master_resource_limit",
            "What is requested when left out, as before, but as much of the processors as is idle.",
        ),
        _works("--worker_resource_request"),
        _works("--worker_resource_limit", "As `--master_resource_limit`."),
        _works("--master_pod_priority"),
        _works(
            "--worker_pod_priority",
            "With `high=0.5` the rest has the cluster's default priority, was `low`; write "
            "`high=0.5,low`. The value `0.5` alone is refused.",
        ),
        _works("--volume", "`sub_path` and `read_only` are new."),
        _works("--envs", "Kept in a Secret; JSON and `@file` are new."),
        _works(
            "--cluster_spec",
            "YAML or JSON merge patches of `pod`, `master_pod`, `worker_pod` and `service`; Python "
            "is not run.",
        ),
        _works("--cluster_spec_json", "As `--cluster_spec`; `pod_spec` and its like are refused."),
        _refused("--yaml", "Use `elasticdl train --dry_run -o yaml`, which prints it."),
        _warning(
            "--force_use_kube_config_file",
            "The kubeconfig is used wherever there is one.",
            is_boolean=True,
        ),
    ),
    "Docker images": (
        _image("--image_base"),
        _image("--extra_pypi_index", commands=("train", "zoo")),
        _image("--docker_image_repository", commands=("train", "clean")),
        _image("--docker_image_prefix"),
        _image("--docker_base_url", commands=("train", "zoo", "clean")),
        _image("--docker_tlscert", commands=("train", "zoo", "clean")),
        _image("--docker_tlskey", commands=("train", "zoo", "clean")),
        _image("--push_image", is_boolean=True),
        _image("--repository"),
        _image("--image", commands=("zoo",)),
        _image("--base_image", commands=("zoo",)),
        _image("--local_pkg_dir", commands=("zoo",)),
        _image("--all", is_boolean=True, commands=("clean",)),
    ),
    "Prediction": (
        _works("--prediction_data", "As `--training_data`.", commands=("predict",)),
        _works(
            "--prediction_outputs_processor",
            "`elasticdl predict --prediction_output` is new, and writes files instead.",
            commands=("predict",),
        ),
    ),
    "Processes of a job": (
        _works(
            "--master_addr",
            "A flag of `elasticdl worker`, for a worker that is started by hand.",
            commands=("worker", "ps"),
        ),
        _refused(
            "--port",
            "The master of `elasticdl train` picks a free port and tells its workers.",
            commands=("master", "ps"),
        ),
        _refused("--worker_id", "The master numbers the workers.", commands=("worker",)),
        _refused("--job_type", "The command says it.", commands=("worker",)),
        _refused("--task_type", "The master says it with each task.", commands=("worker",)),
        _refused("--ps_id", PARAMETER_SERVERS_REFUSED, commands=("ps",)),
        _refused("--ps_addrs", PARAMETER_SERVERS_REFUSED, commands=("worker",)),
        _refused("--opt_type", PARAMETER_SERVERS_REFUSED, commands=("ps",)),
        _refused("--opt_args", PARAMETER_SERVERS_REFUSED, commands=("ps",)),
        _refused("--embedding_service_endpoint", PARAMETER_SERVERS_REFUSED, commands=("worker",)),
    ),
    "Names that ElasticDL gave up": (
        _renamed("--model_file", "--model_def", "It takes the form `package.module.function`."),
        _renamed("--model_class", "--model_def", "It takes the form `package.module.Class`."),
        _renamed("--input_fn", "--feed", "The function takes and returns a `tf.data.Dataset`."),
        _refused("--codec_type", "Decode the records in `feed`."),
        _refused("--codec_file", "Decode the records in `feed`."),
        _refused(
            "--learning_rate_scheduler",
            "Give the optimizer a schedule of `keras.optimizers.schedules`.",
        ),
        _renamed("--num_epoch", "--num_epochs"),
        _renamed("--num_worker", "--num_workers"),
        _refused(
            "--record_per_task",
            "Use `--num_minibatches_per_task`: the records of a task, divided by the minibatch "
            "size.",
        ),
        _refused(
            "--records_per_task",
            "Use `--num_minibatches_per_task`: the records of a task, divided by the minibatch "
            "size.",
        ),
        _renamed("--train_data_dir", "--training_data"),
        _renamed("--training_data_dir", "--training_data"),
        _renamed("--evaluation_data", "--validation_data"),
        _renamed("--evaluation_data_dir", "--validation_data"),
        _renamed("--prediction_data_dir", "--prediction_data", commands=("predict",)),
        _renamed("--evaluate_steps", "--evaluation_steps"),
        _renamed(
            "--init_from_checkpoint", "--checkpoint_dir_for_init", "It takes a folder, not a file."
        ),
        _renamed(
            "--checkpoint_filename_for_init",
            "--checkpoint_dir_for_init",
            "It takes a folder, not a file.",
        ),
        _part_of("--volume_name", "--volume", "claim_name=data,mount_path=/data"),
        _part_of("--volumn_name", "--volume", "claim_name=data,mount_path=/data"),
        _part_of("--mount_path", "--volume", "claim_name=data,mount_path=/data"),
        _part_of("--master_cpu_request", "--master_resource_request", "cpu=1"),
        _part_of("--master_cpu_limit", "--master_resource_limit", "cpu=1"),
        _part_of("--master_memory_request", "--master_resource_request", "memory=4Gi"),
        _part_of("--master_memory_limit", "--master_resource_limit", "memory=4Gi"),
        _part_of("--worker_cpu_request", "--worker_resource_request", "cpu=1"),
        _part_of("--worker_cpu_limit", "--worker_resource_limit", "cpu=1"),
        _part_of("--worker_memory_request", "--worker_resource_request", "memory=4Gi"),
        _part_of("--worker_memory_limit", "--worker_resource_limit", "memory=4Gi"),
        _evaluator("--eval_cpu_request"),
        _evaluator("--eval_cpu_limit"),
        _evaluator("--eval_memory_request"),
        _evaluator("--eval_memory_limit"),
        _evaluator("--eval_pod_priority"),
    ),
}
"""The flags by theme; a theme is a heading of the documentation."""

_NOTHING_TRAINED = "Nothing is trained."
_ONLY_TRAINING = "Only `elasticdl train` runs on Kubernetes; this command runs on this machine."

NOT_FOR_INFERENCE: tuple[ElasticdlFlag, ...] = (
    _warning("--optimizer", _NOTHING_TRAINED),
    _warning("--callbacks", _NOTHING_TRAINED),
    _warning("--checkpoint_steps", _NOTHING_TRAINED),
    _warning("--keep_checkpoint_max", _NOTHING_TRAINED),
    _warning("--distribution_strategy", "Workers do not need each other here."),
    _refused("--output", "No model is trained. Predictions go to `--prediction_output`."),
    *(
        _refused(flag.name, _ONLY_TRAINING)
        for flag in FLAGS_BY_THEME["Kubernetes"]
        if flag.verdict is Verdict.WORKS
    ),
)
"""Flags that ElasticDL's `evaluate` and `predict` took, and that only `train` has use for."""

NOT_FOR_PREDICTION: tuple[ElasticdlFlag, ...] = (
    _warning("--loss", "Nothing is compared with labels."),
    _warning("--eval_metrics_fn", "Nothing is compared with labels."),
)
"""Flags that ElasticDL's `predict` took, and that only `train` and `evaluate` have use for."""

FLAGS: tuple[ElasticdlFlag, ...] = tuple(chain.from_iterable(FLAGS_BY_THEME.values()))
"""Every flag that ElasticDL ever had for a job, and those of its other commands."""


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
        ModelName("train", Verdict.REFUSED, _OWN_LOOP),
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
        _import("elasticai_api", _OWN_LOOP),
    ),
}
"""The model-file names by where they occur; a place is a heading of the documentation."""

MODEL_NAMES: tuple[ModelName, ...] = tuple(chain.from_iterable(MODEL_NAMES_BY_PLACE.values()))
"""Every name of the contract between ElasticDL and a model definition file."""
