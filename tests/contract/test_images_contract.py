from __future__ import annotations

import random
from pathlib import Path

from elasticdl_like.data_readers.images import ImageFolderDataReader
from elasticdl_like.testing import check_data_reader


def test_keeps_the_contract(tmp_path: Path) -> None:
    chosen = random.Random(0)
    for class_name, count in (("cats", 300), ("dogs", 1), ("Ants", 40)):
        (tmp_path / class_name).mkdir()
        for number in range(count):
            suffix = chosen.choice((".jpg", ".JPEG", ".png", ".webp"))
            body = chosen.randbytes(chosen.randrange(2000))
            (tmp_path / class_name / f"{number}{suffix}").write_bytes(body)
        (tmp_path / class_name / "._1.jpg").touch()
    (tmp_path / ".cache").mkdir()
    (tmp_path / "_SUCCESS").touch()
    check_data_reader(lambda: ImageFolderDataReader(data_origin=str(tmp_path)))
