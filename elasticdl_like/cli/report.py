"""`elasticdl report`: the page of the window on a job as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from elasticdl_like.cli.connection import tls_config, tls_options
from elasticdl_like.cli.status_source import StatusSource
from elasticdl_like.errors import ConfigError, JobDirectoryError
from elasticdl_like.job_directory import JobDirectory


@click.command()
@click.argument("job_dir", type=click.Path(path_type=Path))
# Without the environment variable of most flags: that of --output names where a model goes.
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default="report.html",
    show_default=True,
    help="The file to write; one that is there is overwritten.",
)
@tls_options
def report(job_dir: Path, output: Path, **tls_flags: Any) -> None:
    """Writes the status page of a job into one file, which any browser shows.

    The job may be running or over. The file loads nothing from anywhere, and secrets are left out
    of it.
    """
    from elasticdl_like.window.report import load_documents, make_report

    if not JobDirectory(job_dir).has_job():
        raise JobDirectoryError(f"there is no job in {job_dir}; name a job's --job_dir")
    status = StatusSource(str(job_dir), "", tls_config(tls_flags)).ask()
    content = make_report(load_documents(job_dir, status)).encode()
    try:
        output.write_bytes(content)
    except OSError as error:
        raise ConfigError(f"--output {output} cannot be written: {error.strerror}") from error
    click.echo(f"{output}: job {status['job']}, {status['state']}, {len(content):,} bytes")
