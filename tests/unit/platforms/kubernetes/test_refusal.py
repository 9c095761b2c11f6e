"""Which error an answer of the API server is."""

from __future__ import annotations

import json

import pytest

from elasticdl_like.errors import ClusterError, ClusterUnavailableError
from elasticdl_like.platforms.kubernetes.transport import refusal


@pytest.mark.parametrize(
    ("status", "reason", "message"),
    [
        (409, "AlreadyExists", 'pods "w0" already exists'),
        (403, "Forbidden", 'pods "w0" is forbidden: exceeded quota'),
    ],
)
def test_a_refusal_has_the_words_and_the_code_of_the_server(
    status: int, reason: str, message: str
) -> None:
    error = refusal("create Pod w0", status, answer(reason, message))
    assert isinstance(error, ClusterError)
    assert error.code == status
    assert str(error) == f"cannot create Pod w0: {message}"


@pytest.mark.parametrize(
    ("status", "reason", "message"),
    [
        (500, "InternalError", "etcd is away"),
        (429, "TooManyRequests", "try later"),
        # Two pods were counted on one quota at once; neither is there already.
        (409, "Conflict", 'Operation cannot be fulfilled on resourcequotas "few": try again'),
    ],
)
def test_what_may_pass_by_itself(status: int, reason: str, message: str) -> None:
    error = refusal("create Pod w0", status, answer(reason, message))
    assert isinstance(error, ClusterUnavailableError)
    assert message in str(error)


def test_credentials_that_are_not_taken() -> None:
    error = refusal("list Job", 401, answer("Unauthorized", "Unauthorized"))
    assert str(error) == (
        "cannot list Job: Unauthorized; the credentials are wrong, or have expired"
    )


def test_an_answer_of_something_in_between() -> None:
    assert "cannot create Pod w0: no such page" in str(
        refusal("create Pod w0", 404, b"no such page")
    )


def answer(reason: str, message: str) -> bytes:
    return json.dumps({"kind": "Status", "reason": reason, "message": message}).encode()
