"""Where files of predictions are kept: a directory of this machine, or a URL that fsspec knows."""

from __future__ import annotations

import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from elasticdl_like.data_readers.files import is_url
from elasticdl_like.data_readers.files.remote import file_system
from elasticdl_like.data_readers.files.replacing import replacing
from elasticdl_like.errors import DataError, ElasticdlError

_LOCAL_SCHEME = "file://"


class Storage(ABC):
    """A folder, and what is in it; names are relative to it, with `/` between their parts.

    What a call has done survives a loss of power, as far as that is up to this side.

    Attributes:
        url: the folder's path or URL.
    """

    url: str

    @abstractmethod
    def make_folder(self, name: str) -> None:
        """Makes a folder, and what it is in, unless it is there."""

    @abstractmethod
    def names(self) -> list[str]:
        """Returns the names of what is in the folder itself; none when there is no folder."""

    @abstractmethod
    def exists(self, name: str) -> bool:
        """Returns whether there is something of this name."""

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """Returns what a file holds, or None if there is none."""

    @abstractmethod
    def write(self, name: str, data: bytes) -> None:
        """Writes a file, in place of what was there."""

    @abstractmethod
    def move(self, name: str, new_name: str) -> None:
        """Gives a file another name, in place of what has it."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Removes a file, or a folder with all that is in it, if it is there."""

    def path_of(self, name: str) -> str:
        """Returns the path or URL of something in the folder."""
        return f"{self.url.rstrip('/')}/{name}"


def open_storage(url: str) -> Storage:
    """Returns the folder that a path or URL names; it need not be there.

    Raises:
        ConfigError: the scheme is unknown, or needs a package that is missing.
    """
    return _RemoteStorage(url) if is_url(url) else _LocalStorage(url)


class _LocalStorage(Storage):
    def __init__(self, url: str) -> None:
        self.url = url.removeprefix(_LOCAL_SCHEME)
        self._root = Path(self.url)

    def make_folder(self, name: str) -> None:
        path = self._root / name
        with _errors_named(path):
            missing = [each for each in (path, *path.parents) if not each.exists()]
            path.mkdir(parents=True, exist_ok=True)
            for each in missing:
                _sync_directory(each.parent)

    def names(self) -> list[str]:
        with _errors_named(self._root):
            return [entry.name for entry in self._root.iterdir()] if self._root.exists() else []

    def exists(self, name: str) -> bool:
        with _errors_named(self._root / name):
            return (self._root / name).exists()

    def read(self, name: str) -> bytes | None:
        with _errors_named(self._root / name):
            try:
                return (self._root / name).read_bytes()
            except FileNotFoundError:
                return None

    def write(self, name: str, data: bytes) -> None:
        path = self._root / name
        with _errors_named(path):
            with replacing(path) as file:
                file.write(data)
            _sync_directory(path.parent)

    def move(self, name: str, new_name: str) -> None:
        path, new_path = self._root / name, self._root / new_name
        with _errors_named(path):
            path.replace(new_path)
            _sync_directory(new_path.parent)

    def remove(self, name: str) -> None:
        path = self._root / name
        with _errors_named(path):
            try:
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
            except FileNotFoundError:
                return  # it was not there, or another process removes it, too
            _sync_directory(path.parent)


class _RemoteStorage(Storage):
    def __init__(self, url: str) -> None:
        self.url = url
        with _errors_named(url):
            self._system, root = file_system(url)
        self._root = root.rstrip("/")

    def make_folder(self, name: str) -> None:
        with _errors_named(self.path_of(name)):
            self._system.makedirs(self._path(name), exist_ok=True)

    def names(self) -> list[str]:
        with _errors_named(self.url):
            # Other processes write here: what is remembered of a listing may be old.
            self._system.invalidate_cache()
            try:
                paths = self._system.ls(self._root, detail=False)
            except FileNotFoundError:
                return []
            # Some storages list an empty object for the folder itself.
            return [
                path.rstrip("/").rpartition("/")[2]
                for path in paths
                if path.strip("/") != self._root.strip("/")
            ]

    def exists(self, name: str) -> bool:
        with _errors_named(self.path_of(name)):
            self._system.invalidate_cache()
            return bool(self._system.exists(self._path(name)))

    def read(self, name: str) -> bytes | None:
        with _errors_named(self.path_of(name)):
            self._system.invalidate_cache()
            try:
                data: bytes = self._system.cat_file(self._path(name))
            except FileNotFoundError:
                return None
            return data

    def write(self, name: str, data: bytes) -> None:
        with _errors_named(self.path_of(name)):
            self._system.pipe_file(self._path(name), data)

    def move(self, name: str, new_name: str) -> None:
        with _errors_named(self.path_of(name)):
            self._system.mv(self._path(name), self._path(new_name))

    def remove(self, name: str) -> None:
        with _errors_named(self.path_of(name)):
            self._system.invalidate_cache()
            try:
                self._system.rm(self._path(name), recursive=True)
            except FileNotFoundError:
                return

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _errors_named(name: str | Path) -> Iterator[None]:
    """Turns any error of the block but our own into a `DataError` that names the file.

    Each storage has a client library of its own, and each of these its own errors.
    """
    try:
        yield
    except ElasticdlError:
        raise
    except Exception as error:
        problem = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise DataError(
            f"{name}: cannot be written: {type(error).__name__}: {problem}; check that the place "
            "is right, that there is room, and that this machine may write there"
        ) from error
