from __future__ import annotations

import os
import subprocess
import sys

from elasticdl_command import eventually
from elasticdl_like.worker.liveness import Silence, cpu_seconds


def test_messages_break_the_silence() -> None:
    silence = Silence(100.0)
    assert silence.length_s(104.0, 0.0) == 4.0
    silence.heard(104.0)
    assert silence.length_s(105.0, 0.0) == 1.0


def test_work_breaks_the_silence_but_looking_at_the_clock_does_not() -> None:
    silence = Silence(100.0)
    assert silence.length_s(104.0, 0.4) == 4.0
    assert silence.length_s(105.0, 0.9) == 0.0
    assert silence.length_s(108.0, 1.3) == 3.0
    assert silence.length_s(109.0, 1.5) == 0.0


def test_what_a_process_computes_is_seen() -> None:
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        eventually(lambda: cpu_seconds(busy.pid) > 0.2, 30)
    finally:
        busy.kill()
        busy.wait()
    assert cpu_seconds(busy.pid) == 0.0
    assert cpu_seconds(os.getpid()) > 0.0
