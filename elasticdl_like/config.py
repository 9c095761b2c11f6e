"""What a job is asked to do, in small frozen dataclasses.

The master holds the one `JobConfig` of a job and gives it to every worker that registers, so that
no two processes can disagree about it. It travels, and is kept, as JSON.
"""

from __future__ import annotations

import ast
import dataclasses
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from elasticdl_like.errors import ConfigError
from elasticdl_like.tasks import TaskType


class DistributionStrategy(StrEnum):
    """How several workers train one model."""

    LOCAL = "Local"
    ALL_REDUCE = "AllReduce"


class JobKind(StrEnum):
    """What a job does with its records."""

    TRAINING = "training"  # trains a model on them
    DATA = "data"  # hands them out to workers of the user's own
    EVALUATION = "evaluation"  # evaluates a trained model on them
    PREDICTION = "prediction"  # predicts something for each of them


@dataclass(frozen=True)
class TlsConfig:
    """The files of an encrypted connection, in PEM format; all "" for none.

    Attributes:
        ca_file: certificates of those whom the other side's certificate may be signed by. With it
            a master demands certificates of its clients.
        cert_file: this side's certificate.
        key_file: its private key.
        workers_name: the name in the certificates of workers, or "" where it is their address.
    """

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    workers_name: str = ""


@dataclass(frozen=True)
class ModelConfig:
    """Where the model definition is, and the names in it.

    Attributes:
        model_zoo: the folder that `model_def` is relative to, an absolute path.
        model_def: `package.module.attribute`, the attribute being the function or class that
            makes the model.
        params: keyword arguments for that attribute.
    """

    model_zoo: str
    model_def: str
    params: Mapping[str, Any] = field(default_factory=dict)
    loss: str = "loss"
    optimizer: str = "optimizer"
    feed: str = "feed"
    feed_batch: str = "feed_batch"
    eval_metrics_fn: str = "eval_metrics_fn"
    callbacks: str = "callbacks"
    prediction_outputs_processor: str = "PredictionOutputsProcessor"


@dataclass(frozen=True)
class DataConfig:
    """The data sets, and how to read them.

    Attributes:
        training_data: origin of the training records.
        validation_data: origin of the validation records, or "" for none.
        prediction_data: origin of the records to predict for, or "" for none.
        custom_data_reader: name of the reader in the model file, or "" for the default names.
        reader_params: keyword arguments for the reader; JSON values.
    """

    training_data: str
    validation_data: str = ""
    prediction_data: str = ""
    custom_data_reader: str = ""
    reader_params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingConfig:
    """How the model is trained.

    Attributes:
        minibatch_size: records in one step of one worker.
        num_minibatches_per_task: minibatches in one task; with the former, the task's records.
        num_epochs: trips over the training data.
        max_step: the last step, or 0 for no limit.
        shuffle: whether tasks, and records inside a task, come in a seeded random order.
        seed: decides every order.
        evaluation_steps: evaluate each so many steps, or 0 for at the end of each epoch.
        log_loss_steps: log the loss each so many steps, or 0 for never.
        read_threads: how many leases a worker reads at once at most; 0 for as suits the machine.
        prefetch_bytes: about how many bytes of records a worker reads ahead.
        max_quarantined_records: how many records that cannot be used the job sets aside before it
            fails.
        global_batch_size: records in one step of all workers together, however many there are; 0
            for `minibatch_size` in each.
        tensorboard_dir: where curves for TensorBoard are written, an absolute path, or "" for
            nowhere.
    """

    minibatch_size: int = 64
    num_minibatches_per_task: int = 8
    num_epochs: int = 1
    max_step: int = 0
    shuffle: bool = True
    seed: int = 0
    evaluation_steps: int = 0
    log_loss_steps: int = 100
    read_threads: int = 0
    prefetch_bytes: int = 1 << 27
    max_quarantined_records: int = 0
    global_batch_size: int = 0
    tensorboard_dir: str = ""

    @property
    def records_per_task(self) -> int:
        """The largest number of records in a task."""
        return self.minibatch_size * self.num_minibatches_per_task


@dataclass(frozen=True)
class WorkersConfig:
    """How many workers train one model together; for `DistributionStrategy.ALL_REDUCE`.

    Attributes:
        num_workers: how many the job begins with.
        min_workers: training waits until there are so many.
        max_workers: the most that the job can be scaled to, or 0 for no limit.
        settle_s: when a worker joins, others have this long to join with it.
        collective_timeout_s: when every member has been in the same collective for this long, they
            do not reach each other, and another round is tried.
    """

    num_workers: int = 1
    min_workers: int = 1
    max_workers: int = 0
    settle_s: float = 1.0
    collective_timeout_s: float = 30.0


@dataclass(frozen=True)
class CheckpointConfig:
    """When checkpoints are written, and where.

    Attributes:
        steps: one each so many steps; 0 for by time, and at each end of an epoch.
        interval_s: when by time, one each so many seconds, or 0 for at ends of epochs only.
        directory: where they go, an absolute path.
        keep_max: how many of the newest are kept, or 0 for all.
        directory_for_init: a checkpoint, or a directory of them, that the weights start from;
            "" for the model's own initial weights.
        resume_from: likewise, but the job goes on where the checkpoint was made: optimizer, step
            and position in the data too.
    """

    steps: int = 0
    interval_s: float = 600.0
    directory: str = ""
    keep_max: int = 3
    directory_for_init: str = ""
    resume_from: str = ""


