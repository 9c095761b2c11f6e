from __future__ import annotations

import pytest

from elasticdl_like.master.data_changes import compare_shards, fingerprint
from elasticdl_like.tasks import Shard

BEFORE = (Shard("a", 0, 6), Shard("b", 10, 2), Shard("c", 0, 1))


def test_no_change() -> None:
    change = compare_shards(BEFORE, tuple(reversed(BEFORE)))
    assert not change
    assert change.description == ""


def test_every_kind_of_change() -> None:
    change = compare_shards(BEFORE, (Shard("a", 0, 7), Shard("b", 10, 2), Shard("d", 0, 1)))
    assert (change.added, change.removed, change.changed) == (("d",), ("c",), ("a",))
    assert change.description == (
        "1 added ('d'), 1 removed ('c'), 1 changed ('a': records 0 to 6 then, 0 to 7 now)"
    )


def test_a_shard_that_begins_elsewhere_has_changed() -> None:
    assert compare_shards(BEFORE[:1], (Shard("a", 1, 6),)).changed == ("a",)


def test_many_names_are_cut_short() -> None:
    many = tuple(Shard(f"s{number}", 0, 1) for number in range(100))
    assert compare_shards((), many).description == "100 added ('s0', 's1', 's2', …)"
    assert len(compare_shards((), many).added) == 100


@pytest.mark.parametrize(
    "other", [BEFORE[:2], (*BEFORE[:2], Shard("c", 0, 2)), (*BEFORE[:2], Shard("x", 0, 1))]
)
def test_the_fingerprint_tells_tables_apart(other: tuple[Shard, ...]) -> None:
    assert fingerprint(BEFORE) != fingerprint(other)
    assert fingerprint(BEFORE) == fingerprint(list(BEFORE))
    assert len(fingerprint(BEFORE)) == 64
