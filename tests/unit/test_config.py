from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elasticdl_like.config import (
    CheckpointConfig,
    DataConfig,
    DistributionStrategy,
    JobConfig,
    JobKind,
    ModelConfig,
    TrainingConfig,
    parse_params,
)
from elasticdl_like.errors import ConfigError

FLAG = "--custom_data_reader_params"

FULL = JobConfig(
    name="ein Jöb",
    data=DataConfig("train", "validation", "Reader", {"k": [1, None, "x"], "n": {"m": 1.5}}),
    model=ModelConfig("/zoo", "a.b.c", {"layers": 3}, loss="my_loss", feed_batch="fb"),
    training=TrainingConfig(32, 4, 3, 100, False, 9, 50, 10, 7),
    checkpoint=CheckpointConfig(5, 30.0, "/checkpoints", 0, "/init", "/resume"),
    output="/output",
    distribution_strategy=DistributionStrategy.ALL_REDUCE,
    kind=JobKind.DATA,
    log_level="DEBUG",
    index_dir="/index",
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("  \n ", {}),
        ("a=1", {"a": 1}),
        ("a=1; b=2.5 ;c=x", {"a": 1, "b": 2.5, "c": "x"}),
        ("a=1;;b=2;", {"a": 1, "b": 2}),
        ("a=1\nb=2\n", {"a": 1, "b": 2}),
        ("a=", {"a": ""}),
        ("a=x=y", {"a": "x=y"}),
        ("a='x;y'; b=1", {"a": "x;y", "b": 1}),
        ('a="x;y"; b=1', {"a": "x;y", "b": 1}),
        (r"a='it\'s; here'; b=1", {"a": "it's; here", "b": 1}),
        ("a='5'", {"a": "5"}),
        ("a=it's; b=that's", {"a": "it's", "b": "that's"}),
        ("a=['x;y', \"z;\"]", {"a": ["x;y", "z;"]}),
        ('a={"k": "x;y"}', {"a": {"k": "x;y"}}),
        ("a=true; b=True; c=null; d=None", {"a": True, "b": True, "c": None, "d": None}),
        ("a=(1, 2)", {"a": [1, 2]}),
        ("a=-3; b=1e3; c=0x10", {"a": -3, "b": 1000.0, "c": 16}),
        ("a=007; b=2024-01-02", {"a": "007", "b": "2024-01-02"}),
        ("a=odps://project/table", {"a": "odps://project/table"}),
        ("sql=SELECT * FROM t WHERE x = 'a;b'", {"sql": "SELECT * FROM t WHERE x = 'a;b'"}),
        ("a={1, 2}", {"a": "{1, 2}"}),
        ("a=b'x'", {"a": "b'x'"}),
        ('{"a": 1, "b": [true, null, "x;y"]}', {"a": 1, "b": [True, None, "x;y"]}),
        (' {"a": 1} ', {"a": 1}),
    ],
)
def test_parse_params(text: str, expected: dict[str, Any]) -> None:
    parsed = parse_params(text, FLAG)
    assert parsed == expected
    assert {name: type(value) for name, value in parsed.items()} == {
        name: type(value) for name, value in expected.items()
    }


@pytest.mark.parametrize("content", ["a=1\nb='x;y'\n", '{"a": 1, "b": "x;y"}\n'])
def test_parse_params_from_file(tmp_path: Path, content: str) -> None:
    file = tmp_path / "params"
    file.write_text(content)
    assert parse_params(f"@{file}", FLAG) == {"a": 1, "b": "x;y"}


def test_nothing_is_evaluated(tmp_path: Path) -> None:
    code = f"__import__('pathlib').Path('{tmp_path}/made').touch()"
    assert parse_params(f"a={code}", FLAG) == {"a": code}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a", "'a' is not of the form name=value"),
        ("a=1; b", "'b' is not of the form"),
        ("=1", "'' cannot be the name"),
        ("a b=1", "'a b' cannot be the name"),
        ("1a=1", "'1a' cannot be the name"),
        ("a=1; a=2", "'a' is given twice"),
        ("a='x", "a ' is never closed"),
        ('b=1; a="x; y', 'a " is never closed'),
        ('{"a": 1', "not a JSON object"),
        ('{"a-b": 1}', "'a-b' cannot be the name"),
        ("@/no/such/file", "cannot read '/no/such/file'"),
    ],
)
def test_parse_params_refuses(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        parse_params(text, FLAG)
    assert str(caught.value).startswith(FLAG)
    assert "\n" not in str(caught.value)


def test_parse_params_refuses_a_file_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "params").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot read"):
        parse_params(f"@{tmp_path / 'params'}", FLAG)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.text())
def test_any_text_parses_or_is_refused_in_words(text: str) -> None:
    try:
        params = parse_params(text.removeprefix("@"), FLAG)
    except ConfigError:
        return
    assert json.loads(json.dumps(params)) == params


@pytest.mark.parametrize("config", [FULL, JobConfig("j", DataConfig("d"))])
def test_json_round_trip(config: JobConfig) -> None:
    text = config.to_json()
    assert "\n" not in text
    again = JobConfig.from_json(text)
    assert again == config
    assert isinstance(again.distribution_strategy, DistributionStrategy)


@pytest.mark.parametrize("part", ["", "data", "model", "training", "checkpoint"])
def test_an_unknown_key_is_refused(part: str) -> None:
    plain = dataclasses.asdict(FULL)
    (plain[part] if part else plain)["from_the_future"] = 1
    with pytest.raises(ConfigError, match="from_the_future"):
        JobConfig.from_json(json.dumps(plain))


@pytest.mark.parametrize("key", ["name", "data", "model", "training"])
def test_a_missing_key_is_refused(key: str) -> None:
    plain = dataclasses.asdict(FULL)
    del plain[key]
    with pytest.raises(ConfigError, match=key):
        JobConfig.from_json(json.dumps(plain))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', "5"])
def test_what_is_not_a_configuration_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="job configuration cannot be read"):
        JobConfig.from_json(text)


def test_an_unknown_strategy_is_refused() -> None:
    plain = dataclasses.asdict(FULL) | {"distribution_strategy": "ParameterServer"}
    with pytest.raises(ConfigError, match="ParameterServer"):
        JobConfig.from_json(json.dumps(plain))


def test_records_per_task() -> None:
    assert TrainingConfig(minibatch_size=10, num_minibatches_per_task=7).records_per_task == 70


def test_a_value_with_backslashes_stays_a_string() -> None:
    assert parse_params(r"path='C:\data'", "--flag") == {"path": r"C:\data"}


def test_deep_nesting_is_no_crash() -> None:
    assert parse_params("x=" + "[" * 100_000, "--flag") == {"x": "[" * 100_000}
    with pytest.raises(ConfigError, match="--flag: not a JSON object"):
        parse_params('{"x": ' + "[" * 100_000, "--flag")
