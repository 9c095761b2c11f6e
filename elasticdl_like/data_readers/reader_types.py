"""The readers that can be chosen by name, scheme or extension: built in, or of other packages.

A package offers a reader as an entry point of the group `elasticdl_like.data_readers`: the name is
the reader type, the value the class. The class may say with `suffixes` which file names, and with
`schemes` which URLs, are read by it.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from elasticdl_like.errors import ConfigError, DataError

ENTRY_POINT_GROUP = "elasticdl_like.data_readers"

_PACKAGE = "elasticdl_like.data_readers"
_logger = logging.getLogger(__name__)


def _also_gzipped(*suffixes: str) -> tuple[str, ...]:
    return (*suffixes, *(f"{suffix}.gz" for suffix in suffixes))


@dataclass(frozen=True)
class ReaderType:
    """A built-in reader.

    Attributes:
        location: its class, as `module:Class`; imported when it is needed.
        suffixes: the ends of the names of its files, in lower case.
        schemes: those of the URLs that are its own, in lower case.
    """

    location: str
    suffixes: tuple[str, ...] = ()
    schemes: tuple[str, ...] = ()


_BUILT_IN = {
    "RecordIO": ReaderType(f"{_PACKAGE}.recordio:RecordIODataReader", (".recordio", ".rio")),
    "TFRecord": ReaderType(
        f"{_PACKAGE}.tfrecord:TFRecordDataReader",
        _also_gzipped(".tfrecord", ".tfrecords", ".tfrec"),
    ),
    "Text": ReaderType(f"{_PACKAGE}.text:TextDataReader", _also_gzipped(".txt")),
    "JsonLines": ReaderType(
        f"{_PACKAGE}.text:JsonLinesDataReader", _also_gzipped(".jsonl", ".ndjson")
    ),
    "Csv": ReaderType(f"{_PACKAGE}.text.csv_reader:CsvDataReader", _also_gzipped(".csv", ".tsv")),
    "Parquet": ReaderType(f"{_PACKAGE}.parquet:ParquetDataReader", (".parquet", ".pq")),
    "Images": ReaderType(f"{_PACKAGE}.images:ImageFolderDataReader"),
    "ODPS": ReaderType(f"{_PACKAGE}.odps:ODPSDataReader", schemes=("odps",)),
}
_DEFAULT = "RecordIO"


def reader_class(reader_type: str, data_origin: str) -> Callable[..., Any]:
    """Returns the class that reads a data set.

    Args:
        reader_type: the name of the reader, in upper or lower case; or "" to go by the scheme and
            the extension of the data origin, RecordIO when neither says.
        data_origin: a file, a directory, a glob pattern, several of these, or a URL.

    Raises:
        ConfigError: there is no such reader, or it cannot be imported; or the files have the
            extensions of several readers.
    """
    if reader_type:
        return _named(reader_type)
    scheme, separator, _ = data_origin.partition("://")
    if separator:
        found = _of_scheme(scheme.lower())
        if found is not None:
            return found
        if not _is_file_scheme(scheme.lower()):
            raise ConfigError(
                f"no reader reads {scheme}:// ({data_origin}); name one with reader_type in "
                "--custom_data_reader_params, or write a CustomDataReader in the model "
                "definition file"
            )
    return _of_extension(data_origin)


def _named(reader_type: str) -> Callable[..., Any]:
    for name, built_in in _BUILT_IN.items():
        if name.lower() == reader_type.lower():
            return _imported(built_in)
    entry_points = _entry_points()
    for entry_point in entry_points:
        if entry_point.name.lower() == reader_type.lower():
            return _loaded(entry_point)
    names = [*_BUILT_IN, *(entry_point.name for entry_point in entry_points)]
    raise ConfigError(
        f"--custom_data_reader_params: there is no reader_type {reader_type!r}; "
        f"there is {', '.join(names)}"
    )


def _of_scheme(scheme: str) -> Callable[..., Any] | None:
    for built_in in _BUILT_IN.values():
        if scheme in built_in.schemes:
            return _imported(built_in)
    for entry_point in _entry_points():
        if entry_point.name.lower() == scheme:
            return _loaded(entry_point)
    for _, loaded in _loadable_entry_points():
        if scheme in getattr(loaded, "schemes", ()):
            return loaded
    return None


def _is_file_scheme(scheme: str) -> bool:
    try:
        fsspec = importlib.import_module("fsspec")
    except ImportError:
        return True  # whoever opens the file says what to install
    return scheme.partition("::")[0] in fsspec.available_protocols()


def _of_extension(data_origin: str) -> Callable[..., Any]:
    kinds = {} if "," in data_origin else _kinds([_without_query(data_origin)])
    kinds = kinds or _kinds(_file_names(data_origin))
    if len(kinds) > 1:
        examples = ", ".join(f"{kind} ({example})" for kind, example in kinds.items())
        raise ConfigError(
            f"{data_origin}: the files are of several kinds: {examples}; name those of one kind "
            "with a glob pattern, or the reader with reader_type in --custom_data_reader_params"
        )
    return _named(next(iter(kinds), _DEFAULT))


def _file_names(data_origin: str) -> list[str]:
    from elasticdl_like.data_readers.files import list_files

    try:
        return [_without_query(file.name) for file in list_files(data_origin)]
    except DataError:
        return []  # the reader says what is wrong with the data origin, as it does with its own


def _without_query(name: str) -> str:
    return name.partition("?")[0] if name.startswith(("http://", "https://")) else name


def _kinds(names: list[str]) -> dict[str, str]:
    """Returns the reader types that the extensions of files name, each with its first file."""
    kinds: dict[str, str] = {}
    others = []
    for name in names:
        for kind, built_in in _BUILT_IN.items():
            if name.lower().endswith(built_in.suffixes):
                kinds.setdefault(kind, name)
                break
        else:
            others.append(name)
    if others:
        for entry_point, loaded in _loadable_entry_points():
            suffixes = tuple(getattr(loaded, "suffixes", ()))
            example = next((name for name in others if name.lower().endswith(suffixes)), None)
            if example is not None:
                kinds.setdefault(entry_point.name, example)
    return kinds


def _imported(built_in: ReaderType) -> Callable[..., Any]:
    module_name, _, class_name = built_in.location.partition(":")
    loaded: Callable[..., Any] = getattr(importlib.import_module(module_name), class_name)
    return loaded


def _entry_points() -> list[importlib.metadata.EntryPoint]:
    """Returns those of every package, sorted, so that the first of a name is always the same."""
    found = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
    return sorted(found, key=lambda each: (each.name, each.value))


def _loaded(entry_point: importlib.metadata.EntryPoint) -> Callable[..., Any]:
    try:
        loaded: Callable[..., Any] = entry_point.load()
    except Exception as error:
        package = entry_point.dist.name if entry_point.dist else "an unknown package"
        raise ConfigError(
            f"the data reader {entry_point.name} of the package {package} cannot be loaded from "
            f"{entry_point.value!r}: {type(error).__name__}: {error}"
        ) from error
    return loaded


def _loadable_entry_points() -> Iterator[tuple[importlib.metadata.EntryPoint, Callable[..., Any]]]:
    for entry_point in _entry_points():
        try:
            yield entry_point, _loaded(entry_point)
        except ConfigError as error:
            _logger.warning("%s; it is left out", error)
