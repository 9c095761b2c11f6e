from __future__ import annotations

from pathlib import Path

import pytest

from elasticdl_like.data_readers.tfrecord import TFRecordDataReader, TFRecordWriter
from elasticdl_like.testing import check_data_reader

FILES = {
    "a": [f"{number}".encode() for number in range(6000)],
    "b": [b"", bytes(200_000), b"\0", b"x" * 70_000, b""],
    "empty": [],
    "equal": [number.to_bytes(89, "big") for number in range(2500)],
}


@pytest.mark.parametrize("suffix", ["tfrecord", "tfrecords.gz"])
@pytest.mark.parametrize("has_index_dir", [False, True])
def test_keeps_the_contract(tmp_path: Path, suffix: str, has_index_dir: bool) -> None:
    (tmp_path / "data").mkdir()
    for name, records in FILES.items():
        with TFRecordWriter(tmp_path / "data" / f"{name}.{suffix}") as writer:
            for record in records:
                writer.write(record)
    (tmp_path / "data" / "_SUCCESS").touch()
    (tmp_path / "data" / ".a.tfrecord.crc").touch()
    check_data_reader(
        lambda: TFRecordDataReader(
            data_origin=str(tmp_path / "data"),
            index_dir=str(tmp_path / "indexes") if has_index_dir else "",
        )
    )
