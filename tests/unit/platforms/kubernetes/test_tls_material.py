"""The certificates of a job, tried by real connections."""

from __future__ import annotations

import datetime
import queue
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from elasticdl_like.config import TlsConfig
from elasticdl_like.platforms.kubernetes.tls_material import (
    WORKERS_NAME,
    Certificate,
    TlsMaterial,
    make_tls_material,
)
from elasticdl_like.proto.channel import open_channel
from elasticdl_like.proto.tls import server_credentials

_HOSTS = ("job-master.team.svc", "localhost")
_NOW = datetime.datetime.now(datetime.UTC)


@pytest.fixture(scope="module")
def material() -> TlsMaterial:
    return make_tls_material(_HOSTS, _NOW)


def files(directory: Path, material: TlsMaterial, own: Certificate) -> TlsConfig:
    """Returns the files that a pod has, with the same parts."""
    for name, content in (
        ("ca.crt", material.authority),
        ("tls.crt", own.certificate),
        ("tls.key", own.key),
    ):
        (directory / name).write_bytes(content)
    return TlsConfig(*(str(directory / name) for name in ("ca.crt", "tls.crt", "tls.key")))


@contextmanager
def server(tls: TlsConfig) -> Iterator[str]:
    credentials = server_credentials(tls)
    assert credentials is not None
    with ThreadPoolExecutor(1) as threads:
        running = grpc.server(threads)
        port = running.add_secure_port("127.0.0.1:0", credentials)
        running.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            running.stop(None).wait()


def is_trusted(address: str, tls: TlsConfig, certified_name: str) -> bool:
    """Returns whether a connection with a certificate for this name can be made."""
    with open_channel(address, "token", tls, certified_name) as channel:
        states: queue.Queue[grpc.ChannelConnectivity] = queue.Queue()
        channel.subscribe(states.put, try_to_connect=True)
        try:
            while True:
                match states.get(timeout=30):
                    case grpc.ChannelConnectivity.READY:
                        return True
                    case grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                        return False
        finally:
            channel.unsubscribe(states.put)


def test_workers_trust_the_master_by_its_names_and_each_other_by_theirs(
    material: TlsMaterial, tmp_path: Path
) -> None:
    (tmp_path / "master").mkdir()
    (tmp_path / "worker").mkdir()
    worker = files(tmp_path / "worker", material, material.worker)
    with server(files(tmp_path / "master", material, material.master)) as address:
        assert is_trusted(address, worker, _HOSTS[0])
        assert is_trusted(address, worker, _HOSTS[1])
        assert not is_trusted(address, worker, WORKERS_NAME)
    with server(worker) as address:
        assert is_trusted(address, worker, WORKERS_NAME)
        assert not is_trusted(address, worker, _HOSTS[0])


def test_another_job_is_not_trusted(material: TlsMaterial, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    other = make_tls_material(_HOSTS, _NOW)
    with server(files(tmp_path / "other", other, other.worker)) as address:
        one = files(tmp_path / "one", material, material.worker)
        assert not is_trusted(address, one, WORKERS_NAME)


def test_python_takes_them_strictly(material: TlsMaterial) -> None:
    context = ssl.create_default_context(cadata=material.authority.decode())
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    (authority,) = context.get_ca_certs()
    assert ssl.cert_time_to_seconds(authority["notBefore"]) < _NOW.timestamp()


def test_keys_do_not_show(material: TlsMaterial) -> None:
    assert "PRIVATE KEY" not in repr(material)
