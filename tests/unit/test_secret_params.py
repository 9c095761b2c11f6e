from __future__ import annotations

import pytest

from elasticdl_like.errors import ConfigError
from elasticdl_like.secret_params import (
    given_openly,
    hide_secrets,
    reveal_secrets,
    text_without_secrets,
    without_secrets,
)


def test_secrets_travel_as_references_and_come_back() -> None:
    environment: dict[str, str] = {}
    given = {"access_id": "me", "access_key": 12345, "table": "t", "columns": ["access_key"]}
    hidden = hide_secrets(given, environment)
    assert hidden == {
        "access_id": "env:ELASTICDL_READER_ACCESS_ID",
        "access_key": "env:ELASTICDL_READER_ACCESS_KEY",
        "table": "t",
        "columns": ["access_key"],
    }
    # What a user takes for a number is the text that they wrote.
    assert reveal_secrets(hidden, environment) == given | {"access_key": "12345"}


def test_references_of_users_are_kept_and_followed() -> None:
    environment = {"MY_KEY": "secret"}
    given = {"access_key": "env:MY_KEY", "password": "env:MY_KEY", "access_id": ""}
    assert not given_openly(given)
    assert hide_secrets(given, environment) == given
    assert reveal_secrets(given, environment)["password"] == "secret"
    assert reveal_secrets({"a": "environment:x", "b": 7}, {}) == {"a": "environment:x", "b": 7}


def test_a_variable_that_is_not_set_is_named() -> None:
    with pytest.raises(ConfigError, match="access_key is kept in the environment variable NOPE"):
        reveal_secrets({"access_key": "env:NOPE"}, {})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("password=hunter2; width=3", "password=…; width=3"),
        ("Api-Key: hunter2 and more", "Api-Key: …"),
        ('{"db_password": "hunter2, with more", "a": 1}', '{"db_password": …, "a": 1}'),
        ("access_key=env:MY_KEY; a=1", "access_key=env:MY_KEY; a=1"),
        ("'access_key': 'env:MY_KEY'", "'access_key': 'env:MY_KEY'"),
        ("https://me:hunter2@host/x", "https://me:…@host/x"),
        ("https://me:hunt@er2@host/x@y", "https://me:…@host/x@y"),
        (
            "https://host:80/x?X-Amz-Signature=hunter2&a=1",
            "https://host:80/x?X-Amz-Signature=…&a=1",
        ),
        ("--token_file=token", "--token_file=token"),
        ("num_tokens=5; keyboard=1; tokenizer=bpe", "num_tokens=5; keyboard=1; tokenizer=bpe"),
        ("s3://bucket/a:b/c@d", "s3://bucket/a:b/c@d"),
    ],
)
def test_text_for_people_has_no_secrets(text: str, shown: str) -> None:
    assert text_without_secrets(text) == shown


def test_values_for_people_have_no_secrets() -> None:
    plain = {
        "password": "hunter2",
        "pin_secret": 1234,
        "tokens": ["a", "b"],
        "credentials": {"user": "me"},
        "secret": "",
        "access_key": "env:MY_KEY",
        "options": [{"token": "hunter2"}, "api_key=hunter2", 3, None],
    }

    assert without_secrets(plain) == {
        "password": "…",
        "pin_secret": "…",
        "tokens": ["a", "b"],
        "credentials": "…",
        "secret": "",
        "access_key": "env:MY_KEY",
        "options": [{"token": "…"}, "api_key=…", 3, None],
    }
