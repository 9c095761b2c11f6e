"""The flags of a job: their names and help, and the configuration that they make."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from elasticdl_like.cli.compatibility.flags import FLAGS
from elasticdl_like.cli.elasticdl_flags import elasticdl_flags
from elasticdl_like.cli.flag import Command, option, together
from elasticdl_like.cli.flag_groups import (
    input_options,
    log_options,
    loss_option,
    metrics_option,
    place_options,
    reader_options,
    safety_options,
    task_options,
)
from elasticdl_like.cli.worker_flags import (
    batch_options,
    batch_sizes,
    distribution_strategy,
    workers_config,
    workers_options,
)
from elasticdl_like.config import (
    CheckpointConfig,
    DataConfig,
    DistributionStrategy,
    JobConfig,
    JobKind,
    ModelConfig,
    TrainingConfig,
    parse_params,
)
from elasticdl_like.errors import ConfigError
from elasticdl_like.job_directory import JobDirectory
from elasticdl_like.model_file import check_model_def
from elasticdl_like.secret_params import given_openly, hide_secrets

_positive_range = click.IntRange(min=1)
_count_range = click.IntRange(min=0)
NAME_PREFIXES: Mapping[JobKind, str] = {
    JobKind.TRAINING: "",
    JobKind.EVALUATION: "evaluate-",
    JobKind.PREDICTION: "predict-",
}
"""What a job without a --job_name is called, followed by the name of its model file."""

_MODEL_NAMES = (
    *("loss", "optimizer", "feed", "feed_batch", "eval_metrics_fn", "callbacks"),
    "prediction_outputs_processor",
)

_required_training_data = option(
    "--training_data",
    required=True,
    help="The training data: a file, a directory, or what the data reader takes.",
)
_optional_training_data = option(
    "--training_data",
    default="",
    help="The training data: a file, a directory, or what the data reader takes. Required without "
    "--resume.",
)

_other_job_options = together(
    option("--validation_data", default="", help="The validation data, likewise."),
    input_options,
    loss_option,
    option("--optimizer", default="optimizer", help="Name of the optimizer function."),
    metrics_option,
    option("--callbacks", default="callbacks", help="Name of the function that returns callbacks."),
    batch_options,
    task_options,
    option("--num_epochs", type=_positive_range, default=1, help="Passes over the training data."),
    option(
        "--max_step", type=_count_range, default=0, help="Stop after this step; 0 for no limit."
    ),
    option(
        "--shuffle/--no-shuffle",
        default=True,
        help="Whether the training data comes in a random order, decided by --seed.",
    ),
    option("--seed", type=int, default=0, help="Decides every random order."),
    workers_options,
    place_options,
    option("--output", default="", help="Directory for the trained model."),
    option(
        "--checkpoint_steps",
        type=_count_range,
        default=0,
        help="Write a checkpoint each so many steps; 0 for by time, as --checkpoint_minutes says, "
        "and at the end of each epoch.",
    ),
    option(
        "--checkpoint_minutes",
        type=click.FloatRange(min=0),
        default=10.0,
        help="Without --checkpoint_steps, write a checkpoint each so many minutes and at the end "
        "of each epoch; 0 for only at the end of each epoch.",
    ),
    option(
        "--checkpoint_dir",
        default="",
        help="Directory for the checkpoints; by default JOB_DIR/checkpoints.",
    ),
    option(
        "--checkpoint_dir_for_init",
        default="",
        help="Start from the weights of this checkpoint, or of the newest in this directory.",
    ),
    option(
        "--resume_from",
        default="",
        help="Go on in a new job directory from this checkpoint, or from the newest in this "
        "directory: weights, optimizer, step and position in the data. The same command with the "
        "same job directory goes on without it.",
    ),
    option(
        "--keep_checkpoint_max",
        type=_count_range,
        default=3,
        help="Checkpoints to keep, the newest; 0 for all.",
    ),
    option(
        "--evaluation_steps",
        type=_count_range,
        default=0,
        help="Evaluate each so many steps; 0 for at the end of each epoch.",
    ),
    option(
        "--log_loss_steps",
        type=_count_range,
        default=100,
        help="Log the loss each so many steps; 0 for never.",
    ),
    option(
        "--tensorboard_dir",
        "--tensorboard_log_dir",
        default="",
        help="Directory for curves of the training, for TensorBoard: loss, learning rate and steps "
        "per second each --log_loss_steps steps, means at each end of an epoch, and the metrics of "
        "each evaluation.",
    ),
    safety_options,
    log_options,
)


def job_options(*, can_resume: bool = False) -> Callable[[Command], Command]:
    """Returns every flag of a job, and ElasticDL's other flags, which say what became of them.

    Args:
        can_resume: whether the command has --resume, with which nothing else is required.
    """
    training_data = _optional_training_data if can_resume else _required_training_data
    return together(reader_options, training_data, _other_job_options, elasticdl_flags(FLAGS))


def make_job_config(flags: Mapping[str, Any], data_only: bool = False) -> JobConfig:
    """Returns the configuration that the flags of a job ask for.

    Args:
        flags: every flag of a job.
        data_only: whether a job with a model definition file only takes its data reader.

    Raises:
        ConfigError: a flag has a value that cannot be used.
        ModelDefinitionError: there is no such model definition file.
    """
    model = model_with_names(flags)
    name = flags["job_name"] or (check_model_def(model).stem if model else "job")
    directory = job_directory_path(flags, name)
    if flags["resume_from"] and flags["checkpoint_dir_for_init"]:
        raise ConfigError(
            "--resume_from and --checkpoint_dir_for_init both say where the weights start from; "
            "use one of them"
        )
    workers = workers_config(flags)
    strategy = distribution_strategy(flags["distribution_strategy"], workers)
    data_only = data_only or model is None
    if data_only and strategy is not DistributionStrategy.LOCAL:
        raise ConfigError(
            "--num_workers, --max_workers and AllReduce are for a job that trains a model; without "
            "--model_def, or with --data_only, any number of workers can take part"
        )
    minibatch_size, global_batch_size = batch_sizes(flags, workers)
    return JobConfig(
        name=name,
        model=model,
        data=data_config(flags, flags["training_data"], flags["validation_data"]),
        training=TrainingConfig(
            minibatch_size=minibatch_size,
            num_minibatches_per_task=flags["num_minibatches_per_task"],
            num_epochs=flags["num_epochs"],
            max_step=flags["max_step"],
            shuffle=flags["shuffle"],
            seed=flags["seed"],
            evaluation_steps=flags["evaluation_steps"],
            log_loss_steps=flags["log_loss_steps"],
            read_threads=flags["read_threads"],
            prefetch_bytes=flags["prefetch_bytes"],
            max_quarantined_records=flags["max_quarantined_records"],
            global_batch_size=global_batch_size,
            tensorboard_dir=absolute(flags["tensorboard_dir"]),
        ),
        checkpoint=CheckpointConfig(
            steps=flags["checkpoint_steps"],
            interval_s=60.0 * flags["checkpoint_minutes"],
            directory=str(
                Path(flags["checkpoint_dir"] or JobDirectory(directory).checkpoints).absolute()
            ),
            keep_max=flags["keep_checkpoint_max"],
            directory_for_init=absolute(flags["checkpoint_dir_for_init"]),
            resume_from=absolute(flags["resume_from"]),
        ),
        output=absolute(flags["output"]),
        distribution_strategy=strategy,
        kind=JobKind.DATA if data_only else JobKind.TRAINING,
        log_level=flags["log_level"].upper(),
        index_dir=absolute(flags["index_dir"]) or str(JobDirectory(directory).index),
        workers=workers,
    )


def job_directory_path(flags: Mapping[str, Any], job_name: str) -> Path:
    """Returns the job directory that the flags name."""
    return Path(flags["job_dir"] or Path("jobs", job_name)).absolute()


def data_config(
    flags: Mapping[str, Any], training_data: str, validation_data: str = ""
) -> DataConfig:
    """Returns the data sets, and how to read them.

    Raises:
        ConfigError: the reader parameters do not parse, or hold secrets for all to see.
    """
    params = parse_params(flags["custom_data_reader_params"], "--custom_data_reader_params")
    _refuse_secrets_on_command_line(flags["custom_data_reader_params"], params)
    if flags["odps_retry_timeout"] is not None:
        params["retry_timeout"] = flags["odps_retry_timeout"]
    return DataConfig(
        training_data=training_data,
        validation_data=validation_data,
        custom_data_reader=flags["custom_data_reader"],
        reader_params=hide_secrets(params),
    )


def _refuse_secrets_on_command_line(text: str, params: Mapping[str, Any]) -> None:
    context = click.get_current_context(silent=True)
    if context is None or text.startswith("@"):
        return
    source = context.get_parameter_source("custom_data_reader_params")
    secrets = given_openly(params)
    if secrets and source is click.core.ParameterSource.COMMANDLINE:
        raise ConfigError(
            f"--custom_data_reader_params: {', '.join(secrets)} on the command line can be read "
            "by everyone on this machine, with ps; put the parameters in a file that only you can "
            "read, and give @FILE, or name an environment variable: "
            f"{secrets[0]}=env:NAME"
        )


def model_config(flags: Mapping[str, Any]) -> ModelConfig | None:
    """Returns where the model definition file is, or None when no flag names one.

    Raises:
        ConfigError: only one of the two flags is there.
    """
    if not flags["model_zoo"] and not flags["model_def"]:
        return None
    for name in ("model_zoo", "model_def"):
        if not flags[name]:
            raise ConfigError(f"--{name} is missing; --model_zoo and --model_def go together")
    return ModelConfig(model_zoo=absolute(flags["model_zoo"]), model_def=flags["model_def"])


def model_with_names(flags: Mapping[str, Any]) -> ModelConfig | None:
    """Returns the model definition and the names in it, as far as the command has flags for them.

    Returns:
        The model definition, or None when no flag names one.

    Raises:
        ConfigError: only one of --model_zoo and --model_def is there, or the parameters of the
            model do not parse.
    """
    model = model_config(flags)
    if model is None:
        return None
    return dataclasses.replace(
        model,
        params=parse_params(flags["model_params"], "--model_params"),
        **{name: flags[name] for name in _MODEL_NAMES if name in flags},
    )


def absolute(path: str) -> str:
    """Returns a path as an absolute one; "" stays that."""
    return str(Path(path).absolute()) if path else ""
