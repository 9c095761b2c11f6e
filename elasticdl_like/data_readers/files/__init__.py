"""Finds and opens the files of a data source: local paths, or URLs of any kind that fsspec knows.

for file in list_files("/data/train", (".csv",)):   # or "s3://bucket/train/*.csv"
    with open_file(file.name) as opened:
        beginning = opened.read(0, min(100, opened.size_bytes))
"""

from __future__ import annotations

from collections.abc import Collection

from elasticdl_like.data_readers.files.gzipped import DecompressedFile, is_gzip_name
from elasticdl_like.data_readers.files.local import LocalFile, list_local_files
from elasticdl_like.data_readers.files.source import RandomAccessFile, SourceFile
from elasticdl_like.errors import ConfigError, DataError

__all__ = ["RandomAccessFile", "SourceFile", "list_files", "open_file"]

_LOCAL_SCHEME = "file://"


def list_files(data_origin: str, suffixes: Collection[str] = ()) -> list[SourceFile]:
    """Returns the files of a data source, sorted by name, each once.

    Args:
        data_origin: a file, a directory, a glob pattern, or several of these with commas between
            them. Names that begin with `.` or `_` do not count in directories and patterns.
        suffixes: how the names of files in a directory may end, in lower case; anything when
            empty. Files that are named one by one, or by a pattern, may end as they like.

    Raises:
        ConfigError: `data_origin` is empty, or its scheme needs a package that is missing.
        DataError: no file is there, one cannot be read, or one is in a directory by mistake.
    """
    if not data_origin:
        raise ConfigError("data_origin is empty; name a file, a directory or a glob pattern")
    parts = [part.strip() for part in data_origin.split(",")]
    # A comma may be part of a name, but not of one in which a URL begins after it.
    files = None if any(map(is_url, parts[1:])) else _list_one(data_origin, suffixes)
    if not files and len(parts) > 1 and all(parts):
        files = []
        for part in parts:
            files += _list_one(part, suffixes) or _none_there(part)
    return sorted(set(files or _none_there(data_origin)))


def open_file(name: str) -> RandomAccessFile:
    """Opens a file for reading; one whose name ends with `.gz` as what it decompresses to.

    Args:
        name: its path or URL, as `list_files` gives it.

    Raises:
        ConfigError: the scheme needs a package that is missing.
        DataError: there is no such file, or it cannot be read.
    """
    if is_url(name):
        from elasticdl_like.data_readers.files.remote import open_remote_file

        file: RandomAccessFile = open_remote_file(name)
    else:
        file = LocalFile(name.removeprefix(_LOCAL_SCHEME))
    return DecompressedFile(file) if is_gzip_name(name) else file


def is_url(name: str) -> bool:
    """Returns whether this names something beyond this machine's file system."""
    return "://" in name and not name.startswith(_LOCAL_SCHEME)


def _list_one(data_origin: str, suffixes: Collection[str]) -> list[SourceFile] | None:
    """Returns the files of one path, pattern or URL; None if there is nothing of this name."""
    if is_url(data_origin):
        from elasticdl_like.data_readers.files.remote import list_remote_files

        files = list_remote_files(data_origin)
    else:
        data_origin = data_origin.removeprefix(_LOCAL_SCHEME)
        files = list_local_files(data_origin)
    if suffixes and files is not None:
        _check_suffixes(data_origin, files, tuple(suffixes))
    return files


def _check_suffixes(data_origin: str, files: list[SourceFile], suffixes: tuple[str, ...]) -> None:
    directory = data_origin.rstrip("/") + "/"
    for file in files:
        if file.name.startswith(directory) and not file.name.lower().endswith(suffixes):
            raise DataError(
                f"{file.name}: does not end with {' or '.join(suffixes)}, as the data files of "
                f"the directory {data_origin} should; move it, or name the files with a pattern"
            )


def _none_there(data_origin: str) -> list[SourceFile]:
    raise DataError(
        f"{data_origin}: no file there to read; name a file, a directory that has files "
        "(names beginning with '.' or '_' do not count), or a glob pattern"
    )
