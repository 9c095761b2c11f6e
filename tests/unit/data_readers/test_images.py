"""Images in folders: labels, batches, what is listed, and what is refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elasticdl_like.data_readers import images
from elasticdl_like.data_readers.images import ImageFolderDataReader
from elasticdl_like.errors import ConfigError, DataError
from elasticdl_like.tasks import Task


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("dogs/b.jpg", "dogs/a.PNG", "cats/1.jpeg", "cats/10.gif", "cats/2.bmp"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path


def read_all(data_origin: Path | str) -> list[tuple[bytes, int]]:
    reader = ImageFolderDataReader(data_origin=str(data_origin))
    return [
        (image, int(label))
        for name, (first, count) in reader.create_shards().items()
        for image, label in reader.read_records(Task(name, first, first + count))
    ]


def test_classes_and_labels(folder: Path) -> None:
    reader = ImageFolderDataReader(data_origin=f"{folder}/")
    assert reader.class_names == ("cats", "dogs")
    assert reader.create_shards() == {f"{folder}/cats": (0, 3), f"{folder}/dogs": (0, 2)}
    assert reader.describe(f"{folder}/dogs") == {"label": "1"}
    assert read_all(folder) == [
        (b"cats/1.jpeg", 0),
        (b"cats/10.gif", 0),
        (b"cats/2.bmp", 0),
        (b"dogs/a.PNG", 1),
        (b"dogs/b.jpg", 1),
    ]
    (batch,) = reader.read_record_batches(Task(f"{folder}/dogs", 0, 2))
    assert isinstance(batch, dict)
    assert (batch["image"].dtype, batch["label"].dtype) == (np.dtype(object), np.dtype(np.int64))
    assert reader.metadata.column_names == tuple(batch) == tuple(reader.output_signature)


def test_listing_reads_no_image(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_reading(name: str) -> Any:
        raise AssertionError(name)

    monkeypatch.setattr(images, "open_file", no_reading)
    reader = ImageFolderDataReader(data_origin=str(folder))
    for name in reader.create_shards():
        assert reader.version(name)


def test_batches_are_bounded_by_bytes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "birds").mkdir()
    for number, size in enumerate((40, 60, 1, 150, 10, 0, 90, 1)):
        (folder / "birds" / f"{number}.jpg").write_bytes(bytes(size))
    monkeypatch.setattr(images, "_MAX_BATCH_BYTES", 100)
    reader = ImageFolderDataReader(data_origin=str(folder))
    batches: list[Any] = list(reader.read_record_batches(Task(f"{folder}/birds", 0, 8)))
    sizes = [list(map(len, batch["image"])) for batch in batches]
    assert sizes == [[40, 60], [1], [150], [10, 0, 90], [1]]
    assert [batch["label"].tolist() for batch in batches] == [[0] * len(each) for each in sizes]


def test_hidden_names_do_not_count(folder: Path) -> None:
    expected = read_all(folder)
    for name in (".DS_Store", "_SUCCESS", "cats/.1.jpg", "cats/_notes.txt"):
        (folder / name).touch()
    (folder / ".cache").mkdir()
    assert read_all(folder) == expected


@pytest.mark.parametrize(
    ("stray", "words"),
    [
        ("cats/notes.txt", r"cats/notes\.txt: does not end with \.jpg or"),
        ("notes.txt", r"notes\.txt: a file where the directories of the classes"),
        ("cats/more/1.jpg", "cats/more: a directory among the data files"),
    ],
)
def test_what_is_there_by_mistake(folder: Path, stray: str, words: str) -> None:
    (folder / stray).parent.mkdir(exist_ok=True)
    (folder / stray).touch()
    with pytest.raises(DataError, match=words):
        read_all(folder)


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="data_origin is empty"):
        ImageFolderDataReader(data_origin="")
    with pytest.raises(DataError, match="no directory in it"):
        read_all(tmp_path)
    with pytest.raises(DataError, match="absent: cannot be read: No such file"):
        read_all(tmp_path / "absent")
    (tmp_path / "cats").mkdir()
    with pytest.raises(DataError, match="cats: no file there"):
        read_all(tmp_path)


class TestChanges:
    def test_other_images_than_in_the_master(self, folder: Path) -> None:
        name = f"{folder}/cats"
        version = ImageFolderDataReader(data_origin=str(folder)).version(name)
        task = Task(name, 0, 3, version=version)
        changes: list[Callable[[], object]] = [
            lambda: (folder / "cats" / "3.jpg").write_bytes(b"more"),
            lambda: (folder / "cats" / "3.jpg").rename(folder / "cats" / "4.jpg"),
            (folder / "cats" / "2.bmp").unlink,
            lambda: os.utime(folder / "cats" / "1.jpeg", ns=(1, 1)),
        ]
        seen = {version}
        for change in changes:
            change()
            reader = ImageFolderDataReader(data_origin=str(folder))
            with pytest.raises(DataError, match="cats: the images of this class are not"):
                list(reader.read_records(task))
            seen.add(reader.version(name))
        assert len(seen) == 5

    def test_the_same_images_in_another_process(self, folder: Path) -> None:
        name = f"{folder}/cats"
        version = ImageFolderDataReader(data_origin=str(folder)).version(name)
        (folder / "dogs" / "c.jpg").touch()
        reader = ImageFolderDataReader(data_origin=str(folder))
        assert len(list(reader.read_records(Task(name, 0, 3, version=version)))) == 3

    def test_a_class_more_changes_labels(self, folder: Path) -> None:
        name = f"{folder}/cats"
        version = ImageFolderDataReader(data_origin=str(folder)).version(name)
        (folder / "ants").mkdir()
        (folder / "ants" / "1.jpg").touch()
        reader = ImageFolderDataReader(data_origin=str(folder))
        with pytest.raises(DataError, match=r"label=1,.* here, label=0,.* there"):
            list(reader.read_records(Task(name, 0, 1, version=version)))

    def test_listed_anew_each_time(self, folder: Path) -> None:
        reader = ImageFolderDataReader(data_origin=str(folder))
        before = reader.create_shards()
        assert len(list(reader.read_records(Task(f"{folder}/cats", 0, 3)))) == 3
        (folder / "ants").mkdir()
        (folder / "ants" / "1.jpg").touch()
        assert reader.create_shards() == {f"{folder}/ants": (0, 1), **before}
        assert [label for _, label in reader.read_records(Task(f"{folder}/cats", 0, 3))] == [1] * 3

    def test_an_image_that_changes_or_goes(self, folder: Path) -> None:
        reader = ImageFolderDataReader(data_origin=str(folder))
        task = Task(f"{folder}/cats", 0, 3)
        list(reader.read_records(task))
        (folder / "cats" / "10.gif").write_bytes(b"shorter")
        with pytest.raises(DataError, match=r"10\.gif: the file has 7 bytes, but had 11"):
            list(reader.read_records(task))
        (folder / "cats" / "10.gif").unlink()
        with pytest.raises(DataError, match=r"10\.gif: cannot be read"):
            list(reader.read_records(task))

    def test_more_than_there_are(self, folder: Path) -> None:
        reader = ImageFolderDataReader(data_origin=str(folder))
        with pytest.raises(DataError, match="but there are 3 images"):
            list(reader.read_records(Task(f"{folder}/cats", 0, 4)))
        with pytest.raises(DataError, match=r"no such class .* there is cats, dogs"):
            list(reader.read_records(Task(f"{folder}/birds", 0, 1)))


def test_behind_a_url() -> None:
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")
    for name in ("dogs/a.jpg", "cats/1.jpg", "cats/2.jpg"):
        system.pipe(f"/images/{name}", name.encode())
    try:
        assert read_all("memory://images") == [
            (b"cats/1.jpg", 0),
            (b"cats/2.jpg", 0),
            (b"dogs/a.jpg", 1),
        ]
        system.pipe("/images/stray.txt", b"")
        with pytest.raises(DataError, match=r"stray\.txt: a file where"):
            read_all("memory://images")
        with pytest.raises(DataError, match="absent: cannot be read"):
            read_all("memory://absent")
    finally:
        system.rm("/images", recursive=True)
