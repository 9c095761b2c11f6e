"""Makes the wall clock of this process jump by hours, back and forth, all the time.

Python runs this at its start where the directory is on PYTHONPATH. gRPC gets the real time: it
turns it into time of the kernel's clock, which does not jump along. The file that CHAOS_CLOCK names
gets a byte from each process that has seen a jump.
"""

import os
import sys
import time

_real_time = time.time
_HOUR_S = 3600.0
_PERIOD_S = 0.3
_seen = set()


def _jumping_time():
    now_s = _real_time()
    if sys._getframe(1).f_globals.get("__name__", "").startswith("grpc"):
        return now_s
    hours = (int(time.monotonic() / _PERIOD_S) * 7919) % 13 - 6
    _seen.add(hours)
    if len(_seen) == 2:
        _seen.add(None)
        with open(os.environ["CHAOS_CLOCK"], "ab") as file:  # noqa: PTH123 - quicker to import
            file.write(b".")
    return now_s + _HOUR_S * hours


time.time = _jumping_time
time.time_ns = lambda: int(_jumping_time() * 1e9)
