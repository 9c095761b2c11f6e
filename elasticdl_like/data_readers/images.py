"""The data reader for images in folders, one folder for each class."""

from __future__ import annotations

import hashlib
import threading
from array import array
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from elasticdl_like.data_readers.base import BatchDataReader, Metadata, RecordBatch
from elasticdl_like.data_readers.files import is_url, list_files, open_file
from elasticdl_like.data_readers.files.local import is_data
from elasticdl_like.data_readers.files.source import os_errors_as_data_errors
from elasticdl_like.errors import ConfigError, DataError
from elasticdl_like.tasks import Task

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp")

_MAX_BATCH_BYTES = 16 << 20
# What is far away is waited for, one round trip or two for each image.
_REMOTE_THREADS = 16


class ImageFolderDataReader(BatchDataReader):
    """Reads a directory of directories of images; a shard is one of these, a class.

    A record is the bytes of an image file, not decoded, and the label of its class: columns
    `image` and `label`. Labels count the classes from 0 in the order of their names; the images of
    a class are in the order of theirs. Names that begin with `.` or `_` do not count.

    Args:
        data_origin: the directory that has the directories of the classes; a path or a URL.

    Raises:
        ConfigError: `data_origin` is empty.
    """

    reads_in_parallel = True

    def __init__(self, *, data_origin: str) -> None:
        super().__init__(data_origin=data_origin)
        if not data_origin:
            raise ConfigError("data_origin is empty; name a directory of directories of images")
        self._data_origin = data_origin
        self._listing = threading.Lock()
        self._versions: dict[str, str] = {}
        self._classes: dict[str, _ImageClass] = {}

    @property
    def output_signature(self) -> Mapping[str, str]:
        """The types of the columns."""
        return {"image": "string", "label": "int64"}

    @property
    def metadata(self) -> Metadata:
        """The columns `image` and `label`."""
        dtypes = {"image": np.dtype(object), "label": np.dtype(np.int64)}
        return Metadata(tuple(dtypes), dtypes)

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes; the label of a class is its place among them.

        Raises:
            DataError: the directory cannot be listed, has no classes, or has files.
        """
        names = _remote_classes if is_url(self._data_origin) else _local_classes
        found = tuple(sorted(names(self._data_origin)))
        if not found:
            raise DataError(
                f"{self._data_origin}: no directory in it; images are read from one directory for "
                "each class, such as cats/1.jpg"
            )
        return found

    def create_shards(self) -> dict[str, tuple[int, int]]:
        """Returns `{directory of a class: (0, number of its images)}`; reads no image.

        Raises:
            DataError: the directory cannot be listed, or has something else than images in
                directories.
        """
        vars(self).pop("class_names", None)
        with self._listing:
            self._classes.clear()
        shards = {}
        for label, class_name in enumerate(self.class_names):
            directory = f"{self._data_origin.rstrip('/')}/{class_name}"
            # Not kept: only those who read images need their names.
            listed = _list_class(directory, label)
            shards[directory] = (0, len(listed.file_names))
            self._versions[directory] = listed.version
        return shards

    def version(self, shard_name: str) -> str:
        """Returns the label of a class, and what tells its images from any others."""
        return self._versions.get(shard_name) or self._class(shard_name).version

    def describe(self, shard_name: str) -> Mapping[str, str]:
        """Returns the label of a class, for `elasticdl data inspect`."""
        return {"label": str(self._label(shard_name))}

    def read_record_batches(self, task: Task) -> Iterator[RecordBatch]:
        """Yields the images of the task in batches of about 16 MiB at most.

        Raises:
            DataError: the images of the class are others than in the master, or one of them cannot
                be read or changed.
        """
        images = self._class(task.shard_name)
        if task.version and task.version != images.version:
            raise DataError(
                f"{task.shard_name}: the images of this class are not those that the master found: "
                f"{images.version} here, {task.version} there; leave data files alone while a job "
                "reads them; copies on several machines need equal modification times "
                "(cp -p, rsync -t)"
            )
        if task.end > len(images.file_names):
            raise DataError(
                f"{task.shard_name}: asked for {task}, but there are {len(images.file_names)} "
                "images; make the shards again from the directory as it is"
            )
        for start, end in images.parts(task.start, task.end):
            column = np.empty(end - start, object)
            column[:] = images.read(start, end)
            yield {"image": column, "label": np.full(end - start, images.label, np.int64)}

    def _label(self, directory: str) -> int:
        class_name = directory.rpartition("/")[2]
        if class_name not in self.class_names:
            raise DataError(
                f"{directory}: no such class in {self._data_origin}; there is "
                f"{', '.join(self.class_names)}"
            )
        return self.class_names.index(class_name)

    def _class(self, directory: str) -> _ImageClass:
        with self._listing:
            found = self._classes.get(directory)
            if found is None:
                found = _list_class(directory, self._label(directory))
                self._classes[directory] = found
            return found


@dataclass(frozen=True)
class _ImageClass:
    """The images of a class.

    Attributes:
        directory: where they are.
        label: the label of the class.
        file_names: the names of the files in the directory, in their order.
        sizes_bytes: their sizes.
        version: tells them from any others.
    """

    directory: str
    label: int
    file_names: Sequence[str]
    sizes_bytes: Sequence[int]
    version: str

    def parts(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Yields the range `[start, end)` in parts that are read at once."""
        part_bytes = 0
        for number in range(start, end):
            if number > start and part_bytes + self.sizes_bytes[number] > _MAX_BATCH_BYTES:
                yield start, number
                start, part_bytes = number, 0
            part_bytes += self.sizes_bytes[number]
        if start < end:
            yield start, end

    def read(self, start: int, end: int) -> list[bytes]:
        """Returns the images `[start, end)`."""
        if not is_url(self.directory):
            return list(map(self._read_one, range(start, end)))
        with ThreadPoolExecutor(_REMOTE_THREADS, "images") as executor:
            return list(executor.map(self._read_one, range(start, end)))

    def _read_one(self, number: int) -> bytes:
        with open_file(f"{self.directory}/{self.file_names[number]}") as file:
            if file.size_bytes != self.sizes_bytes[number]:
                raise DataError(
                    f"{file.name}: the file has {file.size_bytes} bytes, but had "
                    f"{self.sizes_bytes[number]} when its directory was listed; leave data files "
                    "alone while a job reads them, and start the job again"
                )
            return file.read(0, file.size_bytes)


