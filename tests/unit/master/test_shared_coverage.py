from __future__ import annotations

from elasticdl_like.master.epoch_view import EpochView
from elasticdl_like.master.shared_coverage import SharedCoverage


def test_a_picture_is_shared_for_a_second_but_not_the_last_one() -> None:
    now_s, looks = 0.0, []

    def view() -> EpochView | None:
        looks.append(now_s)
        return None

    coverage = SharedCoverage(view, lambda: now_s)
    coverage.document(10)
    now_s = 0.9
    coverage.document(10)
    assert looks == [0.0]
    coverage.document(10, is_last=True)
    assert looks == [0.0, 0.9]
    now_s = 2.0
    coverage.document(10)
    assert looks == [0.0, 0.9, 2.0]
