"""The files of an encrypted connection, checked before gRPC sees them.

gRPC's own word for a file that it cannot use is a failed handshake, later.
"""

from __future__ import annotations

import ssl
from pathlib import Path

import grpc

from elasticdl_like.config import TlsConfig
from elasticdl_like.errors import ConfigError


def client_credentials(tls: TlsConfig) -> grpc.ChannelCredentials | None:
    """Returns what a worker needs to talk to a master with TLS; None without any file.

    Raises:
        ConfigError: a file is missing, is not PEM, or does not go with the others.
    """
    if tls == TlsConfig():
        return None
    authorities = _authorities(tls.ca_file)
    key, certificate = _key_and_certificate(tls) if tls.cert_file or tls.key_file else (None, None)
    return grpc.ssl_channel_credentials(authorities, key, certificate)


def server_credentials(tls: TlsConfig) -> grpc.ServerCredentials | None:
    """Returns what a master needs to be talked to with TLS; None without any file.

    With `ca_file` it demands certificates of its clients.

    Raises:
        ConfigError: a file is missing, is not PEM, or does not go with the others.
    """
    if tls == TlsConfig():
        return None
    authorities = _authorities(tls.ca_file)
    return grpc.ssl_server_credentials(
        [_key_and_certificate(tls)], authorities, require_client_auth=authorities is not None
    )


def check_server_files(tls: TlsConfig) -> None:
    """Checks a server's certificate and key.

    Raises:
        ConfigError: a file is missing, is not PEM, or does not go with the other.
    """
    _key_and_certificate(tls)


def _authorities(path: str) -> bytes | None:
    if not path:
        return None
    content = _read("--tls_ca_file", path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError as error:
        raise ConfigError(
            f"--tls_ca_file: {path} does not hold certificates in PEM format ({error})"
        ) from error
    return content


def _key_and_certificate(tls: TlsConfig) -> tuple[bytes, bytes]:
    for flag, path in (("--tls_cert_file", tls.cert_file), ("--tls_key_file", tls.key_file)):
        if not path:
            raise ConfigError(
                f"{flag} is missing: --tls_cert_file and --tls_key_file belong together, and a "
                "master that encrypts needs both"
            )
    certificate = _read("--tls_cert_file", tls.cert_file)
    key = _read("--tls_key_file", tls.key_file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # Its own certificate is one that a file of authorities could hold too.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(tls.cert_file)
    except ssl.SSLError as error:
        raise ConfigError(
            f"--tls_cert_file: {tls.cert_file} is not a certificate in PEM format ({error})"
        ) from error
    try:
        # A password would be asked for at the terminal.
        context.load_cert_chain(tls.cert_file, tls.key_file, password="")
    except ssl.SSLError as error:
        raise ConfigError(
            f"--tls_key_file: {tls.key_file} is not, in PEM format and without a password, the "
            f"private key of {tls.cert_file} ({error})"
        ) from error
    return key, certificate


def _read(flag: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{flag}: cannot read {path}: {error.strerror}") from error
