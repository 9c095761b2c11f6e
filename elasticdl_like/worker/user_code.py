"""Errors that come out of a user's functions, in one line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from elasticdl_like.errors import ElasticdlError, ModelDefinitionError
from elasticdl_like.worker.blocks import Piece


@contextmanager
def explained(what: str, pieces: Sequence[Piece] = ()) -> Iterator[None]:
    """Turns what a user's function, or TensorFlow inside it, raises into an error of ours.

    Args:
        what: the function.
        pieces: the records that it was given, if they are known.
    """
    try:
        yield
    except ElasticdlError:
        raise
    except Exception as error:
        given = f" on {' and '.join(map(str, pieces))}" if pieces else ""
        raise ModelDefinitionError(f"{what} failed{given}: {_in_one_line(error)}") from error


def _in_one_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if lines and lines[0] == "in user code:":
        return lines[-1]  # AutoGraph's form: the stack, then the error
    if lines and lines[0] == "Graph execution error:":
        # TensorFlow's form where a graph was called: where its nodes are from, then the error.
        indented = (" ", "\t")
        flush_left = [line for line in str(error).splitlines() if not line.startswith(indented)]
        lines = [line for line in flush_left[1:] if line and not line.startswith("Detected at ")]
    # TensorFlow's form: {{the node}} message, then more about the node.
    message = re.sub(r"^(\{\{.*?\}\}\s*)+", "", lines[0]) if lines else ""
    return f"{type(error).__name__}: {message}"
