"""The flags that jobs of several kinds have, in groups that go together."""

from __future__ import annotations

import click

from elasticdl_like.cli.flag import option, together

_positive_range = click.IntRange(min=1)
_count_range = click.IntRange(min=0)

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

input_options = together(
    option(
        "--model_params",
        default="",
        help="Arguments for the model: 'name=value; name=value', JSON, or @file.",
    ),
    option("--feed", "--dataset_fn", default="feed", help="Name of the feed function."),
    option("--feed_batch", default="feed_batch", help="Name of the feed_batch function."),
)

loss_option = option("--loss", default="loss", help="Name of the loss function.")

metrics_option = option(
    "--eval_metrics_fn",
    default="eval_metrics_fn",
    help="Name of the function that returns the metrics.",
)

task_options = together(
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
)

place_options = together(
    option(
        "--job_name", default="", help="Name of the job; by default from that of the model file."
    ),
    option(
        "--job_dir",
        default="",
        help="Directory for the job's state, ledger and logs; by default jobs/JOB_NAME.",
    ),
)

safety_options = together(
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
        help="Remove an earlier job from --job_dir, or from --job_volume the one of this name, "
        "instead of going on with it.",
    ),
    option(
        "--journal_sync",
        type=click.Choice(["normal", "full"]),
        default="normal",
        help="What the job's journal survives: a kill of the master, or, slower, a loss of power.",
    ),
)