def _list_class(directory: str, label: int) -> _ImageClass:
    files = list_files(directory, SUFFIXES)
    names = [file.name.rpartition("/")[2] for file in files]
    digest = hashlib.sha256()
    for name, file in zip(names, files, strict=True):
        digest.update(f"{name}\0{file.version}\0".encode(errors="surrogateescape"))
    version = f"label={label},images={len(files)},sha256={digest.hexdigest()[:32]}"
    sizes_bytes = array("q", (file.size_bytes for file in files))
    return _ImageClass(directory, label, names, sizes_bytes, version)


def _local_classes(data_origin: str) -> Iterator[str]:
    with os_errors_as_data_errors(data_origin):
        for entry in Path(data_origin).iterdir():
            if is_data(entry.name):
                if not entry.is_dir():
                    raise _stray_file(str(entry), data_origin)
                yield entry.name


def _remote_classes(data_origin: str) -> Iterator[str]:
    from elasticdl_like.data_readers.files.remote import (
        file_system,
        remote_errors_as_data_errors,
    )

    with remote_errors_as_data_errors(data_origin):
        system, path = file_system(data_origin)
        system.invalidate_cache()
        for entry in system.ls(path, detail=True):
            name = entry["name"].rstrip("/").rpartition("/")[2]
            # Some storages list an empty object for the directory itself.
            if is_data(name) and entry["name"].strip("/") != path.strip("/"):
                if entry["type"] != "directory":
                    raise _stray_file(entry["name"], data_origin)
                yield name


def _stray_file(name: str, data_origin: str) -> DataError:
    return DataError(
        f"{name}: a file where the directories of the classes of {data_origin} are expected; move "
        "it, or name the directory above"
    )
