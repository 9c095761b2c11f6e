"""Indexes files in several processes: `python -m` this module is a helper.

A helper gets the pickled scan on its standard input, and then one pickled list of names after the
other. It writes a pickled `{}` to its standard output when it is ready, and then for each list the
`{name: index}` of what it could index.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from queue import SimpleQueue
from typing import IO

from elasticdl_like.data_readers.files import RandomAccessFile, open_file
from elasticdl_like.data_readers.files.index_cache import FileIndex
from elasticdl_like.errors import ElasticdlError
from elasticdl_like.sparse_index import SparseIndex

Scan = Callable[[RandomAccessFile], SparseIndex]
_Indexes = dict[str, FileIndex]


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
    found: _Indexes,
    on_indexed: Callable[[_Indexes], None],
) -> None:
    """Adds the indexes of files to those that were found before.

    Each process takes of what is left whenever it is ready for more, this one too. What a helper
    does not answer, for whatever reason, is indexed here, so that errors are raised here as well.

    Args:
        names: the files.
        scan: indexes one that is open.
        processes: how many processes take part.
        found: the indexes so far, which these are added to.
        on_indexed: called with these, now and then.

    Raises:
        DataError: a file cannot be indexed.
    """
    work = _Work(names, 4 * processes)
    request = _request(scan)
    with ExitStack() as stack:
        for _ in range(min(processes, len(names)) - 1 if request else 0):
            stack.callback(_Helper(request, work).close)
        while (name := work.take_one()) is not None:
            found[name] = index_file(name, scan)
            found.update(work.answers(wait=False))
            on_indexed(found)
        found.update(work.answers(wait=True))
        on_indexed(found)
    for name in names:
        if name not in found:
            found[name] = index_file(name, scan)
            on_indexed(found)


class _Work:
    """The files that nobody has taken yet, and the answers of the helpers. Thread-safe.

    Args:
        names: the files.
        shares: a helper takes one of so many parts of what is left: many files, so that it asks
            rarely, but few in the end, so that nobody waits long for it.
    """

    def __init__(self, names: Sequence[str], shares: int) -> None:
        self._left = deque(names)
        self._shares = shares
        self._lock = threading.Lock()
        self._unanswered = 0
        self._answers: SimpleQueue[_Indexes] = SimpleQueue()

    def take_one(self) -> str | None:
        """Returns a file that is nobody else's, or None if there is none left."""
        with self._lock:
            return self._left.popleft() if self._left else None

    def take_list(self) -> list[str]:
        """Returns files that are nobody else's; after them `answer` has to be called."""
        with self._lock:
            count = min(max(len(self._left) // self._shares, 1), len(self._left))
            self._unanswered += count > 0
            return [self._left.popleft() for _ in range(count)]

    def answer(self, indexes: _Indexes) -> None:
        """Takes the indexes for the files of a list, those that were found."""
        self._answers.put(indexes)

    def answers(self, wait: bool) -> _Indexes:
        """Returns the indexes that were answered since the last call.

        Args:
            wait: whether to wait for those of all lists that were taken.
        """
        indexes: _Indexes = {}
        while not self._answers.empty() or (wait and self._unanswered):
            indexes.update(self._answers.get())
            with self._lock:
                self._unanswered -= 1
        return indexes


class _Helper:
    """A process that indexes files, and a thread that gives it lists of them until none are left.

    Args:
        request: what it gets first.
        work: where the lists come from, and the answers go.
    """

    def __init__(self, request: bytes, work: _Work) -> None:
        # Not with `multiprocessing`, which would run the main script of the user again.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "elasticdl_like.data_readers.files.scan_processes"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        self._thread = threading.Thread(target=self._ask, args=(request, work), name="index")
        self._thread.start()

    def close(self) -> None:
        """Ends both."""
        self._process.kill()
        self._thread.join()
        with suppress(BrokenPipeError), self._process:
            pass

    def _ask(self, request: bytes, work: _Work) -> None:
        # When it ends too early, there is no answer, or half of one.
        with suppress(OSError, EOFError, pickle.UnpicklingError):
            self._exchange(request)
            while names := work.take_list():
                indexes: _Indexes = {}
                try:
                    indexes = self._exchange(pickle.dumps(names))
                finally:
                    work.answer(indexes)

    def _exchange(self, message: bytes) -> _Indexes:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(message)
        stdin.flush()
        answer: _Indexes = pickle.load(stdout)
        return answer


def _request(scan: Scan) -> bytes:
    """Returns what helpers are asked first; nothing if they could not know the format."""
    try:
        return pickle.dumps(scan)
    except (pickle.PicklingError, AttributeError, TypeError):
        return b""


def _help(questions: IO[bytes], answers: IO[bytes]) -> None:
    scan = pickle.load(questions)
    found: _Indexes = {}
    while True:
        pickle.dump(found, answers)
        answers.flush()
        found = {}
        try:
            names = pickle.load(questions)
        except EOFError:
            return
        for name in names:
            # The process that asked finds the error, too.
            with suppress(ElasticdlError):
                found[name] = index_file(name, scan)


if __name__ == "__main__":
    _help(sys.stdin.buffer, sys.stdout.buffer)
