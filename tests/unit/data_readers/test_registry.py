from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from elasticdl_like.config import DataConfig, ModelConfig
from elasticdl_like.data_readers import RecordIODataReader
from elasticdl_like.data_readers.reading import DataReader
from elasticdl_like.data_readers.registry import construct, custom_reader_name, make_reader
from elasticdl_like.errors import (
    ConfigError,
    DataError,
    ModelDefinitionError,
    ReaderError,
)

OFFERED = {"data_origin": "there", "records_per_task": 64}


class Reader:
    def create_shards(self) -> Any:
        return {"s": 1}

    def read_records(self, task: Any) -> Iterator[Any]:
        yield b""


class TakesNothing(Reader):
    pass


class TakesOrigin(Reader):
    def __init__(self, data_origin: str) -> None:
        self.arguments = {"data_origin": data_origin}


class TakesSome(Reader):
    def __init__(self, *, records_per_task: int, table: str = "default") -> None:
        self.arguments = {"records_per_task": records_per_task, "table": table}


class TakesAll(Reader):
    def __init__(self, **kwargs: Any) -> None:
        self.arguments = kwargs


class NeedsMore(Reader):
    def __init__(self, data_origin: str, table: str) -> None:
        pass


def arguments(reader: DataReader) -> dict[str, Any]:
    return reader.arguments  # type: ignore[attr-defined, no-any-return]


def test_only_what_the_signature_takes_is_passed() -> None:
    assert isinstance(construct(TakesNothing, OFFERED, {}), TakesNothing)
    assert arguments(construct(TakesOrigin, OFFERED, {})) == {"data_origin": "there"}
    assert arguments(construct(TakesSome, OFFERED, {"table": "t"})) == {
        "records_per_task": 64,
        "table": "t",
    }


def test_kwargs_take_all() -> None:
    assert arguments(construct(TakesAll, OFFERED, {"x": 1})) == OFFERED | {"x": 1}


def test_a_function_may_make_the_reader() -> None:
    def custom_data_reader(data_origin: str, **kwargs: Any) -> Reader:
        return TakesAll(origin=data_origin, **kwargs)

    assert arguments(construct(custom_data_reader, OFFERED, {})) == {
        "origin": "there",
        "records_per_task": 64,
    }


def test_a_parameter_of_the_user_wins() -> None:
    assert arguments(construct(TakesOrigin, OFFERED, {"data_origin": "elsewhere"})) == {
        "data_origin": "elsewhere"
    }


def test_a_parameter_that_is_not_taken_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"TakesOrigin.*'tabel'") as caught:
        construct(TakesOrigin, OFFERED, {"tabel": "t"})
    assert "--custom_data_reader_params" in str(caught.value)
    assert "it takes data_origin" in str(caught.value)


def test_a_parameter_that_is_missing_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"NeedsMore.*'table'"):
        construct(NeedsMore, OFFERED, {})


def test_a_missing_method_is_named() -> None:
    class NoRead:
        def create_shards(self) -> Any: ...

    class NoShards:
        def read_records(self, task: Any) -> Any: ...

    with pytest.raises(ModelDefinitionError, match="NoRead has no method read_records"):
        construct(NoRead, {}, {})
    with pytest.raises(ModelDefinitionError, match="NoShards has no method create_shards"):
        construct(NoShards, {}, {})
    with pytest.raises(ModelDefinitionError, match="no method create_shards"):
        construct(lambda: None, {}, {})


def test_what_the_constructor_raises() -> None:
    class Raises(Reader):
        def __init__(self) -> None:
            raise OSError("no database")

    class Typed(Reader):
        def __init__(self) -> None:
            raise DataError("ours")

    class RaisesTypeError(Reader):
        def __init__(self) -> None:
            raise TypeError("a fault of the user's own")

    with pytest.raises(ReaderError, match="Raises cannot be made: OSError: no database"):
        construct(Raises, OFFERED, {})
    with pytest.raises(DataError, match=r"^ours$"):
        construct(Typed, OFFERED, {})
    with pytest.raises(ReaderError, match="a fault of the user's own"):
        construct(RaisesTypeError, OFFERED, {})


# Built-in readers.


