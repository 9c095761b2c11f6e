"""Readers of what is in memory: their types, and what they refuse."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elasticdl_like.data_readers.memory import ArrayDataReader, GeneratorDataReader
from elasticdl_like.errors import ConfigError
from elasticdl_like.tasks import Task
from elasticdl_like.testing import check_data_reader

PAGE = Path(__file__).parents[3] / "docs" / "readers.md"


def test_columns_are_views_with_their_types() -> None:
    images = np.zeros((10, 8, 8), np.uint8)
    reader = ArrayDataReader({"image": images, "name": list("abcdefghij"), "x": [0.5] * 10})
    assert reader.output_signature == {
        "image": np.dtype((np.uint8, (8, 8))),
        "name": np.dtype(object),
        "x": np.dtype(np.float64),
    }
    assert reader.metadata.column_names == ("image", "name", "x")
    assert reader.metadata.column_dtypes["image"] == np.uint8
    (batch,) = reader.read_record_batches(Task("records-0", 3, 7))
    assert isinstance(batch, dict)
    assert batch["image"].shape == (4, 8, 8)
    assert np.shares_memory(batch["image"], images)
    assert batch["name"].tolist() == ["d", "e", "f", "g"]


def test_tensorflow_understands_the_types() -> None:
    from elasticdl_like.worker.columns import record_spec, to_arrays

    reader = ArrayDataReader(
        {
            "image": np.ones((5, 2, 3), np.uint8),
            "name": np.array(["a", "bb", "", "c", "d"]),
            "key": np.array([b"1", b"22", b"", b"4", b"5"]),
            "tags": np.array([["a", "b"]] * 5),
        }
    )
    spec = record_spec(reader)
    (batch,) = reader.read_record_batches(Task("records-0", 0, 5))
    arrays = to_arrays(batch, spec, "ArrayDataReader")
    assert {name: (each.shape, each.dtype) for name, each in arrays.items()} == {
        "image": ((5, 2, 3), np.dtype(np.uint8)),
        "name": ((5,), np.dtype(object)),
        "key": ((5,), np.dtype(object)),
        "tags": ((5, 2), np.dtype(object)),
    }


def test_shards() -> None:
    assert ArrayDataReader([b"a"] * 5).create_shards() == {"records-0": (0, 5)}
    assert ArrayDataReader(np.zeros(5), 2).create_shards() == {
        "records-0": (0, 2),
        "records-1": (2, 2),
        "records-2": (4, 1),
    }
    names = list(ArrayDataReader(np.zeros(11), 1).create_shards())
    assert names == sorted(names)
    assert ArrayDataReader([]).create_shards() == {}


def test_a_generator_is_asked_for_the_task_and_read_in_pieces() -> None:
    asked = []

    def make_records(start: int, end: int) -> list[bytes]:
        asked.append((start, end))
        return [str(number).encode() for number in range(start, end)]

    reader = GeneratorDataReader(make_records, 10_000)
    batches: list[Any] = list(reader.read_record_batches(Task("records-0", 1000, 6000)))
    assert asked == [(1000, 6000)]
    assert list(map(len, batches)) == [2048, 2048, 904]
    assert batches[-1][-1] == b"5999"
    assert reader.output_signature == "string"


def test_what_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"of one length.*'a': 2, 'b': 3"):
        ArrayDataReader({"a": [1, 2], "b": [1, 2, 3]})
    with pytest.raises(ConfigError, match="of one length"):
        ArrayDataReader({})
    with pytest.raises(ConfigError, match="shard_size=0"):
        ArrayDataReader([b"a"], 0)
    with pytest.raises(ConfigError, match="count=0"):
        GeneratorDataReader(range, 0)


def test_shown_readers_keep_the_contract(tmp_path: Path) -> None:
    np.savez(tmp_path / "rows.npz", x=np.arange(3000.0), y=np.arange(3000.0))
    section = PAGE.read_text("utf-8").partition("## In memory\n")[2].partition("\n## ")[0]
    arrays, generator = re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    namespace: dict[str, Any] = {}
    exec(arrays, namespace)
    check_data_reader(lambda: namespace["custom_data_reader"](tmp_path / "rows.npz"))
    exec(generator, namespace)
    check_data_reader(namespace["custom_data_reader"])
