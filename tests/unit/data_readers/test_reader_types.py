"""Which reader reads a data set: by name, scheme and extension, of this package and of others."""

from __future__ import annotations

import gzip
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from elasticdl_like.config import DataConfig
from elasticdl_like.data_readers.reader_types import reader_class
from elasticdl_like.data_readers.registry import make_reader
from elasticdl_like.errors import ConfigError

READER = """
class GoodReader:
    suffixes = (".good", ".parquet")
    schemes = ("goodness",)

    def __init__(self, data_origin, index_dir, table="t"):
        self.arguments = (data_origin, index_dir, table)

    def create_shards(self):
        return {"s": 1}

    def read_records(self, task):
        yield b"good"
"""
ENTRY_POINTS = """[elasticdl_like.data_readers]
Good = good_reader_package:GoodReader
Broken = good_reader_package:NoSuchReader
"""


@pytest.fixture
def good_package(tmp_path: Path) -> Iterator[Path]:
    """An installed package that offers two readers, of which one is not there."""
    site = tmp_path / "site"
    information = site / "good_reader_package-1.0.dist-info"
    information.mkdir(parents=True)
    (site / "good_reader_package.py").write_text(READER)
    (information / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: good-reader-package\nVersion: 1.0\n"
    )
    (information / "entry_points.txt").write_text(ENTRY_POINTS)
    sys.path.insert(0, str(site))
    yield site
    sys.path.remove(str(site))
    sys.modules.pop("good_reader_package", None)


@pytest.mark.parametrize(
    ("data_origin", "expected"),
    [
        ("a.recordio", "RecordIODataReader"),
        ("a.RIO", "RecordIODataReader"),
        ("data/*.tfrecord", "TFRecordDataReader"),
        ("a.tfrec.gz", "TFRecordDataReader"),
        ("a.txt", "TextDataReader"),
        ("a.jsonl.gz", "JsonLinesDataReader"),
        ("memory://bucket/a.ndjson", "JsonLinesDataReader"),
        ("a.csv", "CsvDataReader"),
        ("a.tsv.gz", "CsvDataReader"),
        ("http://host/a.parquet?version=3", "ParquetDataReader"),
        ("a.pq", "ParquetDataReader"),
        ("a", "RecordIODataReader"),
        ("no-such-directory/part-00000", "RecordIODataReader"),
        ("a.gz", "RecordIODataReader"),
    ],
)
def test_the_extension_names_the_reader(data_origin: str, expected: str) -> None:
    assert reader_class("", data_origin).__name__ == expected


def test_the_type_goes_before_the_extension() -> None:
    assert reader_class("text", "a.csv").__name__ == "TextDataReader"
    assert reader_class("IMAGES", "a.csv").__name__ == "ImageFolderDataReader"


def test_the_files_of_a_directory_name_the_reader(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n1\n")
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(b"x\n1\n"))
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / ".hidden.parquet").touch()
    (tmp_path / "notes.md").touch()  # which the csv reader will refuse by name
    for data_origin in (tmp_path, f"{tmp_path}/*", f"{tmp_path}/a.csv,{tmp_path}/b.csv.gz"):
        assert reader_class("", str(data_origin)).__name__ == "CsvDataReader"


def test_files_of_several_kinds_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").touch()
    (tmp_path / "b.parquet").touch()
    with pytest.raises(ConfigError, match=r"several kinds: Csv \(.*a\.csv\), Parquet \(.*b\.pa"):
        reader_class("", str(tmp_path))
    with pytest.raises(ConfigError, match="several kinds"):
        reader_class("", f"{tmp_path}/a.csv,{tmp_path}/b.parquet")
    assert reader_class("", f"{tmp_path}/*.csv").__name__ == "CsvDataReader"


def test_a_scheme_that_nothing_reads() -> None:
    with pytest.raises(
        ConfigError, match=r"no reader reads nothing:// \(nothing://project/table\)"
    ):
        make_reader("nothing://project/table", DataConfig("x"), None, 64)


@pytest.mark.usefixtures("good_package")
def test_a_reader_of_another_package() -> None:
    data = DataConfig("d", reader_params={"reader_type": "good", "table": "u"})
    reader = make_reader("d", data, None, 64, "indexes")
    assert reader.arguments == ("d", "indexes", "u")  # type: ignore[attr-defined]
    for data_origin in ("a.good", "good://table", "goodness://a/table.csv"):
        assert reader_class("", data_origin).__name__ == "GoodReader"
    # What is built in goes first.
    assert reader_class("", "a.parquet").__name__ == "ParquetDataReader"
    with pytest.raises(ConfigError, match=r"no reader_type 'Best'; there is .*ODPS, Broken, Good"):
        reader_class("Best", "a.good")


@pytest.mark.usefixtures("good_package")
def test_a_broken_reader_of_another_package(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(
        ConfigError, match=r"Broken of the package good-reader-package cannot be .*NoSuchReader"
    ):
        reader_class("broken", "a.csv")
    with caplog.at_level(logging.WARNING):
        assert reader_class("", "a.csv").__name__ == "CsvDataReader"
        assert caplog.messages == []
        assert reader_class("", "a.good").__name__ == "GoodReader"
    assert "good-reader-package" in caplog.text
