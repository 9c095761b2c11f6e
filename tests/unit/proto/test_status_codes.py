from __future__ import annotations

import grpc
import pytest

from elasticdl_like import errors
from elasticdl_like.proto.status_codes import error_from_status, status_code

# What a worker's reaction depends on must arrive as what it was.
EXACT = {
    errors.AuthenticationError,
    errors.UnknownWorkerError,
    errors.RoundOverError,
    errors.InvalidRequestError,
    errors.JobFailedError,
    errors.JobDirectoryError,
    errors.MasterUnavailableError,
}


def all_errors(base: type[errors.ElasticdlError]) -> set[type[errors.ElasticdlError]]:
    found = {base}
    for derived in base.__subclasses__():
        found |= all_errors(derived)
    return {each for each in found if each.__module__ == errors.__name__}


def make(kind: type[errors.ElasticdlError]) -> errors.ElasticdlError:
    if kind is errors.CorruptDataError:
        return errors.CorruptDataError("file", 7, "torn")
    return kind("what happened")


@pytest.mark.parametrize("kind", sorted(EXACT, key=lambda kind: kind.__name__))
def test_these_errors_arrive_as_they_are(kind: type[errors.ElasticdlError]) -> None:
    arrived = error_from_status(status_code(make(kind)), "what happened")
    assert type(arrived) is kind
    assert str(arrived) == "what happened"


@pytest.mark.parametrize(
    "kind", sorted(all_errors(errors.RetryableError), key=lambda kind: kind.__name__)
)
def test_what_may_pass_arrives_as_a_call_to_repeat(kind: type[errors.ElasticdlError]) -> None:
    arrived = error_from_status(status_code(make(kind)), "what happened")
    assert type(arrived) is errors.MasterUnavailableError
    assert str(arrived) == "what happened"


def test_a_message_that_is_too_large_is_not_tried_again() -> None:
    # gRPC's own words; tests/faults/test_control_plane.py has them from a real server.
    message = "SERVER: Received message larger than max (5000000 vs. 4194304)"
    error = error_from_status(grpc.StatusCode.RESOURCE_EXHAUSTED, message)
    assert type(error) is errors.InvalidRequestError
    assert str(error) == message


@pytest.mark.parametrize(
    "kind", sorted(all_errors(errors.PermanentError) - EXACT, key=lambda kind: kind.__name__)
)
def test_every_other_error_arrives_as_permanent_with_its_message(
    kind: type[errors.ElasticdlError],
) -> None:
    error = make(kind)
    arrived = error_from_status(status_code(error), str(error))
    assert type(arrived) is errors.PermanentError
    assert str(arrived) == str(error)


def test_no_two_errors_share_a_code_and_none_is_ok() -> None:
    codes = [status_code(make(kind)) for kind in EXACT]
    assert len(set(codes)) == len(codes)
    assert grpc.StatusCode.OK not in codes
    assert grpc.StatusCode.INTERNAL not in codes


@pytest.mark.parametrize(
    "code", [each for each in grpc.StatusCode if each is not grpc.StatusCode.OK]
)
def test_only_a_call_without_an_answer_is_tried_again(code: grpc.StatusCode) -> None:
    error = error_from_status(code, "message")
    again = {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
    assert isinstance(error, errors.RetryableError) == (code in again)
    assert isinstance(error, errors.PermanentError) == (code not in again)
    assert str(error) == "message"
