"""Loads a user's model definition file and looks names up in it."""

from __future__ import annotations

import importlib
import symtable
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from elasticdl_like.config import ModelConfig
from elasticdl_like.errors import ModelDefinitionError


def check_model_def(config: ModelConfig) -> Path:
    """Returns the path of the model definition file, which exists; imports nothing.

    Raises:
        ModelDefinitionError: there is no such file, or `model_def` is not of the right form.
    """
    module_name, _, attribute = config.model_def.rpartition(".")
    if not module_name or not all(part.isidentifier() for part in config.model_def.split(".")):
        raise ModelDefinitionError(
            f"--model_def {config.model_def!r} is not of the form package.module.function, "
            "such as digits.digits_cnn.custom_model"
        )
    if not Path(config.model_zoo).is_dir():
        raise ModelDefinitionError(f"--model_zoo {config.model_zoo!r} is not a directory")
    path = Path(config.model_zoo, *module_name.split(".")).with_suffix(".py")
    if not path.is_file():
        raise ModelDefinitionError(
            f"--model_def {config.model_def!r}: there is no file {path}; the name before the last "
            f"dot is looked up in --model_zoo, and {attribute!r} inside that file"
        )
    return path


def names_in_model_file(config: ModelConfig) -> frozenset[str]:
    """Returns the names that the model definition file has, from its text; imports nothing.

    Importing it would bring TensorFlow into processes that have to be small.

    Raises:
        ModelDefinitionError: there is no such file, or it is not Python.
    """
    path = check_model_def(config)
    try:
        table = symtable.symtable(path.read_text("utf-8"), str(path), "exec")
    except (OSError, SyntaxError, ValueError) as error:
        raise ModelDefinitionError(f"{path} cannot be read: {error}") from error
    return frozenset(table.get_identifiers())


def load_model_file(config: ModelConfig) -> ModuleType:
    """Imports the model definition file; other files of the model zoo can be imported by it.

    Raises:
        ModelDefinitionError: there is no such file, or it raises when imported.
    """
    path = check_model_def(config)
    if config.model_zoo not in sys.path:
        sys.path.insert(0, config.model_zoo)
    try:
        module = importlib.import_module(config.model_def.rpartition(".")[0])
    except Exception as error:
        raise ModelDefinitionError(
            f"{path} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    loaded_from = getattr(module, "__file__", None)
    if loaded_from is None or not Path(loaded_from).samefile(path):
        raise ModelDefinitionError(
            f"--model_def {config.model_def!r}: a module of that name from {loaded_from} is in the "
            f"way of {path}; rename the folder or file"
        )
    return module


def find_name(module: ModuleType, names: Sequence[str]) -> Any:
    """Returns the first of `names` that the model definition file has, or None."""
    for name in names:
        if hasattr(module, name):
            return getattr(module, name)
    return None
