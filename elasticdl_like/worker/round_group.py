"""The members of a round, who make each step of a model together."""

from __future__ import annotations

import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from elasticdl_like.rounds import StepUse
from elasticdl_like.tasks import Interval
from elasticdl_like.worker.group import Share, StepResult
from elasticdl_like.worker.model_state import pack_state, unpack_state
from elasticdl_like.worker.peers import Peers
from elasticdl_like.worker.plain_values import decode_value, encode_value
from elasticdl_like.worker.shared_step import SharedStep, spread_seeds
from elasticdl_like.worker.step_header import (
    INLINE_INTERVALS,
    Header,
    decode_headers,
    decode_intervals,
    encode_header,
    encode_intervals,
    header_size,
)
from elasticdl_like.worker.train_step import TrainStep

# When no member has anything to train on for the moment.
_FIRST_PAUSE_S = 0.002
_LONGEST_PAUSE_S = 0.05


class RoundGroup:
    """The members of a round; `prepare` is called once the model has its variables.

    Between two steps, and all the time that a member waits for the others, `finished` gives the
    state of the model as it is after the last finished step, also to another thread.

    Args:
        peers: the members.
        step: computes loss and gradients.
        first_step: the last finished step when the round begins.
        stop_asked: tells whether the round is to end after the next step.
    """

    in_round = True

    def __init__(
        self, peers: Peers, step: TrainStep, first_step: int, stop_asked: Callable[[], bool]
    ) -> None:
        self._peers = peers
        self._step = step
        self._stop_asked = stop_asked
        self._lock = threading.Lock()
        self._finished_step = first_step
        self._uses: deque[StepUse] = deque()
        self._shared: SharedStep | None = None
        self._pause_s = _FIRST_PAUSE_S

    @property
    def is_chief(self) -> bool:
        return self._peers.is_chief

    @property
    def finished_step(self) -> int:
        """The last step that this member has finished."""
        return self._finished_step

    @contextmanager
    def finished(self) -> Iterator[tuple[int, Sequence[StepUse]]]:
        """Yields the last finished step, and the uses of those that the master may not know of.

        As long as the context lasts, no step is applied: the model is as it is after that step.
        """
        with self._lock:
            yield self._finished_step, tuple(self._uses)

    def prepare(self, element_spec: Any) -> None:
        """Gets ready for the steps of a model that has its variables.

        Args:
            element_spec: the `tf.TypeSpec` of batches, `(features, labels[, weights])`.

        Raises:
            ModelDefinitionError: the step cannot be made of such batches.
        """
        self._shared = SharedStep(
            self._step, element_spec, header_size(self._peers.size), self._peers
        )

    def run_step(self, share: Share) -> StepResult:
        shared = self._shared
        if shared is None:
            raise RuntimeError("prepare has not been called")
        peers = self._peers
        header = Header(share.intervals, self._stop_asked(), share.halts, share.ended)
        numbers = encode_header(header, peers.rank, peers.size)
        tail, summed, rows = shared.exchange(share.data, numbers)
        headers = decode_headers(tail[-numbers.size :], peers.size)
        weight = float(tail[0])
        applied = not headers.num_halts and weight > 0
        if applied:
            intervals: Sequence[Interval] = headers.intervals
            if max(headers.num_intervals) > INLINE_INTERVALS:
                own = encode_intervals(share.intervals, peers.rank, headers.num_intervals)
                intervals = decode_intervals(peers.sum_integers(own))
            all_rows = shared.exchange_rows(rows, tail)
            with self._lock:
                shared.apply(summed, all_rows)
                self._finished_step += 1
                self._note(StepUse(self._finished_step, intervals), share.firm_step)
            self._pause_s = _FIRST_PAUSE_S
        elif not headers.num_halts and headers.num_ended < peers.size:
            time.sleep(self._pause_s)
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        return StepResult(
            applied,
            float(tail[1]) / weight if weight else np.nan,
            weight,
            halts=headers.num_halts > 0,
            stops=headers.num_stops > 0,
            all_ended=headers.num_ended == peers.size,
        )

    def share_from_chief(self, value: Any) -> Any:
        data = encode_value(value) if self.is_chief else b""
        return decode_value(self._peers.broadcast(data))

    def model_digest(self) -> int:
        digest = 0
        for variable in self._step.model.variables if self.is_chief else ():
            digest = zlib.crc32(variable.numpy().tobytes(), digest)
        return digest

    def share_model(self) -> None:
        if self._peers.size == 1:
            return
        model = self._step.model
        memory = bytearray()
        if self.is_chief:
            pack_state(self._finished_step, model, None, _allocate_in(memory))
        data = self._peers.broadcast(bytes(memory))
        if not self.is_chief:
            with self._lock:
                unpack_state(memoryview(data), model)
                spread_seeds(model, self._peers.rank)

    def _note(self, use: StepUse, firm_step: int) -> None:
        self._uses.append(use)
        while self._uses[0].step <= firm_step:
            self._uses.popleft()


def _allocate_in(memory: bytearray) -> Callable[[int], memoryview]:
    def allocate(size_bytes: int) -> memoryview:
        memory.extend(bytes(size_bytes))
        return memoryview(memory)

    return allocate
