"""One picture of the epoch a second, for everybody who looks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from elasticdl_like.master.coverage import Coverage
from elasticdl_like.master.epoch_view import EpochView

_KEPT_S = 1.0
_MOST_CELLS = 20_000
_MOST_PICTURES = 4


@dataclass
class _Picture:
    coverage: Coverage = field(default_factory=Coverage)
    made_s: float | None = None
    document: dict[str, Any] = field(default_factory=dict)


class SharedCoverage:
    """The coverage of a job's epoch; any thread may ask for it.

    Args:
        view: returns how the epoch is now.
        clock: monotonic time in seconds.
    """

    def __init__(self, view: Callable[[], EpochView | None], clock: Callable[[], float]) -> None:
        self._view = view
        self._clock = clock
        self._lock = threading.Lock()
        self._pictures: dict[int, _Picture] = {}

    def document(self, num_cells: int, is_last: bool = False) -> dict[str, Any]:
        """Returns the coverage as JSON, not to be changed; it is a second old at most.

        Args:
            num_cells: how many cells there are at most; from 1 to 20,000, others are taken for
                these.
            is_last: whether nothing more will happen, so that an older picture would stay wrong.
        """
        num_cells = min(max(num_cells, 1), _MOST_CELLS)
        with self._lock:
            now_s = self._clock()
            picture = self._pictures.pop(num_cells, None) or _Picture()
            if picture.made_s is None or is_last or now_s - picture.made_s >= _KEPT_S:
                picture.document = picture.coverage.document(self._view(), num_cells)
                picture.made_s = now_s
            self._pictures[num_cells] = picture
            if len(self._pictures) > _MOST_PICTURES:
                del self._pictures[next(iter(self._pictures))]
            return picture.document
