"""The flags of the jobs that use a trained model, and the configuration that they make."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from elasticdl_like.cli.compatibility.flags import FLAGS
from elasticdl_like.cli.compatibility.inference_flags import NOT_FOR_INFERENCE
from elasticdl_like.cli.elasticdl_flags import elasticdl_flags
from elasticdl_like.cli.flag import Command, option, together
from elasticdl_like.cli.flag_groups import (
    input_options,
    log_options,
    place_options,
    reader_options,
    safety_options,
    task_options,
)
from elasticdl_like.cli.kubernetes_flags import platform_options
from elasticdl_like.cli.local_job import local_job_options
from elasticdl_like.cli.options import (
    NAME_PREFIXES,
    absolute,
    data_config,
    job_directory_path,
    model_with_names,
)
from elasticdl_like.cli.pod_paths import is_sent
from elasticdl_like.cli.worker_flags import DEFAULT_MINIBATCH_SIZE
from elasticdl_like.config import (
    InferenceConfig,
    JobConfig,
    JobKind,
    ModelConfig,
    TrainingConfig,
    WorkersConfig,
)
from elasticdl_like.data_readers.files import is_url
from elasticdl_like.errors import ConfigError
from elasticdl_like.job_directory import JobDirectory
from elasticdl_like.model_file import check_model_def, names_in_model_file
from elasticdl_like.platforms.kubernetes.volumes import parse_volumes

FORMATS = ("parquet", "jsonl", "csv", "recordio")
"""The formats of files of predictions; the first is taken where none is named."""

_model_options = together(
    option("--model_path", default="", help="The trained model, a .keras file."),
    option(
        "--checkpoint_dir",
        "--checkpoint_dir_for_init",
        default="",
        help="A checkpoint of the trained model, or a directory whose newest is taken, in place of "
        "--model_path; the model definition file makes the model.",
    ),
)

_run_options = together(
    option(
        "--minibatch_size",
        type=click.IntRange(min=1),
        default=DEFAULT_MINIBATCH_SIZE,
        help="Records that go through the model at once.",
    ),
    task_options,
    option(
        "--num_workers",
        type=click.IntRange(min=1),
        default=1,
        help="Workers that share the records, independently of each other.",
    ),
    place_options,
    safety_options,
    log_options,
    elasticdl_flags([*FLAGS, *NOT_FOR_INFERENCE]),
)


def inference_options(
    data: Callable[[Command], Command], *others: Callable[[Command], Command]
) -> Callable[[Command], Command]:
    """Returns the flags of a job that uses a trained model.

    Args:
        data: the flag that names the records.
        others: flags that only this kind of job has.
    """
    return together(
        local_job_options,
        reader_options,
        data,
        _model_options,
        input_options,
        *others,
        _run_options,
        platform_options,
    )


def make_inference_config(flags: Mapping[str, Any], kind: JobKind) -> JobConfig:
    """Returns the configuration that the flags of such a job ask for.

    On this machine the trained model exists. On Kubernetes that is for the master to find out, as
    only the pods see it.

    Args:
        flags: every flag of `inference_options`.
        kind: EVALUATION or PREDICTION.

    Raises:
        ConfigError: a flag has a value that cannot be used, or flags contradict each other.
        ModelDefinitionError: there is no such model definition file.
    """
    model = model_with_names(flags)
    if model is None:
        raise ConfigError(
            "--model_zoo and --model_def are missing; the model definition file says how records "
            "become what the model takes"
        )
    name = flags["job_name"] or f"{NAME_PREFIXES[kind]}{check_model_def(model).stem}"
    directory = JobDirectory(job_directory_path(flags, name))
    inference = _trained_model(flags)
    data = data_config(flags, "")
    if kind is JobKind.PREDICTION:
        data = replace(data, prediction_data=flags["prediction_data"])
        inference = _with_output(inference, flags, model)
    else:
        data = replace(data, validation_data=flags["validation_data"])
    config = JobConfig(
        name=name,
        kind=kind,
        model=model,
        data=data,
        training=TrainingConfig(
            minibatch_size=flags["minibatch_size"],
            num_minibatches_per_task=flags["num_minibatches_per_task"],
            shuffle=False,
            read_threads=flags["read_threads"],
            prefetch_bytes=flags["prefetch_bytes"],
            max_quarantined_records=flags["max_quarantined_records"],
        ),
        log_level=flags["log_level"].upper(),
        index_dir=absolute(flags["index_dir"]) or str(directory.index),
        workers=WorkersConfig(num_workers=flags["num_workers"]),
        inference=inference,
    )
    if _in_pods(flags):
        return config
    # Not at the top: the help must not wait for the master's parts.
    from elasticdl_like.master.trained_model import with_trained_model

    return with_trained_model(config, directory, flags["overwrite"])


def _in_pods(flags: Mapping[str, Any]) -> bool:
    return bool(flags["platform"] == "kubernetes")


def _sends_model_zoo(flags: Mapping[str, Any]) -> bool:
    return is_sent(flags["model_zoo"], parse_volumes(flags["volume"], "--volume"))


def _trained_model(flags: Mapping[str, Any]) -> InferenceConfig:
    """Returns where the trained model is to be found."""
    model_path, checkpoint = flags["model_path"], flags["checkpoint_dir"]
    if model_path and checkpoint:
        raise ConfigError(
            f"--model_path {model_path} and --checkpoint_dir {checkpoint} both name a trained "
            "model; use one of them"
        )
    if checkpoint:
        return InferenceConfig(checkpoint=absolute(checkpoint))
    if not model_path:
        raise ConfigError(
            "--model_path is missing; it names the trained model, a .keras file (or give "
            "--checkpoint_dir)"
        )
    path = Path(absolute(model_path))
    if path.suffix != ".keras":
        raise ConfigError(
            f"--model_path {model_path} is not a .keras file; `elasticdl train --output DIR` "
            "writes DIR/model.keras, and --checkpoint_dir takes checkpoints"
        )
    return InferenceConfig(model_path=str(path))


def _with_output(
    inference: InferenceConfig, flags: Mapping[str, Any], model: ModelConfig
) -> InferenceConfig:
    """Adds where the predictions go: into files, or to the processor of the model file."""
    output, format_, processor = (
        flags[name]
        for name in ("prediction_output", "prediction_format", "prediction_outputs_processor")
    )
    # Where only the pods see the model definition file, a worker says if it has no processor.
    is_seen = not _in_pods(flags) or _sends_model_zoo(flags)
    file = check_model_def(model) if is_seen else model.model_def
    has_processor = bool(processor) and (not is_seen or processor in names_in_model_file(model))
    if output and has_processor and is_seen:
        raise ConfigError(
            f"--prediction_output {output} and {processor} in {file} both take "
            "the predictions; leave --prediction_output out, or give "
            "--prediction_outputs_processor '' for files"
        )
    if output:
        chosen = format_ or FORMATS[0]
        if not _in_pods(flags):
            _check_packages(output, chosen)
        return replace(
            inference,
            output=output if is_url(output) else absolute(output.removeprefix("file://")),
            output_format=chosen,
            keep_columns=_columns(flags["keep_columns"]),
        )
    for name in ("prediction_format", "keep_columns"):
        if flags[name]:
            raise ConfigError(
                f"--{name} {flags[name]} is for files of predictions; name their folder with "
                "--prediction_output"
            )
    if not has_processor:
        raise ConfigError(
            "--prediction_output is missing, and "
            f"{file} has no {processor or 'PredictionOutputsProcessor'}; "
            "predictions need a folder, or a processor, to go to"
        )
    return inference


def _columns(text: str) -> Sequence[str]:
    names = [name.strip() for name in text.split(",")] if text else []
    for name in names:
        if not name:
            raise ConfigError(
                f"--keep_columns {text!r} has an empty name; names are joined by commas"
            )
        if names.count(name) > 1:
            raise ConfigError(f"--keep_columns {text!r} names {name!r} twice")
        if name in ("shard", "index"):
            raise ConfigError(
                f"--keep_columns {text!r}: every output has a column {name!r} already, of the "
                "framework; rename that of the data"
            )
    return tuple(names)


def _check_packages(output: str, output_format: str) -> None:
    """Makes sure that what the output needs is installed here."""
    from elasticdl_like.data_readers.extras import import_extra
    from elasticdl_like.data_readers.files.remote import file_system

    if output_format == "parquet" and importlib.util.find_spec("pyarrow") is None:
        import_extra("pyarrow", "arrow", "writing Parquet")
    if is_url(output):
        file_system(output)
