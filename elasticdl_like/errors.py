"""The errors of elasticdl, in one small hierarchy.

    ElasticdlError
    ├── RetryableError              may pass by itself: wait, then ask again
    │   ├── MasterUnavailableError
    │   ├── ClusterUnavailableError Kubernetes's API server does not answer
    │   └── JournalWriteError       the master cannot write its journal
    └── PermanentError              the same call will fail in the same way again
        ├── ConfigError             a flag or a parameter
        ├── ModelDefinitionError    the model definition file, or what is defined in it
        ├── DataError               the data source
        │   ├── ShardTableError     what `create_shards` returned
        │   ├── CorruptDataError    stored bytes that are not what they claim to be
        │   ├── RecordCountError    a reader that yielded too few or too many records
        │   ├── ReaderError         an exception inside a data reader
        │   └── DataChangedError    other shards than when the job began
        ├── JobDirectoryError       a job directory that is in use, finished or unreadable
        │   └── JournalError        a journal that is damaged, or from a newer version
        ├── ClusterError            Kubernetes's API server refuses a request
        ├── ImageError              no image can be built or pushed
        ├── LedgerError             the ledger does not add up: a defect of elasticdl
        ├── JobFailedError          the job, as told to those who take part in it
        ├── MasterLostError         the master was not reachable for too long
        ├── UnknownWorkerError      the master does not know, or has given up, this worker
        ├── RoundOverError          the round of a worker's trainer is over; there will be another
        ├── StateUnavailableError   no agent gives the state that a round goes on from
        ├── TrainerCrashedError     the trainer of a worker has crashed
        ├── LeaseLostError          a commit of records that are no longer this worker's
        ├── AuthenticationError     a call without the job's token
        └── InvalidRequestError     a call that breaks the protocol

A message says what was found, where, and what to do about it, in one line.
"""

from __future__ import annotations


class ElasticdlError(Exception):
    """Base of every error that elasticdl raises on purpose."""


class RetryableError(ElasticdlError):
    """A failure that may pass by itself."""


class MasterUnavailableError(RetryableError):
    """One call to the master got no answer."""


class ClusterUnavailableError(RetryableError):
    """Kubernetes's API server gave no answer, or is too busy for one."""


class JournalWriteError(RetryableError):
    """The master cannot write its journal; nothing is answered until it can."""


class PermanentError(ElasticdlError):
    """A failure that repeats until somebody changes something."""


class ConfigError(PermanentError):
    """A flag or a parameter has a value that cannot be used."""


class ModelDefinitionError(PermanentError):
    """The model definition file lacks something, or something in it is not as agreed."""


class DataError(PermanentError):
    """The data source cannot be found or read."""


class ShardTableError(DataError):
    """`create_shards` returned something that is not a table of shards."""


class CorruptDataError(DataError):
    """Stored bytes are not what they claim to be.

    Args:
        path: the file.
        offset_bytes: where in the file the damaged part begins.
        problem: what was found there.
    """

    def __init__(self, path: str, offset_bytes: int, problem: str) -> None:
        super().__init__(f"{path}, at byte {offset_bytes}: {problem}")
        self.path = path
        self.offset_bytes = offset_bytes
        self.problem = problem


class RecordCountError(DataError):
    """A data reader yielded too few or too many records for a task."""


class ReaderError(DataError):
    """A data reader raised an exception of its own."""


class DataChangedError(DataError):
    """The data set has other shards than it had when the job began."""


class JobDirectoryError(PermanentError):
    """A job directory is in use, holds another job, or cannot be read."""


class JournalError(JobDirectoryError):
    """The journal of a job is damaged, or was written by a newer version."""


class ClusterError(PermanentError):
    """Kubernetes's API server refuses a request.

    Args:
        message: what was asked, and the server's reason.
        code: the HTTP status, or 0 if there is none.
    """

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class ImageError(PermanentError):
    """There is no program that builds or pushes images, or it fails."""


class LedgerError(PermanentError):
    """The ledger does not add up, which is a defect of elasticdl."""


class JobFailedError(PermanentError):
    """The job has failed; the message is the reason."""


class MasterLostError(PermanentError):
    """The master was not reachable for longer than the master time-out."""


class UnknownWorkerError(PermanentError):
    """The master does not know this worker, or has given it up for lost."""


class RoundOverError(PermanentError):
    """The round that a worker trains in is over; its agent is told what comes next."""


class StateUnavailableError(PermanentError):
    """None of the agents that held the state of a model gives it."""


class TrainerCrashedError(PermanentError):
    """The process that trains, or the one that starts it, has crashed."""


class LeaseLostError(PermanentError):
    """The master refused a commit, because its records are no longer leased to this worker."""


class AuthenticationError(PermanentError):
    """A call to the master does not carry the job's token."""


class InvalidRequestError(PermanentError):
    """A call to the master breaks the protocol."""
