from __future__ import annotations

import pytest

from elasticdl_like.data_readers.odps.access import OdpsAccess, find_access
from elasticdl_like.errors import ConfigError

GIVEN = {"project": "p", "endpoint": "http://e/api", "access_id": "the-id", "access_key": "the-key"}
MAXCOMPUTE = {
    "MAXCOMPUTE_PROJECT": "mp",
    "MAXCOMPUTE_AK": "mid",
    "MAXCOMPUTE_SK": "mkey",
    "MAXCOMPUTE_ENDPOINT": "http://m/api",
    "MAXCOMPUTE_TUNNEL_ENDPOINT": "http://mt",
}
ALIBABA = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID": "aid",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "akey",
    "ALIBABA_CLOUD_SECURITY_TOKEN": "atoken",
}


def test_parameters_come_before_the_environment() -> None:
    found = find_access(GIVEN | {"tunnel_endpoint": "http://t"}, MAXCOMPUTE | ALIBABA)
    assert found == OdpsAccess("p", "http://e/api", "http://t", "the-id", "the-key")


def test_the_environment_fills_in_what_is_left_out() -> None:
    expected = OdpsAccess("mp", "http://m/api", "http://mt", "mid", "mkey")
    assert find_access({}, MAXCOMPUTE) == expected
    # A token does not belong to credentials of another family.
    assert find_access({"project": ""}, MAXCOMPUTE | ALIBABA) == expected


def test_temporary_credentials_come_with_their_token() -> None:
    found = find_access({"project": "p", "endpoint": "http://e/api"}, ALIBABA)
    assert (found.access_id, found.access_key, found.security_token) == ("aid", "akey", "atoken")


def test_a_key_is_not_completed_from_elsewhere() -> None:
    with pytest.raises(ConfigError, match="nothing says access_key"):
        find_access(GIVEN | {"access_key": ""}, MAXCOMPUTE)


def test_what_is_missing_is_named_with_its_variables() -> None:
    with pytest.raises(ConfigError) as raised:
        find_access({}, {})
    for word in ("project", "MAXCOMPUTE_AK or ALIBABA_CLOUD_ACCESS_KEY_ID", "MAXCOMPUTE_ENDPOINT"):
        assert word in str(raised.value)


def test_credentials_are_never_shown() -> None:
    access = find_access(GIVEN | {"security_token": "the-token"}, {})
    shown = f"{access} {access!r} " + access.redacted("sent the-id, the-key and the-token")
    assert not any(secret in shown for secret in ("the-id", "the-key", "the-token"))
