"""What the network does to the calls between workers and master."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class NetworkFault(StrEnum):
    """One way in which a call goes wrong."""

    # The master never sees the request, and the worker is told at once.
    REQUEST_DROPPED = "request dropped"
    # The master never sees the request, and the worker waits until its own deadline.
    REQUEST_SWALLOWED = "request swallowed"
    # The master acted, and the worker never hears of it.
    REPLY_CUT = "reply cut"
    # The request arrives late.
    DELAYED = "delayed"
    # The request arrives twice, at about the same time.
    DUPLICATED = "duplicated"
    # The request arrives once more when it is long forgotten.
    DUPLICATED_LATE = "duplicated late"
    # The worker gives the request up and repeats it, and the first copy arrives after the second.
    REORDERED = "reordered"


@dataclass(frozen=True)
class NetworkPlan:
    """How likely each fault is for one call, and how late a late message is.

    Attributes:
        rates: a probability for each fault; their sum is at most 1.
        longest_delay_s: of a delayed request.
        longest_echo_s: of a copy that comes again.
    """

    rates: Mapping[NetworkFault, float]
    longest_delay_s: float
    longest_echo_s: float

    def draw(self, chance: random.Random) -> NetworkFault | None:
        """Returns what happens to the next call, or None when it gets through."""
        value = chance.random()
        for fault, rate in self.rates.items():
            value -= rate
            if value < 0:
                return fault
        return None


def make_network_plan(chance: random.Random) -> NetworkPlan:
    """Draws a network: sometimes a good one, sometimes one with several kinds of faults."""
    if chance.random() < 0.15:
        return NetworkPlan({}, 0.0, 0.0)
    worst = chance.choice([0.01, 0.03, 0.06])
    kinds = [kind for kind in NetworkFault if kind is not NetworkFault.REQUEST_SWALLOWED]
    rates: dict[NetworkFault, float] = dict.fromkeys(
        chance.sample(kinds, chance.randint(2, len(kinds))), worst
    )
    if chance.random() < 0.2:
        # Each costs the worker its whole deadline of some seconds.
        rates[NetworkFault.REQUEST_SWALLOWED] = 0.003
    return NetworkPlan(rates, chance.choice([0.02, 0.2]), chance.choice([0.3, 1.5]))
