from __future__ import annotations

import subprocess
import sys

from elasticdl_like.worker.file_pages import unchanged_file_areas

_SMAPS = """\
1000-3000 r-xp 00000000 fe:00 1 /lib/a library.so
Rss:      8 kB
Anonymous:                0 kB
3000-4000 r--p 00002000 fe:00 1 /lib/a library.so
Anonymous:                4 kB
VmFlags: rd mr
4000-5000 rw-p 00003000 fe:00 1 /lib/a library.so
Anonymous:                0 kB
5000-6000 r--s 00000000 fe:00 2 /shared
Anonymous:                0 kB
6000-7000 r--p 00000000 00:00 0
Anonymous:                0 kB
7000-8000 r-xp 00000000 00:00 0 [vdso]
Anonymous:                0 kB
8000-a000 r--p 00000000 fe:00 3 /lib/b.so
Anonymous:                0 kB
"""


def test_only_pages_that_are_as_in_their_file_are_given_back() -> None:
    areas = list(unchanged_file_areas(_SMAPS.splitlines()))
    assert areas == [(0x1000, 0x3000), (0x8000, 0xA000)]


def test_a_process_goes_on_without_its_pages() -> None:
    script = """
import numpy, ssl, sys
from elasticdl_like.worker.file_pages import give_back_file_pages
give_back_file_pages()
numpy.linalg.inv(numpy.eye(50))
ssl.create_default_context()
import sqlite3
print("alive")
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert ended.stdout == b"alive\n"
