"""Files behind URLs, by way of fsspec.

`http://` has a module of its own, `http`; everything else that fsspec knows is here.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from elasticdl_like.data_readers.extras import import_extra, missing_extra
from elasticdl_like.data_readers.files.local import directory_among_files, is_data
from elasticdl_like.data_readers.files.source import RandomAccessFile, SourceFile
from elasticdl_like.errors import ConfigError, DataError, ElasticdlError

# The extra that brings what fsspec needs for a scheme; what is not here has no extra of its own.
_EXTRAS = {
    "http": "http",
    "https": "http",
    "s3": "s3",
    "s3a": "s3",
    "gs": "gs",
    "gcs": "gs",
    "hdfs": "hdfs",
    "oss": "oss",
}
_HTTP_SCHEMES = ("http", "https")
_CONNECT_TIMEOUT_S = 30
_SILENCE_TIMEOUT_S = 60

# What different storages call the thing that changes whenever the contents of a file do.
_VERSION_KEYS = (
    "ETag",
    "etag",
    "e_tag",
    "generation",
    "md5Hash",
    "content_md5",
    "Content-MD5",
    "checksum",
    "Last-Modified",
    "LastModified",
    "last_modified",
    "mtime",
    "modified",
    "created",
)

# A question costs a round trip, so it is not asked with every read.
CHECK_INTERVAL_S = 30.0
_LISTING_THREADS = 16


class RemoteFile(RandomAccessFile):
    """A file behind a URL, of which each read asks for the bytes it needs and no more.

    Whether the file is still the same is asked when it is opened and every `CHECK_INTERVAL_S`.

    Raises:
        ConfigError: the scheme needs a package that is missing.
        DataError: there is no such file, or it cannot be reached.
    """

    efficient_read_bytes = 1 << 21

    def __init__(self, name: str) -> None:
        with remote_errors_as_data_errors(name):
            self._system, self._path = file_system(name)
        file = self._look_up(name)
        self._checked_s = time.monotonic()
        super().__init__(name, file.size_bytes, file.version)

    def current_version(self) -> str:
        """Returns the version of the file as it was a short time ago, at least."""
        if time.monotonic() - self._checked_s < CHECK_INTERVAL_S:
            return self.version
        version = self._look_up(self.name).version
        if version == self.version:
            self._checked_s = time.monotonic()
        return version

    def close(self) -> None:
        """Does nothing: connections belong to the file system, which keeps them for others."""

    def _look_up(self, name: str) -> SourceFile:
        with remote_errors_as_data_errors(name):
            self._system.invalidate_cache(self._path)
            return source_file(name, self._system.info(self._path))

    def _read(self, offset_bytes: int, size_bytes: int) -> bytes:
        with remote_errors_as_data_errors(self.name):
            end = offset_bytes + size_bytes
            data: bytes = self._system.cat_file(self._path, start=offset_bytes, end=end)
        return data


def open_remote_file(url: str) -> RandomAccessFile:
    """Opens a file behind a URL.

    Raises:
        ConfigError: the scheme needs a package that is missing.
        DataError: there is no such file, or it cannot be reached.
    """
    if url.partition("://")[0] in _HTTP_SCHEMES:
        from elasticdl_like.data_readers.files.http import open_http_file

        return open_http_file(url)
    return RemoteFile(url)


def list_remote_files(url: str) -> list[SourceFile] | None:
    """Returns the files that a URL names, or None if nothing is there.

    Directories and patterns as in `list_local_files`. A directory behind `http://` ends with `/`,
    and is a page with links to its files.

    Raises:
        ConfigError: the scheme needs a package that is missing.
        DataError: a directory is among the files, or something cannot be reached.
    """
    with remote_errors_as_data_errors(url):
        root_url = _beginning_without_pattern(url)
        system, root_path = file_system(root_url)
        system.invalidate_cache()
        if root_url != url:
            found = system.glob(root_path + url[len(root_url) :], detail=True)
            if is_data(url.rpartition("/")[2]):
                found = {path: info for path, info in found.items() if _is_data(path)}
        else:
            is_http = url.partition("://")[0] in _HTTP_SCHEMES
            try:
                info = None if is_http and url.endswith("/") else system.info(root_path)
                if info is not None and info["type"] != "directory":
                    return [source_file(url, info)]
                found = {info["name"]: info for info in system.ls(root_path, detail=True)}
            except FileNotFoundError as error:
                if is_missing(error):
                    return None
                raise
            # Some storages list an empty object for the directory itself.
            found.pop(root_path, None)
            found = {path: info for path, info in found.items() if _is_data(path)}
            root_url = root_url.rstrip("/")
            root_path = root_path.rstrip("/")

        def described(path: str) -> SourceFile:
            name = root_url + path.removeprefix(root_path)
            info = found[path]
            if info["type"] == "directory":
                raise directory_among_files(name, url)
            return source_file(name, info if info.get("size") is not None else system.info(path))

        with ThreadPoolExecutor(_LISTING_THREADS, "listing") as executor:
            return list(executor.map(described, found))


def file_system(url: str) -> tuple[Any, str]:
    """Returns the file system of a URL, and the path in it.

    Raises:
        ConfigError: there is none for the scheme, or it needs a package that is missing.
    """
    scheme = url.partition("://")[0]
    what = f"reading {scheme}://"
    extra = _EXTRAS.get(scheme, "remote")
    core = import_extra("fsspec.core", extra, what)
    options: dict[str, Any] = {}
    if scheme in _HTTP_SCHEMES:
        aiohttp = import_extra("aiohttp", extra, what)
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=_CONNECT_TIMEOUT_S, sock_read=_SILENCE_TIMEOUT_S
        )
        options["client_kwargs"] = {"timeout": timeout}
    try:
        system, path = core.url_to_fs(url, **options)
    except ImportError as error:
        raise missing_extra(extra, what, error) from error
    except ValueError as error:
        raise ConfigError(f"{url}: cannot be read: {error}") from error
    return system, path


def source_file(name: str, info: Mapping[str, Any]) -> SourceFile:
    """Returns the file that fsspec describes.

    Raises:
        DataError: it is a directory, or of unknown size.
    """
    if info["type"] == "directory":
        raise DataError(f"{name}: a directory, not a file; name a file with data")
    size_bytes = info.get("size")
    if size_bytes is None:
        raise DataError(
            f"{name}: the server does not say how large the file is; copy it to where that is known"
        )
    key = next((key for key in _VERSION_KEYS if info.get(key) is not None), "")
    tag = info.get(key, "")
    if isinstance(tag, datetime):
        tag = tag.timestamp()  # as some file systems have it in a listing, but not of one file
    version = f"size={size_bytes}" + (f",{key}={tag}" if key else "")
    return SourceFile(name, size_bytes, version)


@contextmanager
def remote_errors_as_data_errors(name: str) -> Iterator[None]:
    """Turns any error of the block but our own into a `DataError` that names the file.

    Each storage has a client library of its own, and each of these its own errors.
    """
    try:
        yield
    except ElasticdlError:
        raise
    except Exception as error:
        cause = error.__cause__ if isinstance(error, FileNotFoundError) else None
        problem = " ".join(str(cause or error).split())
        raise DataError(
            f"{name}: cannot be read: {type(cause or error).__name__}: {problem}; "
            "check that the URL is right and can be reached from this machine"
        ) from error


def is_missing(error: FileNotFoundError) -> bool:
    """Returns whether a file is not there; fsspec says so as well when a server does not answer."""
    return error.__cause__ is None or getattr(error.__cause__, "status", None) in (404, 410)


def _is_data(path: str) -> bool:
    return is_data(path.rstrip("/").rpartition("/")[2])


def _beginning_without_pattern(url: str) -> str:
    """Returns the directory that a pattern is looked up in; the URL itself if it is no pattern."""
    scheme, _, rest = url.partition("://")
    magic = "*[" if scheme in _HTTP_SCHEMES else "*?["  # "?" begins the query of such a URL
    place = min((rest.find(mark) for mark in magic if mark in rest), default=None)
    if place is None:
        return url
    return f"{scheme}://{rest[:place].rpartition('/')[0]}"
