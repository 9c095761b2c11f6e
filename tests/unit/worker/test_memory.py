from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# What reading does: large pieces of memory, each given back before the next is taken.
FAULTS = """
import resource, sys
from elasticdl_like.worker.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
bytearray(8 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    bytearray(8 << 20)[:] = b"x" * (8 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(mode: str) -> int:
    return int(subprocess.check_output([sys.executable, "-c", FAULTS, mode], text=True))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_memory_that_was_freed_is_not_faulted_in_again() -> None:
    assert page_faults("keep") < page_faults("as it is") / 4
