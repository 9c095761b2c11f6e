from __future__ import annotations

import pytest

from elasticdl_like.errors import ConfigError
from elasticdl_like.secret_params import given_openly, hide_secrets, reveal_secrets


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
