"""Files behind a web server: only what is needed is fetched, and what goes wrong is said."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from elasticdl_like.data_readers.files import http, list_files, open_file, remote
from elasticdl_like.data_readers.reading import list_shards, read_task
from elasticdl_like.data_readers.recordio import Compressor, Dialect, RecordIODataReader
from elasticdl_like.data_readers.recordio.format import encode_chunk
from elasticdl_like.errors import DataError
from elasticdl_like.tasks import Task
from range_server import Fault, RangeServer

RECORDS = [bytes([number]) * 50_000 for number in range(100)]
CHUNKS = [encode_chunk([record], Dialect.GO, Compressor.NONE) for record in RECORDS]
CONTENT = bytes(range(256)) * 40


@pytest.fixture
def server() -> Iterator[RangeServer]:
    files = {"/data": CONTENT, "/set/b.rio": b"".join(CHUNKS), "/set/a.rio": CHUNKS[0]}
    with RangeServer(files) as server:
        yield server


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_FIRST_PAUSE_S", 0.0)


def test_a_read_fetches_its_bytes_and_no_more(server: RangeServer) -> None:
    with open_file(f"{server.url}/data") as file:
        assert file.size_bytes == len(CONTENT)
        sent_to_open = server.sent_bytes("/data")
        assert file.read(1000, 500) == CONTENT[1000:1500]
        assert file.read(len(CONTENT) - 1, 1) == CONTENT[-1:]
        assert file.read(5, 0) == b""
    assert sent_to_open <= 1
    assert server.sent_bytes("/data") == sent_to_open + 501
    assert server.requests[-2].part == (1000, 1499)


def test_all_of_it_in_blocks(server: RangeServer) -> None:
    with open_file(f"{server.url}/data") as file:
        blocks = list(file.blocks(1000))
    assert [len(block) for block in blocks] == [1000] * 10 + [240]
    assert b"".join(blocks) == CONTENT


@pytest.mark.parametrize("announced", [True, False])
def test_a_server_that_gives_no_parts(
    server: RangeServer, caplog: pytest.LogCaptureFixture, announced: bool
) -> None:
    server.gives_ranges, server.announces_ranges = False, announced
    with caplog.at_level(logging.WARNING), open_file(f"{server.url}/data") as file:
        sent_to_open = server.sent_bytes("/data")
        assert file.read(1000, 500) == CONTENT[1000:1500]
        assert b"".join(file.blocks(999)) == CONTENT
        assert server.sent_bytes("/data") == sent_to_open
        file.check_version(file.version)
    assert "all 10240 bytes are fetched" in caplog.text


def test_a_server_that_gives_no_parts_is_asked_once(
    server: RangeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.gives_ranges = False
    shard = list_shards(reader(server))[-1]
    size = sum(map(len, CHUNKS))
    fetches = [request for request in server.requests if request.sent_bytes == size]
    for number in (0, 50, 99):
        task = Task(shard.name, number, number + 1, version=shard.version, index=shard.index)
        assert list(read_task(reader(server), task)) == [[RECORDS[number]]]
    assert [request for request in server.requests if request.sent_bytes == size] == fetches
    monkeypatch.setattr(http, "_MAX_FETCHED_FILES", 1)
    open_file(f"{server.url}/data")
    open_file(shard.name)
    assert len([each for each in server.requests if each.sent_bytes == size]) > len(fetches)


def test_a_fetched_file_that_comes_short(server: RangeServer) -> None:
    server.gives_ranges = False
    server.faults = [Fault.BUSY, Fault.TRUNCATED, Fault.RESET]
    with open_file(f"{server.url}/data") as file:
        assert file.read(0, len(CONTENT)) == CONTENT


@pytest.mark.parametrize("fault", [Fault.RESET, Fault.TRUNCATED, Fault.BUSY])
def test_what_is_lost_on_the_way_is_asked_for_again(server: RangeServer, fault: Fault) -> None:
    with open_file(f"{server.url}/data") as file:
        server.faults = [fault, fault]
        assert file.read(1000, 500) == CONTENT[1000:1500]
        server.faults = [fault] * 3
        with pytest.raises(DataError, match=rf"^{server.url}/data: cannot be read: \w+: .*; check"):
            file.read(1000, 500)


def test_a_refusal_is_not_asked_again(server: RangeServer) -> None:
    with open_file(f"{server.url}/data") as file:
        before = len(server.requests)
        server.faults = [Fault.REFUSED]
        with pytest.raises(DataError, match="cannot be read: ClientResponseError: 403"):
            file.read(1000, 500)
        assert len(server.requests) == before + 1


def test_a_file_that_changes(server: RangeServer) -> None:
    with open_file(f"{server.url}/data") as file:
        server.files["/data"] = CONTENT[::-1]
        with pytest.raises(DataError, match="data: the file changed after it was indexed, from "):
            file.read(0, 10)


def test_a_file_that_changes_behind_a_server_without_tags(
    server: RangeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.has_tags = False
    with open_file(f"{server.url}/data") as file:
        file.check_version(file.version)
        server.files["/data"] = CONTENT[:-1]
        monkeypatch.setattr(remote, "CHECK_INTERVAL_S", 0.0)
        with pytest.raises(DataError, match="from size=10240 to size=10239"):
            file.check_version(file.version)


def test_a_file_that_shrinks_behind_a_server_without_tags(server: RangeServer) -> None:
    server.has_tags = False
    with open_file(f"{server.url}/data") as file:
        server.files["/data"] = CONTENT[:1200]
        with pytest.raises(DataError, match="data: the file shrank while it was read"):
            file.read(1000, 500)
        with pytest.raises(DataError, match="from size=10240 to size=1200"):
            file.read(2000, 500)


def test_a_file_that_vanishes(server: RangeServer) -> None:
    with open_file(f"{server.url}/data") as file:
        del server.files["/data"]
        with pytest.raises(DataError, match="data: cannot be read: FileNotFoundError"):
            file.read(0, 10)


@pytest.mark.parametrize("origin", ["/absent", "/none/", "/none/*.rio"])
def test_nothing_there(server: RangeServer, origin: str) -> None:
    with pytest.raises(DataError, match="no file there to read"):
        list_files(f"{server.url}{origin}")


def test_no_server() -> None:
    with RangeServer({}) as server:
        url = server.url
    with pytest.raises(DataError, match=rf"^{url}/data: cannot be read: ClientConnectorError"):
        list_files(f"{url}/data")


@pytest.mark.parametrize("origin", ["/set/", "/set/*.rio", "/set/a.rio,{url}/set/b.rio"])
def test_listing(server: RangeServer, origin: str) -> None:
    server.files |= {"/set/_SUCCESS": b"", "/set/.hidden": b"?"}
    files = list_files(server.url + origin.replace("{url}", server.url), (".rio",))
    assert [file.name for file in files] == [f"{server.url}/set/a.rio", f"{server.url}/set/b.rio"]
    assert [file.size_bytes for file in files] == [len(CHUNKS[0]), sum(map(len, CHUNKS))]
    for file in files:
        with open_file(file.name) as opened:
            assert opened.version == file.version


def test_a_stray_file(server: RangeServer) -> None:
    server.files["/set/notes.txt"] = b"?"
    with pytest.raises(DataError, match=r"/set/notes.txt: does not end with .rio"):
        list_files(f"{server.url}/set/", (".rio",))


def test_a_worker_fetches_only_the_chunks_of_its_task(server: RangeServer) -> None:
    """In the master the data is indexed; a worker gets its part of the index with the task."""
    shards = {shard.name: shard for shard in list_shards(reader(server))}
    shard = shards[f"{server.url}/set/b.rio"]
    assert shard.index is not None
    worker = reader(server)
    server.requests.clear()
    task = Task(shard.name, 40, 43, version=shard.version, index=shard.index.covering(40, 43))
    assert [record for batch in read_task(worker, task) for record in batch] == RECORDS[40:43]
    assert server.sent_bytes("/set/b.rio") == sum(map(len, CHUNKS[40:43]))
    assert {request.path for request in server.requests} == {"/set/b.rio"}


def test_a_file_that_is_replaced_before_a_worker_reads_it(server: RangeServer) -> None:
    shard = list_shards(reader(server))[-1]
    server.files["/set/b.rio"] = b"".join(reversed(CHUNKS))
    task = Task(shard.name, 0, 1, version=shard.version, index=shard.index)
    with pytest.raises(DataError, match=r"b.rio: the file changed after it was indexed"):
        list(read_task(reader(server), task))


def reader(server: RangeServer) -> RecordIODataReader:
    return RecordIODataReader(data_origin=f"{server.url}/set/")
