"""What an agent and its zygote say to each other, one datagram each."""

from __future__ import annotations

import struct

READY = b"ready"
"""From the zygote, once: it has imported what trainers need."""

FORK = b"fork"
"""To the zygote, with an open socket: fork the trainer that has that end of its connection."""

PID = struct.Struct("!q")
"""From the zygote, in answer: the process id of the trainer."""
