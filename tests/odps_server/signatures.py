"""Who signed a request: versions 2 and 4 of the service's signatures, and STS tokens."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from .errors import ServiceError
from .messages import SERVICE_PREFIX, Request

_V4_PREFIX = "aliyun_v4"


@dataclass(frozen=True)
class Account:
    """A key pair, and the STS token that has to come with it ("" for none)."""

    access_id: str
    access_key: str
    security_token: str = ""


def check_signature(request: Request, accounts: Mapping[str, Account]) -> None:
    """Refuse a request that none of `accounts` (by access id) signed.

    Raises:
        ServiceError: 401, with the code that the service (or the tunnel) gives.
    """
    scheme, _, credential = request.headers.get("Authorization", "").partition(" ")
    signer, _, signature = credential.rpartition(":")
    access_id, *scope = signer.split("/")
    if scheme != "ODPS" or not signature:
        raise _refused(
            request, "Unauthorized", "The request authorization header is invalid or missing"
        )
    account = accounts.get(access_id)
    if account is None:
        raise _refused(
            request,
            "InvalidParameter",
            "ODPS-0410051:Invalid credentials - accessKeyId not found",
        )
    key = _v4_key(account.access_key, scope) if scope else account.access_key.encode()
    expected = base64.b64encode(hmac.digest(key, _canonical(request).encode(), hashlib.sha1))
    if not hmac.compare_digest(expected, signature.encode()):
        raise _refused(
            request,
            "SignatureNotMatch",
            "ODPS-0410042:Invalid signature value - User signature does not match",
        )
    if request.headers.get("authorization-sts-token", "") != account.security_token:
        raise _refused(
            request,
            "InvalidParameter",
            "ODPS-0410051:Invalid credentials - the security token is invalid or has expired",
        )


def _refused(request: Request, service_code: str, message: str) -> ServiceError:
    if request.is_service:
        return ServiceError(401, service_code, message)
    return ServiceError(
        401, "Unauthorized", "The request authorization header is invalid or missing"
    )


def _v4_key(access_key: str, scope: list[str]) -> bytes:
    """`scope` is date, region, service and `…_request`, as in the credential."""
    key = (_V4_PREFIX + access_key).encode()
    for part in scope:
        key = hmac.digest(key, part.encode(), hashlib.sha256)
    return key


def _canonical(request: Request) -> str:
    """The text that is signed: method, headers by name, and the decoded resource."""
    target = unquote(request.target.removeprefix(SERVICE_PREFIX))
    path, _, query = target.partition("?")
    parameters = dict(parse_qsl(query, keep_blank_values=True))
    resource = path
    if parameters:
        resource += "?" + "&".join(
            f"{name}={value}" if value else name for name, value in sorted(parameters.items())
        )
    signed = {"content-md5": "", "content-type": "", "date": ""}
    for name, value in request.headers.items():
        if name.lower() in signed or name.lower().startswith("x-odps-"):
            signed[name.lower()] = value
    signed |= {name: value for name, value in parameters.items() if name.startswith("x-odps-")}
    lines = [
        f"{name}:{value}" if name.startswith("x-odps-") else value
        for name, value in sorted(signed.items())
    ]
    return "\n".join([request.method, *lines, resource])
