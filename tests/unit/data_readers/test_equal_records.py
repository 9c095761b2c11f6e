from __future__ import annotations

import numpy as np

from elasticdl_like.data_readers.equal_records import EqualRecords, join_records

RECORDS = [b"ab\0", b"\0\0\0", b"xyz", b"123"]


def rows(records: list[bytes]) -> EqualRecords:
    return EqualRecords(np.frombuffer(b"".join(records), f"V{len(records[0])}"))


def test_they_are_like_a_list() -> None:
    records = rows(RECORDS)
    assert len(records) == 4
    assert list(records) == records.to_list() == RECORDS
    assert records[1] == b"\0\0\0"
    assert records[-1] == b"123"
    assert records[1:3] == RECORDS[1:3]
    assert isinstance(records[1:3], EqualRecords)
    assert records == RECORDS
    assert records != RECORDS[:3]
    assert records != 5
    assert all(type(record) is bytes for record in records)
    assert repr(records) == repr(RECORDS)


def test_some_of_them() -> None:
    assert rows(RECORDS).take(np.array([3, 0, 3])) == [b"123", b"ab\0", b"123"]


def test_joining() -> None:
    one, other, longer = rows(RECORDS), rows([b"qqq"]), rows([b"four"])
    assert join_records([one]) is one
    joined = join_records([one, other, one[:1]])
    assert isinstance(joined, EqualRecords)
    assert joined == [*RECORDS, b"qqq", b"ab\0"]
    for mixed in ([one, longer], [one, [b"any"]], [[b"any"], one]):
        assert join_records(mixed) == [record for part in mixed for record in part]
