"""The server of the window, asked through a socket."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme
from prometheus_client.parser import text_string_to_metric_families
from stand_in_master import StandInMaster

from elasticdl_like.config import TlsConfig
from elasticdl_like.errors import ConfigError
from elasticdl_like.window.limited_protocol import MOST_CONNECTIONS
from elasticdl_like.window.server import WindowConfig, serve_window

TIMEOUT_S = 20
EVERYWHERE = WindowConfig(host="0.0.0.0", insecure=True)
ADDRESSES = (
    *("/", "/healthz", "/metrics", "/api/v1/status", "/api/v1/ledger", "/api/v1/events"),
    *("/api/v1/history", "/api/v1/coverage", "/api/v1/config", "/api/v1/stream"),
)


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def connect(link: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", urlsplit(link).port, timeout=TIMEOUT_S)


def get(link: str, path: str, method: str = "GET", **headers: str) -> Reply:
    """Asks for a path; underscores in the names of headers stand for dashes."""
    connection = connect(link)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=named)
        response = connection.getresponse()
        lower = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, lower, response.read())
    finally:
        connection.close()


@pytest.fixture
def master(tmp_path: Path) -> StandInMaster:
    return StandInMaster(tmp_path)


@pytest.fixture
def link(master: StandInMaster) -> Iterator[str]:
    with serve_window(master.as_master(), WindowConfig()) as link:
        yield link


@pytest.fixture
def token(master: StandInMaster) -> str:
    return master.directory.make_token()


def test_documents(link: str, master: StandInMaster) -> None:
    master.job.happen("begins")
    master.job.happen("goes on")

    assert json.loads(get(link, "/api/v1/status").body)["step"] == 21
    assert json.loads(get(link, "/api/v1/ledger").body)["epochs"][1]["committed"] == 299
    assert json.loads(get(link, "/api/v1/history").body)["evaluations"] == []
    assert json.loads(get(link, "/api/v1/coverage").body)["cells"] == 4000
    assert json.loads(get(link, "/api/v1/coverage?cells=10").body)["cells"] == 10
    config = get(link, "/api/v1/config")
    assert json.loads(config.body)["data"]["reader_params"]["access_key"] == "env:MY_KEY"
    assert "s3cret" not in config.text
    assert config.headers["content-type"] == "application/json"
    events = [json.loads(get(link, f"/api/v1/events{after}").body) for after in ("", "?after=1")]
    assert [[event["id"] for event in each] for each in events] == [[1, 2], [2]]


@pytest.mark.parametrize(
    "path",
    [
        *("/api/v1/coverage?cells=0", "/api/v1/coverage?cells=1e3", "/api/v1/coverage?cells="),
        *("/api/v1/coverage?cells=1000000", "/api/v1/events?after=-1", "/api/v1/events?after=x"),
        f"/api/v1/events?after={'9' * 5000}",
    ],
)
def test_a_number_that_is_none_is_refused_in_words(link: str, path: str) -> None:
    reply = get(link, path)

    assert reply.status == 400
    assert "a number from" in reply.text


def test_unknown_addresses_and_changes_are_refused(link: str) -> None:
    assert get(link, "/api/v2/status").status == 404
    assert get(link, "/page.html").status == 404
    assert get(link, "/api/v1/status", "POST").status == 405


def test_the_page_is_compressed_and_not_sent_twice(link: str) -> None:
    plain = get(link, "/")
    compressed = get(link, "/", accept_encoding="gzip, br")

    assert plain.status == 200
    assert plain.headers["content-type"] == "text/html; charset=utf-8"
    assert compressed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(compressed.body) == plain.body
    again = get(link, "/", if_none_match=plain.headers["etag"])
    assert (again.status, again.body) == (304, b"")


def test_every_answer_says_what_browsers_may_do_with_it(link: str) -> None:
    for path in ("/", "/api/v1/status", "/nowhere"):
        headers = get(link, path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in headers
        assert "access-control-allow-origin" not in headers


def test_health_is_that_of_the_journal(link: str, master: StandInMaster) -> None:
    assert get(link, "/healthz").text == "ok\n"

    master.problem = "the job waits until it can be written down: no space left"

    reply = get(link, "/healthz")
    assert reply.status == 503
    assert "no space left" in reply.text


def test_metrics_parse(link: str) -> None:
    reply = get(link, "/metrics")

    families = {each.name: each for each in text_string_to_metric_families(reply.text)}
    assert families["elasticdl_step"].samples[0].value == 21
    assert reply.headers["content-type"].startswith("text/plain; version=")
    newer = get(link, "/metrics", accept="application/openmetrics-text; version=1.0.0")
    assert newer.headers["content-type"].startswith("application/openmetrics-text")
    assert newer.text.endswith("# EOF\n")


def test_the_stream_tells_what_happens_and_how_it_ends(master: StandInMaster) -> None:
    with serve_window(master.as_master(), WindowConfig()) as link:
        connection = connect(link)
        connection.request("GET", "/api/v1/stream")
        response = connection.getresponse()
        assert response.getheader("content-type", "").startswith("text/event-stream")
        assert response.readline() == b"event: update\n"
        first = json.loads(response.readline().removeprefix(b"data: "))
        master.job.happen("a worker is gone")
        while b"a worker is gone" not in (line := response.readline()):
            assert line, "the stream has ended"
        master.job.finish()
    lines = response.read().split(b"\n")
    connection.close()

    assert first["status"]["state"] == "running"
    last = json.loads([line for line in lines if line.startswith(b"data: ")][-1][6:])
    assert last["status"]["state"] == "finished"
    assert "window" not in {thread.name for thread in threading.enumerate()}


def test_a_client_that_does_not_read_does_not_keep_the_server(master: StandInMaster) -> None:
    master.job.times = [float(second) for second in range(1_000_000)]
    with serve_window(master.as_master(), WindowConfig()) as link:
        client = socket.create_connection(("127.0.0.1", urlsplit(link).port or 0), TIMEOUT_S)
        client.sendall(b"GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert client.recv(12) == b"HTTP/1.1 200"

    client.close()
    assert "window" not in {thread.name for thread in threading.enumerate()}


def test_idle_connections_have_a_limit(link: str) -> None:
    with ExitStack() as stack:
        port = urlsplit(link).port or 0
        clients = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), TIMEOUT_S))
            for _ in range(MOST_CONNECTIONS + 1)
        ]
        with contextlib.suppress(ConnectionResetError):
            assert clients[-1].recv(1) == b""
        clients[0].sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert clients[0].recv(12) == b"HTTP/1.1 200"


def test_another_name_for_this_machine_is_refused_on_loopback(link: str) -> None:
    port = urlsplit(link).port

    for path in ADDRESSES:
        assert get(link, path, host=f"evil.example:{port}").status == 403
    assert get(link, "/healthz", host=f"localhost:{port}").status == 200


def test_beyond_loopback_every_address_needs_the_token(master: StandInMaster, token: str) -> None:
    with serve_window(master.as_master(), EVERYWHERE) as link:
        for path in (*ADDRESSES, "/nowhere"):
            missing = get(link, path)
            assert missing.status == 401
            assert str(master.directory.path / "token") in missing.text
            assert get(link, path, authorization="Bearer wrong").status == 401
            assert get(link, f"{path}?token=wrong").status == 401
            assert "set-cookie" not in missing.headers
        right = get(link, "/api/v1/status", authorization=f"Bearer {token}")
        assert right.status == 200
        assert "set-cookie" not in right.headers


def test_a_token_in_the_address_is_exchanged_for_a_cookie(
    master: StandInMaster, token: str
) -> None:
    with serve_window(master.as_master(), EVERYWHERE) as link:
        reply = get(link, f"/?token={token}")

        assert reply.status == 200
        cookie, *attributes = reply.headers["set-cookie"].split("; ")
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} == set(attributes)
        assert token not in cookie
        assert get(link, "/api/v1/status", cookie=cookie).status == 200
        assert get(link, "/api/v1/status", cookie=f"{cookie}x").status == 401


def test_beyond_loopback_connections_are_encrypted(
    master: StandInMaster, token: str, tmp_path: Path
) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    tls = TlsConfig(cert_file=str(tmp_path / "cert.pem"), key_file=str(tmp_path / "key.pem"))
    certificate.cert_chain_pems[0].write_to_path(tls.cert_file)
    certificate.private_key_pem.write_to_path(tls.key_file)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with serve_window(master.as_master(), WindowConfig(host="0.0.0.0", tls=tls)) as link:
        assert link.startswith("https://")
        port = urlsplit(link).port
        connection = http.client.HTTPSConnection(
            "127.0.0.1", port, timeout=TIMEOUT_S, context=context
        )
        connection.request("GET", f"/api/v1/status?token={token}")
        response = connection.getresponse()
        assert json.loads(response.read())["step"] == 21
        assert "Secure" in response.getheader("set-cookie", "")
        connection.close()


def test_the_link_is_kept_while_the_window_is_there(master: StandInMaster) -> None:
    with master.directory.own(), serve_window(master.as_master(), WindowConfig()) as link:
        assert link == f"http://127.0.0.1:{urlsplit(link).port}/"
        assert master.directory.status_page() == link
    assert master.directory.status_page() is None


def test_no_window(master: StandInMaster) -> None:
    with serve_window(master.as_master(), None) as link:
        assert link == ""
        assert master.directory.status_page() is None


def test_a_port_in_use_is_named(master: StandInMaster) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(ConfigError, match=rf"127\.0\.0\.1:{port}.*--status_port 0"),
            serve_window(master.as_master(), WindowConfig(port=port)),
        ):
            pass


def test_a_host_of_others_is_named(master: StandInMaster) -> None:
    config = WindowConfig(host="192.0.2.1", insecure=True)
    with (
        pytest.raises(ConfigError, match=r"192\.0\.2\.1 is not an address of this machine"),
        serve_window(master.as_master(), config),
    ):
        pass


def test_beyond_loopback_wants_tls_or_insecure(master: StandInMaster, token: str) -> None:
    with (
        pytest.raises(ConfigError, match=r"--status_host 0\.0\.0\.0.*--insecure"),
        serve_window(master.as_master(), WindowConfig(host="0.0.0.0")),
    ):
        pass


def test_a_certificate_that_cannot_be_read_is_named(master: StandInMaster, token: str) -> None:
    tls = TlsConfig(cert_file="/nowhere/cert.pem", key_file="/nowhere/key.pem")
    with (
        pytest.raises(ConfigError, match=r"--tls_cert_file.*/nowhere/cert\.pem"),
        serve_window(master.as_master(), WindowConfig(host="0.0.0.0", tls=tls)),
    ):
        pass


def test_the_log_has_the_link_and_not_the_token(
    master: StandInMaster, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG"), serve_window(master.as_master(), EVERYWHERE) as link:
        assert get(link, f"/?token={token}").status == 200

    assert link in caplog.text
    assert str(master.directory.path / "token") in caplog.text
    assert token not in caplog.text
