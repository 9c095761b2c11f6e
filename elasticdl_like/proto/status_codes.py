"""The one table between our errors and gRPC's status codes, used by both ends."""

from __future__ import annotations

import grpc

from elasticdl_like.errors import (
    ElasticdlError,
    InvalidRequestError,
    JobDirectoryError,
    JobFailedError,
    MasterUnavailableError,
    PermanentError,
    UnknownWorkerError,
)

_CODE_OF_ERROR: dict[type[ElasticdlError], grpc.StatusCode] = {
    UnknownWorkerError: grpc.StatusCode.NOT_FOUND,
    InvalidRequestError: grpc.StatusCode.INVALID_ARGUMENT,
    JobFailedError: grpc.StatusCode.ABORTED,
    JobDirectoryError: grpc.StatusCode.FAILED_PRECONDITION,
    MasterUnavailableError: grpc.StatusCode.UNAVAILABLE,
}
_ERROR_OF_CODE = {code: error for error, code in _CODE_OF_ERROR.items()} | {
    # What gRPC itself says when a call gets no answer in time, or is cut off.
    grpc.StatusCode.DEADLINE_EXCEEDED: MasterUnavailableError,
    grpc.StatusCode.CANCELLED: MasterUnavailableError,
}


def status_code(error: ElasticdlError) -> grpc.StatusCode:
    """Returns the code that an error travels under."""
    return _CODE_OF_ERROR.get(type(error), grpc.StatusCode.INTERNAL)


def error_from_status(code: grpc.StatusCode, message: str) -> ElasticdlError:
    """Returns the error that a failed call stands for."""
    return _ERROR_OF_CODE.get(code, PermanentError)(message)
