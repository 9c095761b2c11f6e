"""Indexes files in several processes: `python -m` this module is a helper.

A helper gets the pickled (scan, names) on its standard input, and writes the pickled
`{name: index}` of what it could index to its standard output.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from elasticdl_like.data_readers.files import RandomAccessFile, open_file
from elasticdl_like.data_readers.files.index_cache import FileIndex
from elasticdl_like.errors import ElasticdlError
from elasticdl_like.sparse_index import SparseIndex

Scan = Callable[[RandomAccessFile], SparseIndex]


def index_file(name: str, scan: Scan) -> FileIndex:
    """Returns the index of one file.

    Raises:
        DataError: it cannot be read, is damaged, or is written to meanwhile.
    """
    with open_file(name) as file:
        index = scan(file)
        file.check_version(file.version)
        return FileIndex(file.version, index)


def index_in_processes(
    names: Sequence[str],
    scan: Scan,
    processes: int,
    found: dict[str, FileIndex],
    on_indexed: Callable[[dict[str, FileIndex]], None],
) -> None:
    """Adds the indexes of files to those that were found before.

    Each process gets a share of the files, this one too. What a helper does not answer, for
    whatever reason, is indexed here, so that errors are raised here as well.

    Args:
        names: the files.
        scan: indexes one that is open.
        processes: how many processes take part.
        found: the indexes so far, which these are added to.
        on_indexed: called with these, now and then.

    Raises:
        DataError: a file cannot be indexed.
    """
    shares = [names[number::processes] for number in range(processes)]
    requests = _requests(scan, [share for share in shares[1:] if share])
    helpers: list[subprocess.Popen[bytes]] = []
    with ThreadPoolExecutor(processes, "index") as executor:
        try:
            helpers += [_start_helper() for _ in requests]
            # Their answers are more than a pipe holds, and have to be read meanwhile.
            answers = list(map(executor.submit, [_ask] * len(helpers), helpers, requests))
            for name in shares[0]:
                found[name] = index_file(name, scan)
                on_indexed(found)
            for answer in answers:
                found.update(answer.result())
                on_indexed(found)
        finally:
            for helper in helpers:
                helper.kill()
    for name in names:
        if name not in found:
            found[name] = index_file(name, scan)
            on_indexed(found)


def _start_helper() -> subprocess.Popen[bytes]:
    # Not with `multiprocessing`, which would run the main script of the user again.
    return subprocess.Popen(
        [sys.executable, "-m", "elasticdl_like.data_readers.files.scan_processes"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


def _requests(scan: Scan, shares: Sequence[Sequence[str]]) -> list[bytes]:
    """Returns what the helpers are asked; nothing if they could not know the format."""
    try:
        return [pickle.dumps((scan, share)) for share in shares]
    except (pickle.PicklingError, AttributeError, TypeError):
        return []


def _ask(helper: subprocess.Popen[bytes], request: bytes) -> dict[str, FileIndex]:
    stored, _ = helper.communicate(request)
    answer: dict[str, FileIndex] = {} if helper.returncode else pickle.loads(stored)
    return answer


def _help() -> None:
    scan, names = pickle.load(sys.stdin.buffer)
    found: dict[str, FileIndex] = {}
    for name in names:
        try:
            found[name] = index_file(name, scan)
        except ElasticdlError:
            continue  # the process that asked finds it, too
    pickle.dump(found, sys.stdout.buffer)


if __name__ == "__main__":
    _help()
