"""The command `elasticdl`: its subcommands, and how it fails.

An error is one line on standard error and an exit code that is not 0: 2 for flags that cannot be
understood, 1 for everything else, 130 after Ctrl-C, 143 for a worker that is told to end.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import traceback
from collections.abc import Iterable
from types import FrameType
from typing import NoReturn

import click

from elasticdl_like import __version__
from elasticdl_like.cli import evaluate, job, jobs, master_pod, predict, report, service, train, zoo
from elasticdl_like.cli.data import data
from elasticdl_like.errors import ElasticdlError

# gRPC would print a line about forking each time that a process is started.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
# TensorFlow, where a model definition file imports it, would print what it was built with.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# What gRPC logs by itself, in a format of its own, is raised as well, and then said once.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="elasticdl")
def elasticdl() -> None:
    """Trains on machines that come and go, counting every record of every epoch exactly once."""


for command in (
    train.train,
    evaluate.evaluate,
    predict.predict,
    service.master,
    service.worker,
    master_pod.master_pod,
    job.ledger,
    job.status,
    job.scale,
    jobs.jobs,
    jobs.logs,
    jobs.stop,
    report.report,
    zoo.zoo,
    data,
):
    elasticdl.add_command(command)


def main() -> NoReturn:
    """Runs the command line of this process, and exits."""
    # A scheduler's way of saying Ctrl-C, and that of a terminal that is closed; not under nohup.
    signal.signal(signal.SIGTERM, _raise_interrupt)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _raise_interrupt)
    try:
        exit_code = elasticdl.main(standalone_mode=False)
        sys.exit(exit_code if isinstance(exit_code, int) else 0)
    except (KeyboardInterrupt, click.Abort):
        _say("interrupted")
        sys.exit(130)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(error.exit_code)
    except click.UsageError as error:
        if isinstance(error, click.NoSuchOption) and error.ctx and error.possibilities:
            near = _without_hidden(error.ctx, error.possibilities)
            error = click.NoSuchOption(error.option_name, possibilities=near, ctx=error.ctx)
        hint = f" (see '{error.ctx.command_path} --help')" if error.ctx else ""
        _say(f"error: {error.format_message()}{hint}")
        sys.exit(error.exit_code)
    except click.ClickException as error:
        _say(f"error: {error.format_message()}")
        sys.exit(error.exit_code)
    except ElasticdlError as error:
        if logging.getLogger().isEnabledFor(logging.DEBUG):
            traceback.print_exc()
        _say(f"error: {error}")
        sys.exit(1)


def _without_hidden(context: click.Context, names: Iterable[str]) -> list[str]:
    hidden = {
        name
        for parameter in context.command.params
        if isinstance(parameter, click.Option) and parameter.hidden
        for name in parameter.opts
    }
    return [name for name in names if name not in hidden]


def _raise_interrupt(signal_number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    click.echo(f"elasticdl: {text}", err=True)
