"""A folder of predictions: each part appears whole and once, whatever is cut off when."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import fsspec
import pytest

from elasticdl_like.data_readers.files import list_files
from elasticdl_like.errors import ConfigError, DataError
from elasticdl_like.prediction_outputs import storage
from elasticdl_like.prediction_outputs.files import OutputFolder, part_name

FIRST, SECOND, LATE = (part_name("life", number, "jsonl") for number in (1, 2, 3))
DOCUMENT = {"records": 2}


class Killed(BaseException):
    """The process ends here."""


class Place:
    """A folder that a test looks into."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._system, self._root = fsspec.core.url_to_fs(url)

    def files(self) -> dict[str, bytes]:
        """Returns what people see, without what is temporary or hidden."""
        if not self._system.exists(self._root):
            return {}
        names = {path.rpartition("/")[2]: path for path in self._system.ls(self._root, False)}
        return {
            name: self._system.cat_file(path)
            for name, path in names.items()
            if not name.startswith((".", "_temporary"))
        }

    def has_temporary(self) -> bool:
        return bool(self._system.exists(f"{self._root}/_temporary"))

    def add(self, name: str) -> None:
        self._system.makedirs(self._root, exist_ok=True)
        self._system.pipe_file(f"{self._root}/{name}", b"mine")


@pytest.fixture(params=["path", "file", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    urls = {
        "path": str(tmp_path / "out"),
        "file": f"file://{tmp_path}/out",
        "memory": f"memory://{tmp_path}/out",
    }
    yield Place(urls[request.param])
    fsspec.filesystem("memory").store.clear()


def prepared(place: Place, job: str = "job", overwrite: bool = False) -> OutputFolder:
    folder = OutputFolder(place.url)
    folder.prepare(job, overwrite)
    return folder


def finished(place: Place, job: str = "job") -> OutputFolder:
    folder = prepared(place, job)
    folder.write_part(FIRST, b"one")
    folder.publish(FIRST)
    folder.finish(DOCUMENT)
    return folder


def test_only_what_is_published_is_seen(place: Place) -> None:
    folder = prepared(place)
    for name, data in ((FIRST, b"one"), (SECOND, b"two"), (LATE, b"not counted")):
        folder.write_part(name, data)
    assert place.files() == {}
    folder.publish(FIRST)
    assert place.files() == {FIRST: b"one"}
    folder.publish(SECOND)
    folder.finish(DOCUMENT)
    files = place.files()
    told = json.loads(files.pop("_SUCCESS"))
    assert (files, told["records"]) == ({FIRST: b"one", SECOND: b"two"}, 2)
    assert not place.has_temporary()


def test_everything_may_be_done_twice(place: Place) -> None:
    folder = prepared(place)
    prepared(place)
    folder.write_part(FIRST, b"half")
    folder.write_part(FIRST, b"one")
    folder.drop_part(SECOND)
    for _ in range(2):
        folder.publish(FIRST)
    for _ in range(2):
        folder.finish(DOCUMENT)
    files = place.files()
    prepared(place)
    assert place.files() == files
    assert files[FIRST] == b"one"


def test_a_dropped_part_is_not_published(place: Place) -> None:
    folder = prepared(place)
    folder.write_part(FIRST, b"one")
    folder.drop_part(FIRST)
    with pytest.raises(DataError, match=f"{FIRST} is missing"):
        folder.publish(FIRST)


@pytest.mark.parametrize("name", ["../part-1-1.csv", "part-1/2.csv", "_SUCCESS", "part-1"])
def test_a_name_does_not_lead_elsewhere(tmp_path: Path, name: str) -> None:
    folder = OutputFolder(str(tmp_path))
    for method in (folder.publish, folder.drop_part):
        with pytest.raises(DataError, match="no name of a part"):
            method(name)


@pytest.mark.parametrize("begin", [prepared, finished])
def test_the_output_of_another_job_is_refused(
    place: Place, begin: Callable[..., OutputFolder]
) -> None:
    begin(place, "other")
    before = place.files()
    with pytest.raises(ConfigError, match=r"predictions of another job.*--overwrite"):
        prepared(place)
    assert place.files() == before


def test_the_output_of_another_job_is_removed_if_wanted(place: Place) -> None:
    finished(place, "other")
    folder = prepared(place, overwrite=True)
    assert place.files() == {}
    # And only once: the same job goes on.
    folder.write_part(SECOND, b"two")
    folder.publish(SECOND)
    prepared(place, overwrite=True)
    assert place.files() == {SECOND: b"two"}


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_not_of_predictions_is_never_removed(place: Place, overwrite: bool) -> None:
    finished(place, "other")
    place.add("thesis.tex")
    before = place.files()
    with pytest.raises(ConfigError, match=r"thesis\.tex.*nothing was changed"):
        prepared(place, overwrite=overwrite)
    assert place.files() == before


def test_a_folder_that_cannot_be_written_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"cannot be written.*Not a directory|File exists"):
        OutputFolder(str(tmp_path / "file" / "out")).prepare("job", False)


def test_readers_read_the_parts_and_nothing_else(tmp_path: Path) -> None:
    finished(Place(str(tmp_path / "out")))
    assert [Path(file.name).name for file in list_files(str(tmp_path / "out"))] == [FIRST]


def job(place: Place) -> None:
    """What a master does, as often as it is started."""
    folder = prepared(place, overwrite=True)
    for name, data in ((FIRST, b"one"), (SECOND, b"two")):
        if name not in place.files() and "_SUCCESS" not in place.files():
            folder.write_part(name, data)
        folder.publish(name)
    folder.finish(DOCUMENT)


@pytest.mark.parametrize("before", [True, False])
def test_a_job_that_is_killed_between_any_two_steps_goes_on(tmp_path: Path, before: bool) -> None:
    methods = ("make_folder", "write", "move", "remove")
    for deadly in range(1, 100):
        place = Place(str(tmp_path / f"out-{before}-{deadly}"))
        finished(place, "other")
        with _killed_at(methods, deadly, before) as calls:
            try:
                job(place)
                break
            except Killed:
                pass
        job(place)
        files = place.files()
        assert files.pop("_SUCCESS")
        assert files == {FIRST: b"one", SECOND: b"two"}, deadly
        assert not place.has_temporary()
    assert len(calls) > 8  # it was killed at each of so many


def _killed_at(methods: tuple[str, ...], deadly: int, before: bool) -> Any:
    """Ends the process at its `deadly`-th change of the storage."""
    calls: list[str] = []

    def wrapped(name: str, original: Callable[..., None]) -> Callable[..., None]:
        def method(self: Any, *arguments: Any) -> None:
            calls.append(name)
            if before and len(calls) == deadly:
                raise Killed
            original(self, *arguments)
            if len(calls) == deadly:
                raise Killed

        return method

    changed = {name: wrapped(name, getattr(storage._LocalStorage, name)) for name in methods}
    patches = mock.patch.multiple(storage._LocalStorage, **changed)

    class Patched:
        def __enter__(self) -> list[str]:
            patches.__enter__()
            return calls

        def __exit__(self, *exc_info: object) -> None:
            patches.__exit__(*exc_info)

    return Patched()
