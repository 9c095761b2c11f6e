"""Certificates of a job, made when it is submitted and known to nobody else."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field

from elasticdl_like.data_readers.extras import missing_extra

WORKERS_NAME = "worker.elasticdl"
"""The name in the certificate of the workers, whose addresses nobody knows beforehand."""

_LIFETIME = datetime.timedelta(days=3650)
_CLOCKS_DIFFER = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Certificate:
    """A certificate and its private key, in PEM format."""

    certificate: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True)
class TlsMaterial:
    """What the pods of a job encrypt with.

    Attributes:
        authority: the certificate that vouches for the others, in PEM format. Its key is gone.
        master: that of the master.
        worker: that of all workers, for `WORKERS_NAME`.
    """

    authority: bytes
    master: Certificate
    worker: Certificate


def make_tls_material(master_hosts: Sequence[str], now: datetime.datetime) -> TlsMaterial:
    """Makes an authority of the job's own, and the certificates that it signs.

    Args:
        master_hosts: the names by which the master is reached.
        now: the time, with its zone.

    Raises:
        ConfigError: the package for it is not installed.
    """
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError as error:
        raise missing_extra("kubernetes", "making certificates", error) from error

    def named(name: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])

    def begin(name: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(named(name))
            .issuer_name(named(authority_name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _CLOCKS_DIFFER)
            .not_valid_after(now + _LIFETIME)
        )

    def signed(name: str, hosts: Sequence[str]) -> Certificate:
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
        no_authority = x509.BasicConstraints(ca=False, path_length=None)
        builder = begin(name, key).add_extension(names, critical=False)
        certificate = builder.add_extension(no_authority, critical=True).sign(
            authority_key, hashes.SHA256()
        )
        return Certificate(
            certificate.public_bytes(serialization.Encoding.PEM),
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
        )

    authority_name = "authority of one elasticdl job"
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = (
        begin(authority_name, authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    return TlsMaterial(
        authority.public_bytes(serialization.Encoding.PEM),
        signed("master", master_hosts),
        signed("worker", [WORKERS_NAME]),
    )
