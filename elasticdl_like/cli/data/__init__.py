"""`elasticdl data`: looks at data sets, measures and checks them, and converts them."""

from __future__ import annotations

import click

from elasticdl_like.cli.data.bench import bench
from elasticdl_like.cli.data.check import check
from elasticdl_like.cli.data.convert import convert
from elasticdl_like.cli.data.head import head
from elasticdl_like.cli.data.index import index
from elasticdl_like.cli.data.inspect import inspect

__all__ = ["data"]


@click.group()
def data() -> None:
    """Looks at data sets, measures and checks them, and converts them.

    A SOURCE is a file, a directory, a URL, a pattern in quotes, several of these with commas in
    between, or whatever your own data reader takes.
    """


for command in (inspect, head, convert, index, bench, check):
    data.add_command(command)
