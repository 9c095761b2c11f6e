"""Who may see the window."""

from __future__ import annotations

import pytest

from elasticdl_like.window.access import Access, Shown, Verdict

TOKEN = "5ecret"
LOCAL = Access("")
REMOTE = Access(TOKEN)


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1:8000", "127.0.0.1", "127.8.9.1:80", "localhost:8000", "LocalHost"),
        *("localhost.:8000", "[::1]:8000", "[::1]"),
    ],
)
def test_on_loopback_its_names_are_let_in_without_a_token(host: str) -> None:
    assert LOCAL.decide(Shown(host=host)) is Verdict.ALLOWED


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example:8000", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example"),
        *("10.0.0.5:8000", "[::2]:8000", "", ":8000", "0.0.0.0:8000", "localhost:80:80"),
        *("127.0.0.1:8000@evil.example", "[::1", "127.0.0.1, evil.example"),
    ],
)
def test_on_loopback_other_names_are_refused_whatever_else_they_show(host: str) -> None:
    shown = Shown(host, f"Bearer {TOKEN}", TOKEN, REMOTE.cookie_value)
    assert LOCAL.decide(shown) is Verdict.FOREIGN_HOST


@pytest.mark.parametrize(
    ("shown", "verdict"),
    [
        (Shown(authorization=f"Bearer {TOKEN}"), Verdict.ALLOWED),
        (Shown(authorization=f"bearer  {TOKEN}"), Verdict.ALLOWED),
        (Shown(authorization=f"Bearer {TOKEN}x"), Verdict.NO_TOKEN),
        (Shown(authorization=f"Basic {TOKEN}"), Verdict.NO_TOKEN),
        (Shown(authorization=TOKEN), Verdict.NO_TOKEN),
        (Shown(authorization="Bearer "), Verdict.NO_TOKEN),
        (Shown(query_token=TOKEN), Verdict.ALLOWED_FROM_NOW_ON),
        (Shown(query_token=TOKEN[:-1]), Verdict.NO_TOKEN),
        (Shown(query_token="sécret\ud800"), Verdict.NO_TOKEN),
        (Shown(cookie=REMOTE.cookie_value), Verdict.ALLOWED),
        (Shown(cookie=TOKEN), Verdict.NO_TOKEN),
        (Shown(cookie=Access("other").cookie_value), Verdict.NO_TOKEN),
        (Shown(host="127.0.0.1:8000"), Verdict.NO_TOKEN),
        (Shown(host="localhost"), Verdict.NO_TOKEN),
        (Shown(), Verdict.NO_TOKEN),
        (Shown(authorization="Bearer wrong", cookie=REMOTE.cookie_value), Verdict.ALLOWED),
        (Shown(authorization="Bearer wrong", query_token="wrong", cookie="x"), Verdict.NO_TOKEN),
    ],
)
def test_beyond_loopback_only_the_token_counts(shown: Shown, verdict: Verdict) -> None:
    assert REMOTE.decide(shown) is verdict


def test_the_cookie_does_not_give_the_token_away() -> None:
    assert TOKEN not in REMOTE.cookie_value
