"""Has an agent under test pass points, where no model file is loaded.

Python runs this at its start where the directory is on PYTHONPATH. It does nothing in processes
other than agents, and there nothing before the modules that it changes are imported.
"""

import importlib.abc
import importlib.util
import os
import sys


def _change_server(module):
    chunks = module._chunks

    def chunks_with_point(file, offset):
        for chunk in chunks(file, offset):
            yield chunk
            _point("sending state")

    module._chunks = chunks_with_point


def _change_fetch(module):
    from faults.chaos.points import with_point

    with_point(module.StateFetch, "run", lambda *_: _point("fetching state"))


def _change_client(module):
    from faults.chaos.points import with_point

    with_point(module.MasterClient, "rendezvous", lambda *_: _point("in rendezvous"))


def _point(name):
    from faults.chaos.points import pass_point

    pass_point(name, None, os.getpid())


class _Watcher(importlib.abc.MetaPathFinder):
    """Calls a function with each watched module once it has been imported."""

    def __init__(self, watched):
        self._watched = watched

    def find_spec(self, name, path, target=None):
        change = self._watched.pop(name, None)
        if change is None:
            return None
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def execute_and_change(module):
            execute(module)
            change(module)

        spec.loader.exec_module = execute_and_change
        return spec


if "worker" in sys.orig_argv and "--worker_id" in sys.orig_argv:
    sys.meta_path.insert(
        0,
        _Watcher(
            {
                "elasticdl_like.worker.state_server": _change_server,
                "elasticdl_like.worker.state_client": _change_fetch,
                "elasticdl_like.worker.master_client": _change_client,
            }
        ),
    )
