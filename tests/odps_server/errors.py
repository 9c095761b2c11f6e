"""What the service answers when it refuses: a status, a code and a message."""

from __future__ import annotations


class ServiceError(Exception):
    """A refusal, in the service's own words; the routes turn it into a reply."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message


def no_such_table(project: str, name: str) -> ServiceError:
    return ServiceError(
        404,
        "NoSuchTable",
        f"ODPS-0130131:Table not found - table {project}.{name} cannot be resolved",
    )


def no_such_partition(partition: str) -> ServiceError:
    return ServiceError(
        404, "NoSuchPartition", f"The specified partition does not exist: {partition}"
    )


def status_conflict(what: str) -> ServiceError:
    return ServiceError(
        409,
        "StatusConflict",
        "You cannot complete the specified operation under the current upload or download "
        f"status: {what}",
    )


def invalid_argument(message: str) -> ServiceError:
    return ServiceError(400, "InvalidArgument", message)
