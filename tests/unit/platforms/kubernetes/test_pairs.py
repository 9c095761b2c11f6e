from __future__ import annotations

from pathlib import Path

import pytest

from elasticdl_like.errors import ConfigError
from elasticdl_like.platforms.kubernetes.pairs import (
    parse_annotations,
    parse_environment,
    parse_labels,
    parse_names,
)


def test_labels_are_pairs() -> None:
    assert parse_labels(" a=b , x.y/z=1,empty=", "--l") == {"a": "b", "x.y/z": "1", "empty": ""}
    assert parse_labels("", "--l") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a", "'a' is not of the form name=value"),
        ("=b", "'=b' is not of the form name=value"),
        ("a=1,a=2", "'a' is given twice"),
        ("a b=1", "'a b' cannot be the name of a label"),
        ("X.Y/z=1", "'X.Y/z' cannot be the name of a label"),
        ("a=b c", "'b c' cannot be the value of the label a"),
        (f"a={'x' * 64}", "cannot be the value"),
        ("app=mine", "the label app is set by elasticdl"),
    ],
)
def test_a_wrong_label_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_labels(text, "--l", frozenset({"app"}))
    assert message in str(caught.value)


def test_annotations_may_have_commas_and_equals_signs() -> None:
    text = "note=a, b,example.com/url=http://x/?a=b"
    assert parse_annotations(text, "--a") == {
        "note": "a, b",
        "example.com/url": "http://x/?a=b",
    }
    with pytest.raises(ConfigError, match="cannot be the name of an annotation"):
        parse_annotations("/x=1", "--a")


def test_variables_may_have_commas_and_equals_signs() -> None:
    assert parse_environment("A=1,B=x,y,C=k=v, D=", "--envs") == {
        "A": "1",
        "B": "x,y",
        "C": "k=v",
        "D": "",
    }


def test_variables_may_be_json_or_in_a_file(tmp_path: Path) -> None:
    assert parse_environment('{"A": "x,B=y"}', "--envs") == {"A": "x,B=y"}
    file = tmp_path / "envs"
    file.write_text("TOKEN=secret\n")
    assert parse_environment(f"@{file}", "--envs") == {"TOKEN": "secret"}
    file.write_text("# of the team\nTOKEN=secret\n\nHOSTS=a,B=b\n")
    assert parse_environment(f"@{file}", "--envs") == {"TOKEN": "secret", "HOSTS": "a,B=b"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A", "'A' is not of the form name=value"),
        ("1A=2", "'1A' cannot be the name of an environment variable"),
        ("A=1,A=2", "'A' is given twice"),
        ("{", "not a JSON object"),
        ('{"A": 1}', "the value of A is not a string"),
        ("@nowhere", "cannot read 'nowhere'"),
    ],
)
def test_a_wrong_variable_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_environment(text, "--envs")
    assert message in str(caught.value)


def test_names_are_those_of_objects() -> None:
    assert parse_names("a, b.c-d,", "--n") == ("a", "b.c-d")
    with pytest.raises(ConfigError, match="'a_b' cannot be the name of an object"):
        parse_names("a_b", "--n")
