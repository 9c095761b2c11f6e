"""The flags of a job: their names and help, and the configuration that they make."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from elasticdl_like.cli.compatibility import FLAGS, ElasticdlFlag, Verdict
from elasticdl_like.cli.flag import Command, option, together
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

log_options = together(
    option(
        "--log_level",
        type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"], case_sensitive=False),
        default="INFO",
        metavar="[DEBUG|INFO|WARNING|ERROR]",
        help="How much is logged. DEBUG also shows the traceback of an error.",
    ),
    option(
        "--log_format",
        type=click.Choice(["text", "json"]),
        default="text",
        help="Log lines and progress as text, or as one JSON object a line.",
    ),
)

reader_options = together(
    option("--model_zoo", help="Folder of model definition files."),
    option(
        "--model_def",
        help="The function or class that makes the model, as package.module.name below the "
        "model zoo.",
    ),
    option(
        "--custom_data_reader",
        default="",
        help="Name of the data reader in the model definition file. Without it "
        "custom_data_reader and CustomDataReader are looked for.",
    ),
    option(
        "--custom_data_reader_params",
        "--data_reader_params",
        default="",
        help="Arguments for the data reader: 'name=value; name=value', JSON, or @file. "
        "reader_type=NAME chooses one of the readers that are there.",
    ),
    option(
        "--odps_retry_timeout",
        type=click.FloatRange(min=0, min_open=True),
        default=None,
        help="Seconds for which a request to MaxCompute may fail before it is given up; 300 by "
        "default.",
    ),
    option(
        "--index_dir",
        default="",
        help="Directory for indexes of the data, which several jobs may share; a job's default is "
        "JOB_DIR/index.",
    ),
)

_positive_range = click.IntRange(min=1)
_count_range = click.IntRange(min=0)

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
    option(
        "--model_params",
        default="",
        help="Arguments for the model: 'name=value; name=value', JSON, or @file.",
    ),
    option("--feed", "--dataset_fn", default="feed", help="Name of the feed function."),
    option("--feed_batch", default="feed_batch", help="Name of the feed_batch function."),
    option("--loss", default="loss", help="Name of the loss function."),
    option("--optimizer", default="optimizer", help="Name of the optimizer function."),
    option(
        "--eval_metrics_fn",
        default="eval_metrics_fn",
        help="Name of the function that returns the metrics.",
    ),
    option("--callbacks", default="callbacks", help="Name of the function that returns callbacks."),
    batch_options,
    option(
        "--num_minibatches_per_task",
        type=_positive_range,
        default=8,
        help="Minibatches in one task, the unit that is leased to a worker.",
    ),
    option(
        "--read_threads",
        type=_count_range,
        default=0,
        help="Leases that a worker reads at once, at most, if the data reader can; 0 for as many "
        "as it has processors, up to 8.",
    ),
    option(
        "--prefetch_bytes",
        type=_positive_range,
        default=1 << 27,
        help="About how many bytes of records a worker reads ahead.",
    ),
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
    option("--job_name", default="", help="Name of the job; by default that of the model file."),
    option(
        "--job_dir",
        default="",
        help="Directory for the job's state, ledger and logs; by default jobs/JOB_NAME.",
    ),
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
        "--max_quarantined_records",
        type=_count_range,
        default=0,
        help="Records that cannot be used and are set aside, before the job fails. `elasticdl "
        "ledger` lists them.",
    ),
    option(
        "--allow_changed_data",
        is_flag=True,
        help="Go on although the data is not what it was when the job was cut off.",
    ),
    option(
        "--overwrite",
        is_flag=True,
        help="Remove an earlier job from --job_dir, instead of going on with it.",
    ),
    option(
        "--journal_sync",
        type=click.Choice(["normal", "full"]),
        default="normal",
        help="What the job's journal survives: a kill of the master, or, slower, a loss of power.",
    ),
    log_options,
)


def job_options(*, can_resume: bool = False) -> Callable[[Command], Command]:
    """Returns every flag of a job, and ElasticDL's other flags, which say what became of them.

    Args:
        can_resume: whether the command has --resume, with which nothing else is required.
    """

    def decorate(command: Command) -> Command:
        for flag in FLAGS:
            if flag.verdict is not Verdict.WORKS:
                command = _compatibility_option(flag)(command)
        training_data = _optional_training_data if can_resume else _required_training_data
        return together(reader_options, training_data, _other_job_options)(command)

    return decorate


def make_job_config(flags: Mapping[str, Any], data_only: bool = False) -> JobConfig:
    """Returns the configuration that the flags of a job ask for.

    Args:
        flags: every flag of a job.
        data_only: whether a job with a model definition file only takes its data reader.

    Raises:
        ConfigError: a flag has a value that cannot be used.
        ModelDefinitionError: there is no such model definition file.
    """
    model = _model_config(flags)
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
        ),
        checkpoint=CheckpointConfig(
            steps=flags["checkpoint_steps"],
            interval_s=60.0 * flags["checkpoint_minutes"],
            directory=str(
                Path(flags["checkpoint_dir"] or JobDirectory(directory).checkpoints).absolute()
            ),
            keep_max=flags["keep_checkpoint_max"],
            directory_for_init=_absolute(flags["checkpoint_dir_for_init"]),
            resume_from=_absolute(flags["resume_from"]),
        ),
        output=_absolute(flags["output"]),
        distribution_strategy=strategy,
        kind=JobKind.DATA if data_only else JobKind.TRAINING,
        log_level=flags["log_level"].upper(),
        index_dir=_absolute(flags["index_dir"]) or str(JobDirectory(directory).index),
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
    return ModelConfig(model_zoo=_absolute(flags["model_zoo"]), model_def=flags["model_def"])


def _model_config(flags: Mapping[str, Any]) -> ModelConfig | None:
    model = model_config(flags)
    if model is None:
        return None
    return ModelConfig(
        model_zoo=model.model_zoo,
        model_def=model.model_def,
        params=parse_params(flags["model_params"], "--model_params"),
        loss=flags["loss"],
        optimizer=flags["optimizer"],
        feed=flags["feed"],
        feed_batch=flags["feed_batch"],
        eval_metrics_fn=flags["eval_metrics_fn"],
        callbacks=flags["callbacks"],
    )


def _absolute(path: str) -> str:
    return str(Path(path).absolute()) if path else ""


def _compatibility_option(flag: ElasticdlFlag) -> Callable[[Command], Command]:
    def check(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
        if value is None or context.resilient_parsing:
            return
        match flag.verdict_of(value):
            case Verdict.REFUSED:
                raise ConfigError(flag.message)
            case Verdict.WARNING:
                click.echo(f"elasticdl: warning: {flag.message}", err=True)

    boolean: dict[str, Any] = {"is_flag": False, "flag_value": "true"} if flag.is_boolean else {}
    return click.option(
        flag.name,
        f"elasticdl_{flag.name.lstrip('-')}",
        hidden=True,
        expose_value=False,
        callback=check,
        default=None,
        **boolean,
    )
