"""What went wrong in a call to MaxCompute, and whether it may pass by itself."""

from __future__ import annotations

from enum import Enum, auto
from typing import Any

import requests
import urllib3

from elasticdl_like.data_readers.extras import import_extra

odps_errors = import_extra("odps.errors", "odps", "MaxCompute tables")


class Failure(Enum):
    """The kinds of failure, by what can be done."""

    BUSY = auto()  # the service asks to be asked later
    BROKEN = auto()  # a connection, or the service itself
    EXPIRED = auto()  # a session that is too old
    CHANGED = auto()  # the table is not what it was when the session began
    REFUSED = auto()  # credentials or permissions
    MISSING = auto()  # no such table, partition or project
    INVALID = auto()  # the service does not understand the call
    UNREADABLE = auto()  # what came cannot be decoded


_CODES = {
    "TableModified": Failure.CHANGED,
    "SchemaModified": Failure.CHANGED,
    "StatusConflict": Failure.EXPIRED,
    "NoSuchDownload": Failure.EXPIRED,
    "FlowExceeded": Failure.BUSY,
    "SlotExceeded": Failure.BUSY,
    "QPSExceeded": Failure.BUSY,
    "RequestQuotaExceeded": Failure.BUSY,
    "SignatureNotMatch": Failure.REFUSED,
    "NoPermission": Failure.REFUSED,
    "AccessDenied": Failure.REFUSED,
    "AuthorizationRequired": Failure.REFUSED,
    "Unauthorized": Failure.REFUSED,
    "RequestTimeTooSkewed": Failure.REFUSED,
    # The number of an unknown access id.
    "ODPS-0410051": Failure.REFUSED,
    "ODPS-0410031": Failure.REFUSED,
    "ChecksumError": Failure.UNREADABLE,
}
_WRONG_ADDRESSES = (
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidURL,
)
_BROKEN = (
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    OSError,
)


def failure_of(error: BaseException) -> Failure:
    """Returns the kind of failure that an exception of pyodps, or from below it, tells of."""
    if isinstance(error, odps_errors.BaseODPSError):
        return _failure_of_service(error)
    if isinstance(error, _WRONG_ADDRESSES):
        return Failure.INVALID
    # Also an `EOFError`: a stream that ends in the middle of a number.
    if isinstance(error, (*_BROKEN, EOFError)):
        return Failure.BROKEN
    return Failure.UNREADABLE


def _failure_of_service(error: Any) -> Failure:
    codes = {type(error).__name__, str(error.code or "").partition(":")[0].strip()}
    codes.update(code for code in _CODES if code.startswith("ODPS-") and code in str(error))
    for code in codes:
        if code in _CODES:
            return _CODES[code]
    status = error.status_code
    if status in (308, 429):
        return Failure.BUSY
    if status in (401, 403):
        return Failure.REFUSED
    if status == 404 or isinstance(error, odps_errors.NoSuchObject):
        return Failure.MISSING
    if status is None or status == 408 or status >= 500:
        return Failure.BROKEN
    return Failure.INVALID


def described(error: BaseException) -> str:
    """Returns an exception in one line, with its code and its request id if it has them."""
    if not isinstance(error, odps_errors.BaseODPSError):
        return " ".join(f"{type(error).__name__}: {error}".split())[:400]
    known: Any = error
    parts = [str(known.args[0]) or type(error).__name__]
    if known.code and str(known.code) not in parts[0]:
        parts.insert(0, f"{known.code}:")
    if known.request_id:
        parts.append(f"(request {known.request_id})")
    return " ".join(" ".join(parts).split())[:400]
