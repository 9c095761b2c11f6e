from __future__ import annotations

from collections.abc import Callable

import pytest
import requests
from odps import errors
from odps.tunnel.errors import TunnelError

from elasticdl_like.data_readers.odps.access import OdpsAccess
from elasticdl_like.data_readers.odps.failures import Failure, failure_of
from elasticdl_like.data_readers.odps.patience import Patience
from elasticdl_like.errors import ConfigError, DataChangedError, DataError
from elasticdl_like.time_spent import TimeSpent

ACCESS = OdpsAccess("p", "e", "t", "the-id", "the-key")


class FakeTime:
    def __init__(self) -> None:
        self.now_s = 0.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now_s += seconds


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def patience(time: FakeTime) -> Patience:
    return Patience(60, ACCESS, TimeSpent, lambda: time.now_s, time.sleep)


def failing(error: Exception, times: int) -> Callable[[], str]:
    left = [error] * times

    def attempt() -> str:
        if left:
            raise left.pop()
        return "done"

    return attempt


BUSY = errors.FlowExceeded("slow down", code="FlowExceeded", status_code=429)


def test_a_busy_service_is_asked_with_growing_pauses(patience: Patience, time: FakeTime) -> None:
    assert patience.call("it", failing(BUSY, 6)) == "done"
    assert len(time.pauses) == patience.num_retries == 6
    assert all(0.1 * 2**n <= pause <= 0.2 * 2**n for n, pause in enumerate(time.pauses))


def test_it_is_given_up_in_time(patience: Patience, time: FakeTime) -> None:
    with pytest.raises(DataError, match=r"it: FlowExceeded: slow down; tried \d+ times in 60 s"):
        patience.call("it", failing(BUSY, 1000))
    assert time.now_s == pytest.approx(60)


def test_time_starts_anew_when_something_comes(patience: Patience, time: FakeTime) -> None:
    tries = patience.tries("it")
    for _ in range(10):
        tries.failed(BUSY)
        time.now_s += 50
        tries.got_on()
    assert max(time.pauses) <= 0.2


@pytest.mark.parametrize(
    ("error", "failure", "raised"),
    [
        (errors.NoSuchTable("x", status_code=404), Failure.MISSING, DataError),
        (errors.NoPermission("x", status_code=403), Failure.REFUSED, ConfigError),
        (errors.ODPSError("x", status_code=401), Failure.REFUSED, ConfigError),
        (
            errors.InvalidParameter("ODPS-0410051: no such id", status_code=400),
            Failure.REFUSED,
            ConfigError,
        ),
        (errors.TableModified("x", status_code=412), Failure.CHANGED, DataChangedError),
        (errors.InvalidArgument("x", status_code=400), Failure.INVALID, DataError),
        (requests.exceptions.MissingSchema("x"), Failure.INVALID, DataError),
        (DataError("mine"), None, DataError),
    ],
)
def test_what_cannot_pass_is_raised_at_once(
    patience: Patience, error: Exception, failure: Failure | None, raised: type[Exception]
) -> None:
    if failure is not None:
        assert failure_of(error) is failure
    with pytest.raises(raised):
        patience.call("it", failing(error, 1))
    assert patience.num_retries == 0


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (errors.InternalServerError("x", status_code=500), Failure.BROKEN),
        (errors.ODPSError("x", status_code=308), Failure.BUSY),
        (errors.StreamTruncatedException("x"), Failure.BROKEN),
        (errors.ConnectTimeout("x"), Failure.BROKEN),
        (requests.exceptions.ReadTimeout("x"), Failure.BROKEN),
        (ConnectionResetError("x"), Failure.BROKEN),
        (TunnelError("x", code="StatusConflict"), Failure.EXPIRED),
        (ValueError("x"), Failure.UNREADABLE),
        (errors.ChecksumError("x"), Failure.UNREADABLE),
    ],
)
def test_what_may_pass_is_tried_again(
    patience: Patience, error: Exception, failure: Failure
) -> None:
    assert failure_of(error) is failure
    assert patience.call("it", failing(error, 3)) == "done"


def test_what_cannot_be_decoded_is_not_tried_for_ever(patience: Patience, time: FakeTime) -> None:
    with pytest.raises(DataError, match="could not be decoded 8 times"):
        patience.call("it", failing(errors.ChecksumError("wrong"), 1000))
    assert time.now_s < 30


def test_no_message_has_credentials(patience: Patience, caplog: pytest.LogCaptureFixture) -> None:
    error = errors.NoPermission("key the-key of the-id\nis refused", status_code=403)
    with pytest.raises(ConfigError) as raised:
        patience.call("it", failing(error, 1))
    assert "key *** of *** is refused" in str(raised.value)
    assert raised.value.__suppress_context__
    patience.call("it", failing(errors.InternalServerError("the-key", status_code=500), 1))
    assert "the-key" not in caplog.text
