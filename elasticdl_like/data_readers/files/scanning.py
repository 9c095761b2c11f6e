"""Indexes many files at once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from elasticdl_like.data_readers.files import is_url
from elasticdl_like.data_readers.files.index_cache import FileIndex
from elasticdl_like.data_readers.files.scan_processes import Scan, index_file, index_in_processes

# Files that are far away are waited for, not worked on.
_REMOTE_THREADS = 16

# Helper processes take about 0.2 s to start, which has to be worth it: how long files are indexed
# before that is decided, and for how long it has to go on then.
_ALONE_S = 0.02
_WORTH_S = 0.6

OnIndexed = Callable[[Mapping[str, FileIndex]], None]
"""Called with the indexes so far, which are more each time."""


def index_files(
    names: Sequence[str],
    scan: Scan,
    local_in_threads: bool,
    on_indexed: OnIndexed = lambda found: None,
) -> dict[str, FileIndex]:
    """Returns the indexes of files, in any order.

    Remote files are indexed by many threads. Local ones are by a few, if that is faster than one;
    if not, by helper processes, once it shows that there is much to do.

    Args:
        names: the files.
        scan: indexes one that is open.
        local_in_threads: whether several threads index local files faster than one.
        on_indexed: called with the indexes so far, now and then.

    Raises:
        DataError: a file cannot be indexed.
    """
    processors = os.cpu_count() or 1
    if any(map(is_url, names)):
        return _in_threads(names, scan, _REMOTE_THREADS, on_indexed)
    if local_in_threads and processors > 1:
        return _in_threads(names, scan, processors, on_indexed)
    found: dict[str, FileIndex] = {}
    begin_s = time.monotonic()
    for name in names:
        found[name] = index_file(name, scan)
        on_indexed(found)
        spent_s = time.monotonic() - begin_s
        left_s = spent_s / len(found) * (len(names) - len(found))
        if processors > 1 and spent_s > _ALONE_S and left_s > _WORTH_S:
            break
    if len(found) < len(names):
        index_in_processes(names[len(found) :], scan, processors, found, on_indexed)
    return found


def _in_threads(
    names: Sequence[str], scan: Scan, threads: int, on_indexed: OnIndexed
) -> dict[str, FileIndex]:
    found: dict[str, FileIndex] = {}
    with ThreadPoolExecutor(min(threads, max(len(names), 1)), "index") as executor:
        try:
            indexes = executor.map(lambda name: index_file(name, scan), names)
            for name, index in zip(names, indexes, strict=True):
                found[name] = index
                on_indexed(found)
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise
    return found
