"""csv files keep the reader contract."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from elasticdl_like.data_readers.text.csv_reader import CsvDataReader
from elasticdl_like.testing import check_data_reader

HEADER = ["number", "fraction", "text", "truth", "sometimes"]


def rows(count: int) -> Iterator[list[object]]:
    for number in range(count):
        text = f'{number}, "quoted"\nand {"long " * (number % 9)}'
        yield [number, number / 7, text, number % 3 == 0, number if number % 5 else ""]


@pytest.mark.parametrize(("delimiter", "line_end"), [(",", "\n"), (",", "\r\n"), ("\t", "\r")])
def test_a_directory_of_csv_files(tmp_path: Path, delimiter: str, line_end: str) -> None:
    suffix = ".tsv" if delimiter == "\t" else ".csv"
    for name, count in (("a", 9000), ("b", 0), ("c", 1)):
        with (tmp_path / (name + suffix)).open("w", newline="") as file:
            writer = csv.writer(file, delimiter=delimiter, lineterminator=line_end)
            writer.writerows([HEADER, *rows(count)])
    (tmp_path / f"d{suffix}").touch()
    check_data_reader(lambda: CsvDataReader(data_origin=str(tmp_path)))


def test_chosen_columns_of_a_gzipped_file_without_a_header(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    with gzip.open(path, "wt", newline="") as file:
        csv.writer(file).writerows(rows(5000))
    check_data_reader(
        lambda: CsvDataReader(
            data_origin=str(path),
            header=False,
            column_names=HEADER,
            columns=["sometimes", "text"],
            column_types={"sometimes": "int32"},
            defaults={"sometimes": -1},
            index_dir=str(tmp_path / "indexes"),
        )
    )