@dataclass(frozen=True)
class InferenceConfig:
    """The trained model of a job that evaluates or predicts, and where predictions go.

    Attributes:
        model_path: a `.keras` file, an absolute path, or "".
        checkpoint: a checkpoint's directory, an absolute path; in place of `model_path`.
        output: a directory, as an absolute path or a URL, for files of predictions; "" where the
            model definition file's `PredictionOutputsProcessor` takes them.
        output_format: the format of these files: "parquet", "jsonl", "csv" or "recordio".
        keep_columns: columns of the input that are passed through to the output.
    """

    model_path: str = ""
    checkpoint: str = ""
    output: str = ""
    output_format: str = ""
    keep_columns: Sequence[str] = ()


@dataclass(frozen=True)
class JobConfig:
    """Everything that decides what a job does.

    Attributes:
        name: the job's name, for people.
        model: the model definition; None when there is none, which makes it a job of data only.
        output: directory for the trained model, an absolute path, or "" for none.
        distribution_strategy: how several workers train one model.
        kind: what the job does with its records.
        log_level: level of the workers' logs.
        index_dir: where the master keeps indexes of the data, an absolute path, or "" for nowhere.
        workers: how many workers train one model together, or work independently of each other.
        inference: what evaluates or predicts; for jobs of these kinds.
    """

    name: str
    data: DataConfig
    model: ModelConfig | None = None
    training: TrainingConfig = field(default_factory=TrainingConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    output: str = ""
    distribution_strategy: DistributionStrategy = DistributionStrategy.LOCAL
    kind: JobKind = JobKind.TRAINING
    log_level: str = "INFO"
    index_dir: str = ""
    workers: WorkersConfig = field(default_factory=WorkersConfig)
    inference: InferenceConfig = field(default_factory=InferenceConfig)

    @property
    def trains_model(self) -> bool:
        """Whether workers train a model; otherwise they work independently of each other."""
        return self.kind is JobKind.TRAINING

    @property
    def task_type(self) -> TaskType:
        """What the records of the job's epochs are used for."""
        return TaskType.TRAINING if self.kind is JobKind.DATA else TaskType(self.kind)

    @property
    def data_origin(self) -> str:
        """Where the records of the job's epochs come from."""
        match self.task_type:
            case TaskType.EVALUATION:
                return self.data.validation_data
            case TaskType.PREDICTION:
                return self.data.prediction_data
        return self.data.training_data

    @property
    def splits_tasks(self) -> bool:
        """Whether a part of a slow worker's task may go to another one.

        A `PredictionOutputsProcessor` may take the predictions of whole tasks.
        """
        return self.kind is not JobKind.PREDICTION or bool(self.inference.output)

    def to_json(self) -> str:
        """Returns the configuration as one line of JSON."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> JobConfig:
        """Reads what `to_json` wrote.

        Raises:
            ConfigError: the text is not a job configuration, or that of another version.
        """
        try:
            plain = json.loads(text)
            model = plain.pop("model")
            inference = plain.pop("inference", {})
            inference["keep_columns"] = tuple(inference.get("keep_columns", ()))
            return cls(
                model=None if model is None else ModelConfig(**model),
                data=DataConfig(**plain.pop("data")),
                training=TrainingConfig(**plain.pop("training")),
                checkpoint=CheckpointConfig(**plain.pop("checkpoint")),
                workers=WorkersConfig(**plain.pop("workers", {})),
                inference=InferenceConfig(**inference),
                distribution_strategy=DistributionStrategy(plain.pop("distribution_strategy")),
                kind=JobKind(plain.pop("kind")),
                **plain,
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ConfigError(
                f"the job configuration cannot be read ({error}); "
                "use one version of elasticdl for the master and all workers"
            ) from error


def parse_params(text: str, flag: str) -> dict[str, Any]:
    """Parses the parameters for a user's function or class.

    Three forms: `k=v; k2=v2`, a JSON object, or `@file` with either of them inside. A value that
    is a JSON or Python literal becomes that; any other is a string. Nothing is evaluated.

    Args:
        text: the value of the flag.
        flag: its name, for the error message.

    Raises:
        ConfigError: the text does not parse.
    """
    if text.startswith("@"):
        try:
            text = Path(text[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{flag}: cannot read {text[1:]!r}: {error}") from error
    text = text.strip()
    params: dict[str, Any]
    if text.startswith("{"):
        try:
            params = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{flag}: not a JSON object: {error}") from error
    else:
        params = {}
        for assignment in _split_outside_quotes(text, flag):
            name, equals, value = assignment.partition("=")
            name = name.strip()
            if not equals:
                raise ConfigError(f"{flag}: {assignment.strip()!r} is not of the form name=value")
            if name in params:
                raise ConfigError(f"{flag}: {name!r} is given twice")
            params[name] = _parse_literal(value.strip())
    for name in params:
        if not name.isidentifier():
            raise ConfigError(f"{flag}: {name!r} cannot be the name of a parameter")
    return params


def _split_outside_quotes(text: str, flag: str) -> Iterator[str]:
    """Splits at each semicolon and line break that is not inside quotes."""
    start, quote, escaped = 0, "", False
    for index, character in enumerate(text):
        if escaped:
            escaped = False
        elif quote:
            escaped = character == "\\"
            if character == quote:
                quote = ""
        elif character in "'\"" and text[start:index].rstrip()[-1:] in "=[{(,:":
            quote = character  # an apostrophe inside a bare word is not a quote
        elif character in ";\n":
            if text[start:index].strip():
                yield text[start:index]
            start = index + 1
    if quote:
        raise ConfigError(f"{flag}: a {quote} is never closed in {text[start:].strip()!r}")
    if text[start:].strip():
        yield text[start:]


def _parse_literal(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the backslashes of a path
            value = ast.literal_eval(text)
        # The parameters travel as JSON; what JSON cannot hold stays the string that it was.
        return json.loads(json.dumps(value))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return text
