"""Where a worker finds its master, and what it proves itself with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from elasticdl_like.config import TlsConfig
from elasticdl_like.errors import MasterUnavailableError


@dataclass(frozen=True)
class Endpoint:
    """Where the master is now.

    Attributes:
        address: `host:port`.
        token: the job token.
    """

    address: str
    token: str = field(repr=False)


@dataclass(frozen=True)
class MasterLocator:
    """How the master is found, the first time and after each restart of it.

    Made by `at` or `of_job`.

    Attributes:
        tls: the files of an encrypted connection.
        fixed: where the master always is, or None.
        job_directory: where a running master writes down its address, or None.
    """

    tls: TlsConfig
    fixed: Endpoint | None = None
    job_directory: Path | None = None

    @classmethod
    def at(cls, address: str, token: str, tls: TlsConfig | None = None) -> MasterLocator:
        """Returns the locator of a master that keeps its address.

        Args:
            address: `host:port`.
            token: the job token.
            tls: the files of an encrypted connection; None for none.
        """
        return cls(tls or TlsConfig(), fixed=Endpoint(address, token))

    @classmethod
    def of_job(cls, job_directory: Path, tls: TlsConfig | None = None) -> MasterLocator:
        """Returns the locator of the master of a job directory, whose address may change.

        Args:
            job_directory: has the files `endpoint` and `token`.
            tls: the files of an encrypted connection; None for none.
        """
        return cls(tls or TlsConfig(), job_directory=job_directory)

    def locate(self) -> Endpoint:
        """Returns where the master is now, or was until a moment ago.

        Raises:
            MasterUnavailableError: no master runs in the job directory now.
        """
        if self.fixed is not None:
            return self.fixed
        assert self.job_directory is not None
        try:
            address = (self.job_directory / "endpoint").read_text(encoding="utf-8").strip()
            token = (self.job_directory / "token").read_text(encoding="utf-8").strip()
        except OSError as error:
            raise MasterUnavailableError(
                f"{error.filename} cannot be read: {error.strerror}"
            ) from error
        return Endpoint(address, token)

    def __str__(self) -> str:
        if self.fixed is not None:
            return f"the master at {self.fixed.address}"
        return f"the master of the job in {self.job_directory}"
