"""Finds the class that reads a data set, and constructs it.

In this order: the reader of the model definition file; `reader_type` in the reader parameters; the
scheme of the data origin; its extension; else RecordIO. Readers are imported when they are needed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from elasticdl_like.config import DataConfig, ModelConfig
from elasticdl_like.data_readers.reader_types import reader_class
from elasticdl_like.data_readers.reading import DataReader
from elasticdl_like.errors import ConfigError, ElasticdlError, ModelDefinitionError, ReaderError
from elasticdl_like.model_file import (
    check_model_def,
    load_model_file,
    names_in_model_file,
)
from elasticdl_like.secret_params import reveal_secrets

DEFAULT_READER_NAMES = ("custom_data_reader", "CustomDataReader")


def custom_reader_name(data: DataConfig, model: ModelConfig | None) -> str:
    """Returns the name of the user's reader in the model definition file, or "" for none.

    Decided once for a job, from the file's text.

    Raises:
        ConfigError: a reader is named, but no model definition file.
        ModelDefinitionError: there is no such file, or it is not Python.
    """
    if model is None:
        if data.custom_data_reader:
            raise ConfigError("--custom_data_reader needs --model_zoo and --model_def")
        return ""
    if data.custom_data_reader:
        check_model_def(model)
        return data.custom_data_reader
    names = names_in_model_file(model)
    return next((name for name in DEFAULT_READER_NAMES if name in names), "")


def make_reader(
    data_origin: str,
    data: DataConfig,
    model: ModelConfig | None,
    records_per_task: int,
    index_dir: str = "",
) -> DataReader:
    """Constructs the reader of one data set.

    Args:
        data_origin: where the data set is: a path, a URL, or whatever the reader understands.
        data: names the user's reader, as `custom_reader_name` returned it, and holds the
            parameters.
        model: the model definition, where a user's reader is looked up.
        records_per_task: given to a reader that asks for it.
        index_dir: where indexes of the data are kept, or "" for nowhere; likewise.

    Raises:
        ConfigError: there is no such reader, it does not take the parameters, the files are of
            several kinds, or a parameter refers to an environment variable that is not set.
        ModelDefinitionError: the model definition file cannot be loaded, or lacks the reader.
        ReaderError: the reader's constructor raised an exception.
    """
    params = reveal_secrets(data.reader_params)
    factory: Callable[..., Any]
    if data.custom_data_reader and model is not None:
        module = load_model_file(model)
        if not hasattr(module, data.custom_data_reader):
            raise ModelDefinitionError(
                f"--custom_data_reader: {module.__file__} has no {data.custom_data_reader!r}"
            )
        factory = getattr(module, data.custom_data_reader)
    else:
        factory = reader_class(str(params.pop("reader_type", "")), data_origin)
    offered = {
        "data_origin": data_origin,
        "records_per_task": records_per_task,
        "index_dir": index_dir,
    }
    return construct(factory, offered, params)


def construct(
    factory: Callable[..., Any], offered: Mapping[str, Any], params: Mapping[str, Any]
) -> DataReader:
    """Calls a reader class or function with the arguments that its signature takes.

    Args:
        factory: the class, or a function that returns a reader.
        offered: arguments that the factory need not take.
        params: the user's parameters; the factory must take each.

    Raises:
        ConfigError: the factory does not take a parameter, or needs one that is not given.
        ReaderError: the factory raised an exception.
        ModelDefinitionError: it returned something that is not a reader.
    """
    name = getattr(factory, "__name__", repr(factory))
    signature = inspect.signature(factory)
    named = {
        parameter.name
        for parameter in signature.parameters.values()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    takes_all = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    arguments = {key: value for key, value in offered.items() if takes_all or key in named}
    arguments.update(params)
    try:
        signature.bind(**arguments)
    except TypeError as error:
        raise ConfigError(
            f"the data reader {name} cannot be made: {error}; it is called with "
            f"{', '.join(arguments) or 'no arguments'}, its parameters come from "
            f"--custom_data_reader_params, and it takes {', '.join(signature.parameters) or 'none'}"
        ) from error
    try:
        reader = factory(**arguments)
    except ElasticdlError:
        raise
    except Exception as error:
        raise ReaderError(
            f"the data reader {name} cannot be made: {type(error).__name__}: {error}"
        ) from error
    for method in ("create_shards", "read_records"):
        if not callable(getattr(reader, method, None)):
            raise ModelDefinitionError(
                f"the data reader {name} has no method {method}; a reader has "
                "create_shards(self) and read_records(self, task)"
            )
    made: DataReader = reader
    return made
