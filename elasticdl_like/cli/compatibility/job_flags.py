"""Flags of ElasticDL that say what a job does, and how it is trained."""

from __future__ import annotations

from collections.abc import Mapping

from elasticdl_like.cli.compatibility.entries import ElasticdlFlag, refused, warning, works
from elasticdl_like.cli.compatibility.reasons import (
    NO_EVALUATORS,
    OWN_LOOP,
    PARAMETER_SERVERS_REFUSED,
)

_IN_FILE = "A name in the model definition file; import there what another file defines."
_NO_PARAMETER_SERVERS = "There are no parameter servers."
_SYNCHRONOUS = "Training is synchronous, so gradients are never stale."
_WORKERS_REPLACED = "A lost worker is always replaced, and that is never a failure of its task."
_CRASHES_COUNTED = "Crashes are counted; see `elasticdl train --max_worker_restarts`."

JOB_FLAGS: Mapping[str, tuple[ElasticdlFlag, ...]] = {
    "Model": (
        works(
            "--model_zoo",
            "A folder of this machine, whose files travel to Kubernetes with the job; there also "
            "one of the image or of a volume.",
        ),
        works("--model_def", "Other files of the model zoo can be imported by the file."),
        works("--model_params", "Literals are parsed, nothing is evaluated."),
        works("--feed", _IN_FILE),
        works("--dataset_fn", "The older name of `--feed`."),
        works("--loss", _IN_FILE),
        works("--optimizer", _IN_FILE),
        works("--eval_metrics_fn", _IN_FILE),
        works("--callbacks", _IN_FILE),
    ),
    "Data": (
        works("--training_data", "RecordIO, or whatever the chosen data reader understands."),
        works("--validation_data", "As `--training_data`."),
        works(
            "--custom_data_reader",
            f"{_IN_FILE} Left out, `custom_data_reader` is looked up, then `CustomDataReader`.",
        ),
        works(
            "--custom_data_reader_params",
            "Reaches master and workers whole: `'k=v; k2=v2'`, JSON or `@file`. Literals are "
            "parsed, nothing is evaluated.",
        ),
        works("--data_reader_params", "The same as `--custom_data_reader_params`."),
    ),
    "Training": (
        works("--minibatch_size", "Records of one worker, as before."),
        works("--num_minibatches_per_task"),
        works("--num_epochs", "1 or more. With 0 or less ElasticDL trained without end."),
        works(
            "--max_step",
            "Training stops at exactly this step. ElasticDL counted whole tasks and went past it.",
        ),
        works("--log_loss_steps"),
        works(
            "--distribution_strategy",
            "`Local`, for one worker, or `AllReduce`; left out, what the number of workers needs. "
            "`AllreduceStrategy` means `AllReduce`. "
            f"`ParameterServerStrategy`, ElasticDL's default, is refused. "
            f"{PARAMETER_SERVERS_REFUSED}",
        ),
        warning(
            "--collective_communicator_service_name",
            "The master tells the workers each other's addresses.",
        ),
    ),
    "Evaluation": (
        works(
            "--evaluation_steps",
            "With 0, the validation data is evaluated at the end of each epoch. ElasticDL then "
            "did not evaluate at all.",
        ),
        warning(
            "--evaluation_start_delay_secs",
            "Evaluation goes by steps and epochs, not by time; see `--evaluation_steps`.",
        ),
        warning(
            "--evaluation_throttle_secs",
            "Evaluation goes by steps and epochs, not by time; see `--evaluation_steps`.",
        ),
        works(
            "--tensorboard_log_dir",
            "The directory gets the curves; TensorBoard itself is not started.",
        ),
    ),
    "Checkpoints and output": (
        works("--output", "A folder. It gets `model.keras` and the SavedModel."),
        works(
            "--checkpoint_steps",
            "With 0, a checkpoint is written every 10 minutes and at the end of each epoch; "
            "ElasticDL then wrote none.",
        ),
        works("--checkpoint_dir"),
        works(
            "--checkpoint_dir_for_init",
            "The weights start from a checkpoint of this project. ElasticDL's checkpoint files "
            "cannot be read. For `evaluate` and `predict` another name of `--checkpoint_dir`, and "
            "no longer required: `elasticdl predict --model_path` takes a `.keras` file.",
        ),
        works("--keep_checkpoint_max", "3 when left out, was 0. 0 keeps all, as before."),
    ),
    "Job and workers": (
        works("--job_name"),
        works(
            "--num_workers",
            "1 when left out, was 2. `elasticdl scale` changes it while the job runs.",
        ),
        works("--log_level"),
        warning(
            "--log_file_path", "The output of each worker is kept in `logs` in the job directory."
        ),
        warning(
            "--populate_env_names",
            "Workers inherit all environment variables of the command; for pods there is `--envs`.",
        ),
        warning("--relaunch_on_worker_failure", f"{_WORKERS_REPLACED} {_CRASHES_COUNTED}"),
        warning(
            "--relaunch_timeout_worker",
            "A worker that stops answering is always taken for lost.",
            is_boolean=True,
        ),
        warning("--task_fault_tolerance", _WORKERS_REPLACED, is_boolean=True),
        warning("--aux_params", "It held settings for debugging ElasticDL's own pods."),
    ),
    "Training loops of one's own": (
        warning(
            "--need_elasticdl_job_service",
            "The master always runs the whole job.",
            is_boolean=True,
        ),
        refused(
            "--need_task_manager",
            "The master always hands out the data.",
            is_boolean=True,
            unless=("true",),
        ),
        refused(
            "--need_pod_manager",
            "`elasticdl train` always starts the workers. Use `elasticdl master` and `elasticdl "
            "worker` to start each process yourself.",
            is_boolean=True,
            unless=("true",),
        ),
        refused("--job_command", OWN_LOOP),
        refused("--need_tf_config", OWN_LOOP, is_boolean=True, unless=("false",)),
        refused("--custom_training_loop", OWN_LOOP, is_boolean=True, unless=("false",)),
        refused(
            "--num_evaluator",
            "The workers evaluate too; there are no other processes for it.",
            unless=("0",),
        ),
        refused("--evaluator_resource_request", NO_EVALUATORS),
        refused("--evaluator_resource_limit", NO_EVALUATORS),
        refused("--chief_resource_request", "There is no chief; all workers are alike."),
        refused("--chief_resource_limit", "There is no chief; all workers are alike."),
    ),
    "Parameter servers": (
        refused("--num_ps_pods", PARAMETER_SERVERS_REFUSED, unless=("0",)),
        refused(
            "--use_async",
            "Training is always synchronous.",
            is_boolean=True,
            unless=("false",),
        ),
        refused(
            "--grads_to_wait",
            "A step always averages the gradients of all workers. For a larger batch in one step "
            "use `--minibatch_size`.",
            unless=("1",),
        ),
        warning("--get_model_steps", "Every worker has the newest weights at each step."),
        warning("--sync_version_tolerance", _SYNCHRONOUS),
        warning("--lr_staleness_modulation", _SYNCHRONOUS, is_boolean=True),
        warning("--use_go_ps", _NO_PARAMETER_SERVERS, is_boolean=True),
        warning("--ps_resource_request", _NO_PARAMETER_SERVERS),
        warning("--ps_resource_limit", _NO_PARAMETER_SERVERS),
        warning("--ps_pod_priority", _NO_PARAMETER_SERVERS),
        warning("--ps_image", _NO_PARAMETER_SERVERS),
    ),
}
"""By theme."""
