from __future__ import annotations

import pytest

from elasticdl_like.master.lineage import Lineage


def lineage(*ends: tuple[int, int]) -> Lineage:
    made = Lineage()
    for round_number, step in ends:
        made.adopt(round_number, step)
    return Lineage.from_plain(made.to_plain())


@pytest.mark.parametrize(
    ("ends", "state", "expected"),
    [
        ((), (1, 5), True),
        (((1, 5),), (1, 5), True),
        (((1, 5),), (1, 4), True),
        (((1, 5),), (1, 6), False),
        (((1, 5),), (2, 6), True),
        (((1, 5), (2, 9)), (1, 6), False),
        (((1, 5), (2, 9)), (1, 5), True),
        (((1, 5), (2, 9)), (2, 9), True),
        (((1, 5), (2, 3)), (1, 5), False),
        (((1, 5), (2, 3), (3, 9)), (1, 4), False),
        (((1, 5), (2, 3), (3, 9)), (1, 3), True),
        (((1, 5), (2, 3), (3, 9)), (3, 5), True),
        (((2, 9), (2, 4)), (2, 9), False),  # back to a checkpoint while the next one forms
        (((2, 9), (2, 4)), (2, 4), True),
        (((0, 7),), (0, 7), True),
    ],
)
def test_states_of_this_history(
    ends: tuple[tuple[int, int], ...], state: tuple[int, int], expected: bool
) -> None:
    assert lineage(*ends).has(*state) is expected


def test_after_many_rounds_an_old_state_is_rather_refused() -> None:
    many = lineage(*((number, 10 * number) for number in range(1, 200)))
    assert len(many.to_plain()) <= 64
    assert not many.has(1, 20)
    assert not many.has(136, 1360)
    assert many.has(1, 10)
    assert many.has(199, 1990)
    assert many.has(150, 1500)
    assert not many.has(150, 1501)
