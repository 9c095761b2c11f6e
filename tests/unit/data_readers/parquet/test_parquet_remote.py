from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from elasticdl_like.data_readers.parquet import ParquetDataReader
from elasticdl_like.errors import DataError
from elasticdl_like.tasks import Task
from elasticdl_like.testing import check_data_reader
from range_server import RangeServer

ROWS, GROUP = 200_000, 25_000
PATH = "/data/a.parquet"
COLUMNS = [f"column {number}" for number in range(10)]


@pytest.fixture(scope="module")
def content() -> bytes:
    """A file of 8 row groups, 2 MB each, of 10 columns."""
    rng = np.random.default_rng(0)
    table = pa.table({name: rng.random(ROWS) for name in COLUMNS})
    file = io.BytesIO()
    pq.write_table(table, file, row_group_size=GROUP, use_dictionary=False)
    return file.getvalue()


@pytest.fixture
def server(content: bytes) -> Iterator[RangeServer]:
    with RangeServer({PATH: content}) as started:
        yield started


def test_contract(server: RangeServer) -> None:
    check_data_reader(lambda: ParquetDataReader(data_origin=f"{server.url}/data/"))


def test_counting_reads_the_footer_alone(server: RangeServer) -> None:
    url = server.url + PATH
    assert ParquetDataReader(data_origin=url).create_shards() == [(url, 0, ROWS)]
    assert server.sent_bytes(PATH) <= 1 << 17


def test_a_task_reads_its_row_group_alone(server: RangeServer, content: bytes) -> None:
    url = server.url + PATH
    reader = ParquetDataReader(data_origin=url)
    for start in range(3 * GROUP, 4 * GROUP, 5000):
        list(reader.read_record_batches(Task(url, start, start + 5000)))
    group_bytes = len(content) // 8
    assert group_bytes * 0.9 < server.sent_bytes(PATH) < group_bytes * 2.5
    # Columns that lie together come together.
    large = [request for request in server.requests if request.sent_bytes > 1 << 17]
    assert 1 <= len(large) <= 2


def test_columns_that_are_not_wanted_are_not_read(server: RangeServer, content: bytes) -> None:
    url = server.url + PATH
    reader = ParquetDataReader(data_origin=url, columns=[COLUMNS[-1]])
    for start in range(0, ROWS, 2 * GROUP):
        list(reader.read_record_batches(Task(url, start, start + GROUP)))
    # Of each second row group one column, and what follows it at no cost.
    assert server.sent_bytes(PATH) < len(content) * 0.7


def test_a_file_that_changes_on_the_server(server: RangeServer, content: bytes) -> None:
    url = server.url + PATH
    reader = ParquetDataReader(data_origin=url)
    list(reader.read_record_batches(Task(url, 0, 10)))
    server.files[PATH] = content[:-1] + b"X"
    with pytest.raises(DataError, match=rf"{url}.*changed"):
        list(reader.read_record_batches(Task(url, 5 * GROUP, 5 * GROUP + 10)))
