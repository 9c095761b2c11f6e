"""The picture of an epoch, against its ledger and against the records themselves."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from job_parts import Record, records_at, used

from elasticdl_like.master import coverage
from elasticdl_like.master.coverage import Coverage
from elasticdl_like.master.epoch import Epoch
from elasticdl_like.master.shard_table import ShardTable
from elasticdl_like.ordering import derive_key
from elasticdl_like.tasks import EpochKey, Lease, Shard, TaskType

KEY = EpochKey(TaskType.TRAINING, 1)
NAMES = ("committed", "tentative", "leased", "quarantined")
TABLES = {
    "one record": ((Shard("a", 0, 1),), 4),
    "one large task": ((Shard("a", 3, 500),), 1000),
    "single records": ((Shard("a", 0, 90), Shard("b", 7, 2)), 1),
    "groups": ((Shard("a", 100, 30, splits=(109, 110, 112, 125)), Shard("b", 0, 5)), 4),
    "several shards": ((Shard("a", 100, 13), Shard("b", 0, 4), Shard("b", 10, 6)), 4),
    "an empty shard": ((Shard("a", 0, 10), Shard("b", 0, 0), Shard("c", 0, 3)), 4),
}


class Use:
    """An epoch in use, and what became of each record."""

    def __init__(self, table: str, seed: int | None, in_round: bool) -> None:
        shards, records_per_task = TABLES[table]
        order_key = None if seed is None else derive_key(seed, KEY.epoch)
        self.table = ShardTable(shards, records_per_task)
        self.epoch = Epoch(KEY, self.table, order_key)
        self.leases: dict[int, tuple[int, Lease, int]] = {}
        self.in_round = in_round
        self.committed: set[Record] = set()
        self.tentative: list[tuple[list[Record], str]] = []
        self.step = 0
        self.num_tokens = 0

    def apply(self, what: str, worker: int, number: int) -> None:
        mine = [token for token, (owner, _, _) in self.leases.items() if owner == worker]
        match what:
            case "lease":
                for _ in range(number):
                    self.num_tokens += 1
                    lease = self.epoch.lease(worker, 1, self.num_tokens)
                    if lease is not None:
                        self.leases[lease.token] = (worker, lease, lease.start_position)
            case "lose":
                self.epoch.take_back(worker, lost=True)
                for token in mine:
                    del self.leases[token]
            case "firm":
                for step in sorted(self.epoch.tentative_steps):
                    self.epoch.make_firm(step)
                self.committed.update(*(records for records, bad in self.tentative if not bad))
                self.tentative.clear()
            case _ if mine:
                self._commit(what, worker, mine[number % len(mine)], number)

    def _commit(self, what: str, worker: int, token: int, number: int) -> None:
        _, lease, start = self.leases[token]
        end = min(start + number, lease.end_position)
        self.step += 1
        problem = "bad" if what == "fail" else ""
        commit = used((token, start, end), problem=problem, step=self.step)
        assert self.epoch.commit(worker, commit, tentative=self.in_round)
        records = records_at(lease, start, end)
        if self.in_round:
            self.tentative.append((records, problem))
        elif not problem:
            self.committed.update(records)
        self.leases[token] = (worker, lease, end)
        if end == lease.end_position:
            del self.leases[token]

    def leased(self) -> dict[Record, int]:
        return {
            record: worker
            for worker, lease, start in self.leases.values()
            for record in records_at(lease, start, lease.end_position)
        }


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["lease", "commit", "firm", "fail", "lose"]),
        st.integers(0, 2),
        st.integers(1, 9),
    ),
    max_size=40,
)


def sizes(strip: dict[str, Any]) -> list[int]:
    """Returns how many records each cell of a strip has."""
    records, cells = strip["records"], len(strip["cells"])
    edges = [cell * records // cells for cell in range(cells + 1)]
    return [end - start for start, end in pairwise(edges)]


def check(document: dict[str, Any], epoch: Epoch, most_cells: int) -> None:
    entry = epoch.ledger()
    assert {name: document[name] for name in (*NAMES, "waiting", "records")} == {
        name: getattr(entry, name) for name in (*NAMES, "waiting", "records")
    }
    assert sum(len(strip["cells"]) for strip in document["shards"]) <= most_cells
    assert sum(strip["records"] for strip in document["shards"]) == entry.records
    assert sum(strip["num_shards"] for strip in document["shards"]) == document["num_shards"]
    sums = dict.fromkeys(NAMES, 0.0)
    for strip in document["shards"]:
        assert len(strip["workers"]) == len(strip["cells"])
        assert strip["cells"] or not strip["records"]
        if not strip["records"]:
            continue
        for size, cell in zip(sizes(strip), strip["cells"], strict=True):
            assert min(cell) >= 0
            assert sum(cell) <= 1 + 1e-9
            for name, part in zip(NAMES, cell, strict=True):
                sums[name] += part * size
    # Each is rounded to a ten-thousandth of a cell.
    assert sums == pytest.approx(
        {name: getattr(entry, name) for name in NAMES}, abs=entry.records * 1e-4 + 1e-6
    )


@given(
    st.sampled_from(sorted(TABLES)),
    st.one_of(st.none(), st.integers(0, 5)),
    st.one_of(st.integers(1, 40), st.just(2000)),
    st.lists(ACTIONS, min_size=1, max_size=3),
    st.sampled_from([(), ("b",)]),
    st.booleans(),
)
@settings(derandomize=True, deadline=None)
def test_the_cells_add_up_to_the_ledger(
    table: str,
    seed: int | None,
    most_cells: int,
    phases: Sequence[Sequence[tuple[str, int, int]]],
    dropped: Sequence[str],
    in_round: bool,
) -> None:
    use, drawn = Use(table, seed, in_round), Coverage()
    position = use.epoch.position()
    for actions in phases:
        for action in actions:
            use.apply(*action)
        check(drawn.document(use.epoch.view(), most_cells), use.epoch, most_cells)
        use.epoch.drop_shards(dropped)
    use.epoch.restore(position)
    check(drawn.document(use.epoch.view(), most_cells), use.epoch, most_cells)


@given(st.sampled_from(sorted(TABLES)), ACTIONS, st.booleans())
@settings(derandomize=True, deadline=None)
def test_in_the_natural_order_each_record_is_where_it_is(
    table: str, actions: Sequence[tuple[str, int, int]], in_round: bool
) -> None:
    use = Use(table, None, in_round)
    for action in actions:
        use.apply(*action)
    document = Coverage().document(use.epoch.view(), 2000)
    leased = use.leased()
    bad = {
        (each.shard_name, index)
        for each in use.epoch.quarantine
        for index in range(each.start, each.end)
    }
    tentative = {record for records, _ in use.tentative for record in records}
    became = (use.committed, tentative, leased, bad)
    for shard, strip in zip(use.table.shards, document["shards"], strict=True):
        records = [(shard.name, index) for index in range(shard.first, shard.end)]
        for record, cell, worker in zip(records, strip["cells"], strip["workers"], strict=True):
            assert cell == [float(record in records) for records in became]
            assert worker == leased.get(record, -1)


def test_most_of_a_cell_says_whose_it_is() -> None:
    epoch = Epoch(KEY, ShardTable((Shard("a", 0, 100),), 10), None)
    for token, worker in enumerate((3, 5, 5, 3), start=1):
        epoch.lease(worker, 1, token)
    epoch.commit(3, used((1, 0, 4)))
    (strip,) = Coverage().document(epoch.view(), 4)["shards"]
    # Cells of 25: of the first 6 are worker 3's and 15 worker 5's, of the second 5 and 10.
    assert strip["workers"] == [5, 3, -1, -1]
    assert strip["cells"] == [[0.16, 0, 0.84, 0], [0, 0, 0.6, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_one_bad_record_is_seen_in_a_large_cell() -> None:
    epoch = Epoch(KEY, ShardTable((Shard("a", 0, 1_000_000),), 1_000_000), None)
    epoch.lease(0, 1, 1)
    epoch.commit(0, used((1, 0, 1), problem="bad"))
    epoch.lease(0, 1, 2)
    epoch.commit(0, used((2, 0, 1), problem="bad"))
    document = Coverage().document(epoch.view(), 1)
    assert document["quarantined"] == 1
    assert document["shards"][0]["cells"] == [[0.0, 0.0, 0.9999, 0.0001]]


def test_neighbouring_shards_share_a_strip_where_there_are_many() -> None:
    shards = [Shard(f"s{number:05}", 0, 1 + number % 7) for number in range(12_345)]
    table = ShardTable(shards, 2)
    document = Coverage().document(Epoch(KEY, table, 3).view(), 1000)
    strips = document["shards"]
    assert document["num_shards"] == 12_345 == sum(strip["num_shards"] for strip in strips)
    assert 150 < len(strips) <= 200
    assert strips[0]["name"].startswith("s00000 … s0")
    assert max(strip["records"] for strip in strips) < 2 * table.num_records / len(strips)
    assert sum(len(strip["cells"]) for strip in strips) <= 1000
    assert len(Coverage().document(Epoch(KEY, table, 3).view(), 5)["shards"]) <= 5


def test_a_large_shuffled_epoch_is_counted_bit_by_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage, "_MOST_TASKS_AT_ONCE", 100)
    table = ShardTable((Shard("a", 0, 1000), Shard("b", 0, 500)), 2)
    epoch = Epoch(KEY, table, 9)
    for token in range(1, 601):
        lease = epoch.lease(0, 1, token)
        assert lease is not None
        if token % 10:
            epoch.commit(0, used((token, 0, 2)))
    drawn, whole = Coverage(), []
    for _ in range(6):
        document = drawn.document(epoch.view(), 30)
        # As long as not everything is counted, the cells are estimated, and still add up.
        check(document, epoch, 30)
        whole.append([strip["cells"] for strip in document["shards"]])
    assert whole[0] != whole[-1]
    monkeypatch.setattr(coverage, "_MOST_TASKS_AT_ONCE", 10_000)
    exact = Coverage().document(epoch.view(), 30)
    assert whole[-1] == [strip["cells"] for strip in exact["shards"]]


def test_no_epoch_is_a_picture_too() -> None:
    document = Coverage().document(None, 100)
    assert (document["records"], document["shards"]) == (0, [])
