"""The routes of the service: projects, tables, partitions, SQL instances."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from email.utils import formatdate
from xml.etree import ElementTree

from . import metadata, sql
from .errors import ServiceError, invalid_argument
from .messages import Kind, Reply, Request
from .tables import Catalog, Part, Table, parse_partition

_PARTITIONS_PER_PAGE = 100


@dataclass(frozen=True)
class _Instance:
    task_name: str
    error: ServiceError | None


class Service:
    """Answers what comes to the service's endpoint."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._instances: dict[str, _Instance] = {}
        self._instance_numbers = itertools.count(1)

    def answer(self, request: Request, tunnel_address: str) -> Reply:
        """The reply to `request`; `tunnel_address` is host:port.

        Raises:
            ServiceError: What is asked for does not exist or cannot be done.
        """
        names = request.names()
        project = names.get("projects", "")
        self._catalog.check_project(project)
        match request.kind:
            case Kind.PROJECT:
                return _project(project)
            case Kind.TUNNEL_ENDPOINT:
                return Reply(body=tunnel_address.encode())
            case Kind.TABLES:
                return self._tables(request, project)
            case Kind.SUBMIT_SQL:
                return self._submit(request, project)
            case Kind.SQL_STATUS:
                return self._instance(request, names["instances"])
            case Kind.SURVEY:
                return Reply()
        if "tables" in names:
            return self._table(request, self._catalog.get(project, names["tables"]))
        raise invalid_argument(f"{request.method} {request.path} is not known here")

    def _table(self, request: Request, table: Table) -> Reply:
        with self._catalog.lock:
            match request.kind:
                case Kind.TABLE:
                    return _xml(metadata.table_xml(table))
                case Kind.EXTENDED:
                    return _xml(metadata.extended_xml(table))
                case Kind.PARTITIONS:
                    return _xml(_partitions(request, table))
                case Kind.PARTITION:
                    return _xml(metadata.partition_xml(table.part(request.query["partition"])))
        raise invalid_argument(f"{request.method} {request.target} is not known here")

    def _tables(self, request: Request, project: str) -> Reply:
        prefix = request.query.get("name", "")
        tables = [table for table in self._catalog.tables(project) if table.name.startswith(prefix)]
        return _xml(metadata.tables_xml(tables))

    def _submit(self, request: Request, project: str) -> Reply:
        job = ElementTree.fromstring(request.body)
        task = job.find(".//SQL")
        if task is None:
            raise invalid_argument("The instance has no SQL task")
        error = None
        try:
            sql.execute(self._catalog, project, task.findtext("Query", ""))
        except ServiceError as refused:
            error = refused
        instance_id = f"instance{next(self._instance_numbers)}"
        self._instances[instance_id] = _Instance(task.findtext("Name", ""), error)
        return Reply(201, headers={"Location": f"{request.path}/{instance_id}"})

    def _instance(self, request: Request, instance_id: str) -> Reply:
        instance = self._instances.get(instance_id)
        if instance is None:
            raise ServiceError(404, "NoSuchObject", f"Instance not found: {instance_id}")
        failed = instance.error is not None
        if "result" in request.query:
            result = f"{instance.error.code}: {instance.error.message}" if instance.error else ""
            return _xml(metadata.instance_result_xml(instance.task_name, failed, result))
        now = formatdate(usegmt=True)
        return _xml(
            metadata.instance_xml(instance.task_name, failed),
            {"x-odps-owner": metadata.OWNER, "x-odps-start-time": now, "x-odps-end-time": now},
        )


def _project(name: str) -> Reply:
    now = formatdate(usegmt=True)
    headers = {"x-odps-owner": metadata.OWNER, "x-odps-creation-time": now, "Last-Modified": now}
    return _xml(metadata.project_xml(name), headers)


def _partitions(request: Request, table: Table) -> bytes:
    if not table.partition_names:
        raise invalid_argument(f"ODPS-0110061: {table.name} is not a partitioned table")
    wanted = request.query.get("partition")
    prefix = parse_partition(wanted) if wanted else {}
    found: list[tuple[str, Part]] = [
        (partition, part)
        for partition, part in sorted(table.parts.items())
        if prefix.items() <= parse_partition(partition).items()
    ]
    first = int(request.query.get("marker") or 0)
    end = first + _PARTITIONS_PER_PAGE
    return metadata.partitions_xml(found[first:end], str(end) if end < len(found) else "")


def _xml(body: bytes, headers: dict[str, str] | None = None) -> Reply:
    return Reply(body=body, headers={"Content-Type": "application/xml", **(headers or {})})