@pytest.mark.parametrize("params", [{}, {"reader_type": "RecordIO"}, {"reader_type": "recordio"}])
def test_recordio_is_built_in_and_the_default(params: dict[str, str]) -> None:
    reader = make_reader("data", DataConfig("data", reader_params=params), None, 64)
    assert isinstance(reader, RecordIODataReader)


@pytest.mark.parametrize("reader_type", ["ORC", "RecordOI", 5])
def test_an_unknown_reader_type(reader_type: Any) -> None:
    data = DataConfig("data", reader_params={"reader_type": reader_type})
    with pytest.raises(ConfigError, match=f"no reader_type '{reader_type}'; there is RecordIO, TF"):
        make_reader("data", data, None, 64)


def test_recordio_takes_no_other_parameter() -> None:
    data = DataConfig("data", reader_params={"compressor": "gzip"})
    with pytest.raises(ConfigError, match=r"RecordIODataReader.*'compressor'"):
        make_reader("data", data, None, 64)


# Readers of the user.


@pytest.fixture
def zoo(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    if str(tmp_path) in sys.path:
        sys.path.remove(str(tmp_path))
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "") or "").startswith(str(tmp_path)):
            del sys.modules[name]


def model_file(zoo: Path, text: str) -> ModelConfig:
    name = f"model_file_{zoo.name}".replace("-", "_")
    (zoo / f"{name}.py").write_text(text)
    return ModelConfig(str(zoo), f"{name}.custom_model")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("class CustomDataReader: pass", "CustomDataReader"),
        ("def custom_data_reader(): pass", "custom_data_reader"),
        ("class CustomDataReader: pass\ndef custom_data_reader(): pass", "custom_data_reader"),
        ("from elsewhere import Reader as CustomDataReader", "CustomDataReader"),
        ("if True:\n  CustomDataReader = object", "CustomDataReader"),
        ("def f():\n  class CustomDataReader: pass", ""),
        ("class MyReader: pass  # CustomDataReader", ""),
        ("import tensorflow_that_is_not_there\nraise SystemExit", ""),
        ("", ""),
    ],
)
def test_the_default_names_are_found_without_importing(zoo: Path, text: str, expected: str) -> None:
    before = set(sys.modules)
    assert custom_reader_name(DataConfig("d"), model_file(zoo, text)) == expected
    assert not [name for name in set(sys.modules) - before if name.startswith("model_file_")]


def test_a_reader_named_by_the_flag(zoo: Path) -> None:
    model = model_file(zoo, "class CustomDataReader: pass")
    assert custom_reader_name(DataConfig("d", custom_data_reader="Mine"), model) == "Mine"


def test_a_reader_needs_a_model_file() -> None:
    assert custom_reader_name(DataConfig("d"), None) == ""
    with pytest.raises(ConfigError, match="needs --model_zoo and --model_def"):
        custom_reader_name(DataConfig("d", custom_data_reader="Mine"), None)


def test_a_model_file_that_is_not_python(zoo: Path) -> None:
    with pytest.raises(ModelDefinitionError, match=r"cannot be read"):
        custom_reader_name(DataConfig("d"), model_file(zoo, "def f(:"))
    with pytest.raises(ModelDefinitionError, match="there is no file"):
        custom_reader_name(DataConfig("d"), ModelConfig(str(zoo), "nothing.here"))


def test_a_reader_of_the_model_file_is_made(zoo: Path) -> None:
    model = model_file(
        zoo,
        "class Mine:\n"
        "    def __init__(self, data_origin, records_per_task, limit):\n"
        "        self.arguments = (data_origin, records_per_task, limit)\n"
        "    def create_shards(self): return {'s': 1}\n"
        "    def read_records(self, task): yield b''\n",
    )
    data = DataConfig("d", custom_data_reader="Mine", reader_params={"limit": 3})
    # A scheme is the user's reader's business.
    reader: Any = make_reader("odps://table", data, model, 64)
    assert reader.arguments == ("odps://table", 64, 3)


def test_a_reader_that_the_model_file_lacks(zoo: Path) -> None:
    model = model_file(zoo, "")
    with pytest.raises(ModelDefinitionError, match=r"model_file_.*\.py has no 'Mine'"):
        make_reader("d", DataConfig("d", custom_data_reader="Mine"), model, 64)
