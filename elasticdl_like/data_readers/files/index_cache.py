"""Indexes kept on disk, so that a data set that was indexed once is not indexed again.

One file holds the indexes of one data set in one format: a line of JSON, which says which files
of which versions these are, then the indexes, one after the other. A checksum comes first. A file
that is damaged, or of another format, counts as none: an index can always be made again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from elasticdl_like.data_readers.files.replacing import replacing
from elasticdl_like.sparse_index import SparseIndex

_MAGIC = b"elasticdl index 1\n"
_CHECKSUM_BYTES = 4
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FileIndex:
    """The index of one version of a file."""

    version: str
    index: SparseIndex


class IndexCache:
    """The indexes of one data set, on disk.

    Args:
        index_dir: the directory; made when it is needed. "" for nothing on disk.
        data_origin: the data set.
        format_name: the format of its files, and the version of what is indexed of them.
    """

    def __init__(self, index_dir: str, data_origin: str, format_name: str) -> None:
        self._path: Path | None = None
        if index_dir:
            key = json.dumps([format_name, _absolute(data_origin)])
            self._path = Path(index_dir) / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.index"

    def load(self) -> dict[str, FileIndex]:
        """Returns the indexes by the names of the files; empty if there are none to be had."""
        if self._path is None:
            return {}
        try:
            return _decode(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            _logger.warning(
                "%s: cannot be used, so the data is indexed again: %s", self._path, error
            )
            return {}

    def save(self, indexes: Mapping[str, FileIndex]) -> None:
        """Keeps these indexes, and nothing else."""
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self._path) as file:
                file.write(_encode(indexes))
        except OSError as error:
            _logger.warning(
                "%s: cannot be written, so the data will be indexed again next time: %s",
                self._path,
                error,
            )


def _absolute(data_origin: str) -> str:
    """Tells apart what is called alike in several working directories."""
    return data_origin if "://" in data_origin else f"{Path.cwd()}\n{data_origin}"


def _encode(indexes: Mapping[str, FileIndex]) -> bytes:
    bodies = [entry.index.to_bytes() for entry in indexes.values()]
    directory = [
        [name, entry.version, len(body)]
        for (name, entry), body in zip(indexes.items(), bodies, strict=True)
    ]
    content = b"".join((json.dumps(directory).encode(), b"\n", *bodies))
    return _MAGIC + zlib.crc32(content).to_bytes(_CHECKSUM_BYTES, "little") + content


def _decode(stored: bytes) -> dict[str, FileIndex]:
    start = len(_MAGIC) + _CHECKSUM_BYTES
    content = stored[start:]
    if not stored.startswith(_MAGIC):
        raise ValueError("not an index of this version")
    if zlib.crc32(content).to_bytes(_CHECKSUM_BYTES, "little") != stored[len(_MAGIC) : start]:
        raise ValueError("its checksum is wrong")
    directory, _, bodies = content.partition(b"\n")
    indexes: dict[str, FileIndex] = {}
    offset_bytes = 0
    for name, version, size_bytes in json.loads(directory):
        body = bodies[offset_bytes : offset_bytes + size_bytes]
        indexes[name] = FileIndex(version, SparseIndex.from_bytes(body))
        offset_bytes += size_bytes
    return indexes
