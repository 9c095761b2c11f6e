"""The one table between our errors and gRPC's status codes, used by both ends."""

from __future__ import annotations

import grpc

from elasticdl_like.errors import (
    AuthenticationError,
    ElasticdlError,
    InvalidRequestError,
    JobDirectoryError,
    JobFailedError,
    MasterUnavailableError,
    PermanentError,
    RetryableError,
    RoundOverError,
    UnknownWorkerError,
)

_CODE_OF_ERROR: dict[type[ElasticdlError], grpc.StatusCode] = {
    UnknownWorkerError: grpc.StatusCode.NOT_FOUND,
    InvalidRequestError: grpc.StatusCode.INVALID_ARGUMENT,
    JobFailedError: grpc.StatusCode.ABORTED,
    RoundOverError: grpc.StatusCode.OUT_OF_RANGE,
    JobDirectoryError: grpc.StatusCode.FAILED_PRECONDITION,
    AuthenticationError: grpc.StatusCode.UNAUTHENTICATED,
    MasterUnavailableError: grpc.StatusCode.UNAVAILABLE,
}
_ERROR_OF_CODE = {code: error for error, code in _CODE_OF_ERROR.items()} | {
    # What gRPC itself says when a call gets no answer in time, is cut off, or meets a busy server.
    grpc.StatusCode.DEADLINE_EXCEEDED: MasterUnavailableError,
    grpc.StatusCode.CANCELLED: MasterUnavailableError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: MasterUnavailableError,
}

# How a connection fails when one side uses TLS and the other does not, or has no certificate that
# the other accepts.
_SIGNS_OF_TLS = ("handshake failed", "erification", "Socket closed")


def status_code(error: ElasticdlError) -> grpc.StatusCode:
    """Returns the code that an error travels under."""
    if isinstance(error, RetryableError):
        return grpc.StatusCode.UNAVAILABLE
    return _CODE_OF_ERROR.get(type(error), grpc.StatusCode.INTERNAL)


def error_from_status(code: grpc.StatusCode, message: str) -> ElasticdlError:
    """Returns the error that a failed call stands for."""
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "message larger than max" in message:
        # gRPC has one code for this and for a busy server, but only one of them passes.
        return InvalidRequestError(message)
    if "failed to connect" in message and any(sign in message for sign in _SIGNS_OF_TLS):
        message += (
            "; if the master uses TLS, check --tls_ca_file, --tls_cert_file and --tls_key_file "
            "here and there"
        )
    return _ERROR_OF_CODE.get(code, PermanentError)(message)
