from __future__ import annotations

import json
from array import array

from elasticdl_like.master.shard_codec import (
    shards_from_plain,
    shards_to_plain,
    without_locations,
)
from elasticdl_like.sparse_index import SparseIndex
from elasticdl_like.tasks import Shard

INDEX = SparseIndex(array("q", [0, 3, 9]), array("q", [20, 80, 100]))
SHARDS = [
    Shard("plain", 5, 7),
    Shard("versioned", 0, 1, "size=3"),
    Shard("grouped", 0, 10, splits=array("q", [3, 9])),
    Shard("all", 0, 9, "v", b"\x00\xff", array("q", [4]), INDEX),
]


def test_json_and_back() -> None:
    plain = json.loads(json.dumps(shards_to_plain(SHARDS)))
    assert shards_from_plain(plain) == SHARDS


def test_what_has_no_more_than_records_takes_no_more_room() -> None:
    assert shards_to_plain(SHARDS[:2]) == [["plain", 5, 7], ["versioned", 0, 1, "size=3"]]


def test_without_locations() -> None:
    assert without_locations(SHARDS)[3] == Shard("all", 0, 9, "v", b"", array("q", [4]), None)
