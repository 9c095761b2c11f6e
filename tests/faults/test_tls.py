"""An encrypted control plane: who gets in, and what those are told who do not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
import trustme

from elasticdl_like.config import TlsConfig
from elasticdl_like.errors import ConfigError, ElasticdlError, MasterUnavailableError
from elasticdl_like.master.server import serve
from elasticdl_like.proto import elasticdl_pb2 as pb
from elasticdl_like.proto import elasticdl_pb2_grpc
from elasticdl_like.proto.channel import open_channel
from elasticdl_like.proto.status_codes import error_from_status
from recording_job import RecordingJob

TOKEN = "the-right-token"
HINT = "if the master uses TLS, check --tls_ca_file"


class Authority:
    """Signs certificates, and keeps them as files."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._directory = directory
        self._authority = trustme.CA()
        self.ca_file = str(directory / "ca.pem")
        self._authority.cert_pem.write_to_path(self.ca_file)

    def issue(self, name: str) -> tuple[str, str]:
        """Returns the paths of a certificate for a host, and of its key."""
        issued = self._authority.issue_cert(name)
        certificate = self._directory / f"{name}.pem"
        key = self._directory / f"{name}.key"
        issued.cert_chain_pems[0].write_to_path(str(certificate))
        issued.private_key_pem.write_to_path(str(key))
        return str(certificate), str(key)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "ours")


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "foreign")


@pytest.fixture(scope="module")
def encrypting(ours: Authority) -> Iterator[str]:
    """A master with TLS that takes clients without a certificate."""
    certificate, key = ours.issue("127.0.0.1")
    tls = TlsConfig(cert_file=certificate, key_file=key)
    with serve(RecordingJob().as_job(), "127.0.0.1", 0, TOKEN, tls, False) as address:
        yield address


@pytest.fixture(scope="module")
def demanding(ours: Authority) -> Iterator[str]:
    """A master with TLS that wants certificates of its clients."""
    certificate, key = ours.issue("localhost")
    tls = TlsConfig(ours.ca_file, certificate, key)
    with serve(RecordingJob().as_job(), "localhost", 0, TOKEN, tls, False) as address:
        yield address


def ask(address: str, tls: TlsConfig, token: str = TOKEN) -> None:
    with open_channel(address, token, tls) as channel:
        stub = elasticdl_pb2_grpc.MasterStub(channel)  # type: ignore[no-untyped-call]
        try:
            stub.Heartbeat(pb.HeartbeatRequest(), timeout=20)
        except grpc.RpcError as error:
            raise error_from_status(error.code(), error.details() or "") from error


def test_the_right_authority_is_enough(encrypting: str, ours: Authority) -> None:
    ask(encrypting, TlsConfig(ca_file=ours.ca_file))
    with pytest.raises(ElasticdlError, match="token"):
        ask(encrypting, TlsConfig(ca_file=ours.ca_file), token="wrong")


def test_a_master_signed_by_somebody_else_is_not_talked_to(
    encrypting: str, foreign: Authority
) -> None:
    with pytest.raises(MasterUnavailableError, match=f"CERTIFICATE_VERIFY_FAILED.*{HINT}"):
        ask(encrypting, TlsConfig(ca_file=foreign.ca_file))


def test_a_master_that_is_another_host_is_not_talked_to(ours: Authority) -> None:
    certificate, key = ours.issue("somewhere.example")
    tls = TlsConfig(cert_file=certificate, key_file=key)
    with (
        serve(RecordingJob().as_job(), "127.0.0.1", 0, TOKEN, tls, False) as address,
        pytest.raises(MasterUnavailableError, match=f"Hostname Verification.*{HINT}"),
    ):
        ask(address, TlsConfig(ca_file=ours.ca_file))


def test_a_client_without_tls_gets_no_answer(encrypting: str) -> None:
    with pytest.raises(MasterUnavailableError, match=HINT):
        ask(encrypting, TlsConfig())


def test_a_client_with_tls_is_told_that_the_master_has_none(ours: Authority) -> None:
    with (
        serve(RecordingJob().as_job(), "127.0.0.1", 0, TOKEN, TlsConfig(), False) as address,
        pytest.raises(MasterUnavailableError, match=HINT),
    ):
        ask(address, TlsConfig(ca_file=ours.ca_file))


def test_a_client_certificate_is_demanded(demanding: str, ours: Authority) -> None:
    ask(demanding, TlsConfig(ours.ca_file, *ours.issue("worker")))
    with pytest.raises(MasterUnavailableError, match=HINT):
        ask(demanding, TlsConfig(ca_file=ours.ca_file))


def test_a_client_certificate_of_somebody_else_is_refused(
    demanding: str, ours: Authority, foreign: Authority
) -> None:
    with pytest.raises(MasterUnavailableError, match=HINT):
        ask(demanding, TlsConfig(ours.ca_file, *foreign.issue("worker")))


def test_files_that_cannot_be_used_are_named(ours: Authority, tmp_path: Path) -> None:
    certificate, key = ours.issue("here")
    _, other_key = ours.issue("there")
    text = tmp_path / "text.pem"
    text.write_text("not PEM\n")
    missing = tmp_path / "missing.pem"
    for tls, reason in (
        (TlsConfig(str(missing), certificate, key), f"--tls_ca_file: cannot read {missing}: No"),
        (TlsConfig(str(tmp_path), certificate, key), "--tls_ca_file: cannot read .*: Is a dir"),
        (TlsConfig(str(text), certificate, key), "--tls_ca_file: .*text.pem does not hold"),
        (TlsConfig("", str(missing), key), "--tls_cert_file: cannot read"),
        (TlsConfig("", str(text), key), "--tls_cert_file: .*text.pem is not a certificate"),
        (TlsConfig("", certificate, str(missing)), "--tls_key_file: cannot read"),
        (TlsConfig("", certificate, str(text)), "--tls_key_file: .*text.pem is not"),
        (TlsConfig("", certificate, other_key), "--tls_key_file: .*there.key is not"),
        (TlsConfig("", "", key), "--tls_cert_file is missing"),
        (TlsConfig("", certificate, ""), "--tls_key_file is missing"),
    ):
        with pytest.raises(ConfigError, match=reason):
            open_channel("127.0.0.1:1", TOKEN, tls)
        with (
            pytest.raises(ConfigError, match=reason),
            serve(RecordingJob().as_job(), "127.0.0.1", 0, TOKEN, tls, False),
        ):
            pass


def test_a_master_cannot_encrypt_with_an_authority_alone(ours: Authority) -> None:
    with (
        pytest.raises(ConfigError, match="--tls_cert_file is missing"),
        serve(RecordingJob().as_job(), "127.0.0.1", 0, TOKEN, TlsConfig(ours.ca_file), False),
    ):
        pass


def test_with_tls_a_master_may_listen_everywhere(ours: Authority) -> None:
    certificate, key = ours.issue("127.0.0.1")
    tls = TlsConfig(cert_file=certificate, key_file=key)
    with serve(RecordingJob().as_job(), "0.0.0.0", 0, TOKEN, tls, False) as address:
        port = address.rpartition(":")[2]
        ask(f"127.0.0.1:{port}", TlsConfig(ca_file=ours.ca_file))
