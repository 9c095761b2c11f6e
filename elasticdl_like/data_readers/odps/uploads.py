"""Upload sessions: blocks of records that become part of a table all at once, or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from elasticdl_like.data_readers.extras import import_extra
from elasticdl_like.data_readers.odps.blocks import Block
from elasticdl_like.data_readers.odps.client import NoRetries, OdpsClient
from elasticdl_like.data_readers.odps.failures import Failure, failure_of, odps_errors
from elasticdl_like.data_readers.odps.patience import Patience
from elasticdl_like.errors import DataError

_tabletunnel = import_extra("odps.tunnel.tabletunnel", "odps", "MaxCompute tables")

MAX_BLOCKS = 20_000
"""The service takes no more in one session."""


class UploadState(StrEnum):
    """What has become of an upload session."""

    OPEN = "open"
    COMMITTED = "committed"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


class Uploads:
    """The upload sessions of one table or partition, each shared by many processes by its id.

    A block that is written again takes the place of the first. Nothing can be seen in the table
    before the commit, and after it nothing more can be written.

    Args:
        client: the client.
        patience: tries again.
        table: the `odps.models.Table`.
        partition: as `ds=1,hh=2`, or "" for a table without partitions; made if it is missing.
        name: of the table, for messages.
    """

    def __init__(
        self, client: OdpsClient, patience: Patience, table: Any, partition: str, name: str
    ) -> None:
        self._client = client
        self._patience = patience
        self._table = table
        self._partition = partition
        self._where = f"{name} {partition}".rstrip()
        self._sessions: dict[str, Any] = {}

    def begin(self, overwrite: bool) -> str:
        """Opens a session and returns its id.

        Args:
            overwrite: whether the commit removes what was there before.

        Raises:
            DataError, ConfigError: it cannot be opened.
        """
        return str(self._call("an upload session", lambda: self._opened(None, overwrite)).id)

    def state(self, session_id: str) -> UploadState:
        """Returns what has become of a session, which may be of long ago.

        Raises:
            DataError, ConfigError: the service cannot be asked.
        """
        return self._look(session_id)[0]

    def blocks(self, session_id: str) -> set[int]:
        """Returns the numbers of the blocks that the service has.

        Raises:
            DataError, ConfigError: the service cannot be asked.
        """
        return self._look(session_id)[1]

    def write(self, session_id: str, number: int, block: Block) -> None:
        """Sends a block.

        Args:
            session_id: an open session.
            number: of the block; below `MAX_BLOCKS`.
            block: the records, which has ended.

        Raises:
            DataError: the session is no longer open, or the block cannot be sent.
            ConfigError: the credentials are wrong.
        """

        def sent() -> None:
            session = self._session(session_id)
            try:
                session.put_block(number, block)
            except Exception as error:
                if failure_of(error) is Failure.EXPIRED:
                    self._check_open(session)
                raise

        self._call(f"block {number}", sent)

    def commit(self, session_id: str, numbers: Iterable[int]) -> None:
        """Makes the blocks part of the table; does nothing when that has been done already.

        Args:
            session_id: the session.
            numbers: of all the blocks that it is to have.

        Raises:
            DataError: the session has expired, or has other blocks.
            ConfigError: the credentials are wrong.
        """
        expected = set(numbers)

        def committed() -> None:
            # Looks first each time: the reply to a commit that was done may have been lost.
            session = self._session(session_id)
            session.reload()
            if session.status is session.Status.Closed:
                return
            if session.status is session.Status.Closing:
                raise OSError("the service is committing the blocks")
            self._check_open(session)
            self._check_blocks(_numbers(session), expected)
            session._complete_upload()

        self._call("the commit", committed)

    def _look(self, session_id: str) -> tuple[UploadState, set[int]]:
        def looked() -> tuple[UploadState, set[int]]:
            try:
                session = self._opened(session_id)
            except odps_errors.BaseODPSError as error:
                if "Upload" in str(error.code):  # NoSuchUpload
                    return UploadState.UNKNOWN, set()
                raise
            statuses = session.Status
            if session.status is statuses.Closing:
                raise OSError("the service is committing the blocks")
            states = {
                statuses.Normal: UploadState.OPEN,
                statuses.Closed: UploadState.COMMITTED,
            }
            return states.get(session.status, UploadState.EXPIRED), _numbers(session)

        found: tuple[UploadState, set[int]] = self._call("the upload session", looked)
        return found

    def _session(self, session_id: str) -> Any:
        if session_id not in self._sessions:
            self._sessions[session_id] = self._opened(session_id)
        return self._sessions[session_id]

    def _opened(self, session_id: str | None, overwrite: bool = False) -> Any:
        rest, table = self._client.tunnel(self._table)
        return _UploadSession(
            rest,
            table,
            self._partition or None,
            upload_id=session_id,
            create_partition=bool(self._partition) and session_id is None,
            overwrite=overwrite,
        )

    def _check_open(self, session: Any) -> None:
        session.reload()
        if session.status is not session.Status.Normal:
            raise DataError(
                f"MaxCompute: {self._where}: the upload session is {session.status.value.lower()}, "
                "so that no block can be written any more; begin again"
            )

    def _check_blocks(self, there: set[int], expected: set[int]) -> None:
        if there != expected:
            missing, others = sorted(expected - there)[:5], sorted(there - expected)[:5]
            raise DataError(
                f"MaxCompute: {self._where}: {len(expected)} blocks were to be committed, and the "
                f"session has {len(there)}: {missing} are missing, {others} should not be there "
                "(the first of them); nothing was committed"
            )

    def _call(self, what: str, attempt: Any) -> Any:
        return self._patience.call(f"{what} of {self._where}", lambda: self._client.call(attempt))


class _UploadSession(_tabletunnel.TableUploadSession):  # type: ignore[misc,name-defined]
    @property
    def retry_handler(self) -> Any:
        return NoRetries()

    def put_block(self, number: int, block: Block) -> None:
        # The block writers of pyodps take a generator that cannot be sent again.
        params = self.get_common_params(uploadid=self.id, blockid=number) | {"arrow": ""}
        headers = self.get_common_headers(chunked=True)
        reply = self._client.put(
            self._table.table_resource(), data=block.pieces(), params=params, headers=headers
        )
        self.check_tunnel_response(reply)


def _numbers(session: Any) -> set[int]:
    return {int(number) for number in session.blocks}
