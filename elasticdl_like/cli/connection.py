"""How a command reaches a master: where it is, certificates, the job's token, and the calls."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from elasticdl_like.cli.flag import option, together
from elasticdl_like.config import TlsConfig
from elasticdl_like.errors import ConfigError
from elasticdl_like.job_directory import JobDirectory

_TOKEN_VARIABLE = "ELASTICDL_JOB_TOKEN"
_CALL_TIMEOUT_S = 5.0

tls_options = together(
    option(
        "--tls_ca_file",
        default="",
        help="Certificates that vouch for the other side's, in PEM format. A master that has them "
        "demands a certificate of each client.",
    ),
    option("--tls_cert_file", default="", help="This side's certificate, in PEM format."),
    option("--tls_key_file", default="", help="The private key of --tls_cert_file."),
)

token_file_option = option(
    "--token_file",
    default="",
    help="File with the job's token, a copy of JOB_DIR/token on the master's machine. The token "
    f"itself may be in the environment variable {_TOKEN_VARIABLE} instead.",
)

master_timeout_option = option(
    "--master_timeout",
    type=click.FloatRange(min=0),
    default=600.0,
    help="Seconds that a worker waits for a silent master, which may be started again meanwhile.",
)


def tls_config(flags: Mapping[str, Any]) -> TlsConfig:
    """Returns the files that the flags of `tls_options` name."""
    return TlsConfig(flags["tls_ca_file"], flags["tls_cert_file"], flags["tls_key_file"])


def given_token(token_file: str) -> str:
    """Returns the job's token from a file or, without one, from the environment.

    Raises:
        ConfigError: there is no token, or it cannot be read.
    """
    if token_file:
        try:
            token = Path(token_file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"--token_file {token_file} cannot be read: {error}") from error
        if not token:
            raise ConfigError(f"--token_file {token_file} is empty")
        return token
    token = os.environ.get(_TOKEN_VARIABLE, "").strip()
    if not token:
        raise ConfigError(
            "--token_file is missing; the master's token is in JOB_DIR/token on its machine "
            f"(or set {_TOKEN_VARIABLE})"
        )
    return token


@dataclass(frozen=True)
class RunningMaster:
    """A master, as a command reaches it.

    Attributes:
        address: HOST:PORT.
        token: the job's token.
        tls: the files of an encrypted connection.
    """

    address: str
    token: str
    tls: TlsConfig

    def status(self, details: bool = False) -> dict[str, Any]:
        """Returns the status and, as "ledger", the ledger of the job.

        Args:
            details: whether to add "coverage" and the last "events".

        Raises:
            MasterUnavailableError: no master answers.
            ElasticdlError: it refuses to.
        """
        from elasticdl_like.proto import elasticdl_pb2 as pb

        with self._stub(f"asking the master at {self.address} failed: ") as stub:
            reply = stub.Status(pb.StatusRequest(details=details), timeout=_CALL_TIMEOUT_S)
        document: dict[str, Any] = json.loads(reply.status_json)
        return document

    def scale(self, num_workers: int) -> None:
        """Changes how many workers train the model.

        Raises:
            MasterUnavailableError: no master answers.
            ElasticdlError: it refuses to.
        """
        from elasticdl_like.proto import elasticdl_pb2 as pb

        with self._stub("") as stub:
            stub.Scale(pb.ScaleRequest(num_workers=num_workers), timeout=_CALL_TIMEOUT_S)

    @contextmanager
    def _stub(self, introduction: str) -> Iterator[Any]:
        import grpc

        from elasticdl_like.proto import elasticdl_pb2_grpc
        from elasticdl_like.proto.channel import open_channel
        from elasticdl_like.proto.status_codes import error_from_status

        with open_channel(self.address, self.token, self.tls) as channel:
            try:
                yield elasticdl_pb2_grpc.MasterStub(channel)  # type: ignore[no-untyped-call]
            except grpc.RpcError as error:
                message = f"{introduction}{error.details()}"
                raise error_from_status(error.code(), message) from error


def is_address(job: str) -> bool:
    """Returns whether the JOB of a command is the address of a master, and not a job directory."""
    return ":" in job and not Path(job).exists()


def master_of(directory: JobDirectory, tls: TlsConfig) -> RunningMaster | None:
    """Returns the running master of a job directory, or None when there is none.

    Raises:
        JobDirectoryError: the job's token cannot be read.
    """
    endpoint = directory.endpoint()
    return None if endpoint is None else RunningMaster(endpoint, directory.token(), tls)
