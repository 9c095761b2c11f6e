"""What the service and the tunnel say about tables, partitions and sessions: XML and JSON."""

from __future__ import annotations

import json
from email.utils import formatdate
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from odps import types

from .errors import ServiceError
from .sessions import DownloadSession, UploadSession
from .tables import WHOLE_TABLE, Part, Table, parse_partition

OWNER = "ALIYUN$tests"


def columns_json(table: Table) -> dict[str, Any]:
    """The columns as both the table's XML and the tunnel's JSON carry them."""
    return {
        "columns": [_column(column) for column in table.schema.simple_columns],
        "partitionKeys": [_column(column) for column in table.schema.partitions or ()],
    }


def _column(column: types.Column) -> dict[str, Any]:
    return {
        "name": column.name,
        "type": str(column.type),
        "comment": column.comment or "",
        "label": "",
        "isNullable": bool(column.nullable),
    }


def table_xml(table: Table) -> bytes:
    """`GET …/tables/T`."""
    modified_s = max([table.created_s, *(part.modified_s for part in table.parts.values())])
    schema = columns_json(table) | {
        "comment": table.comment,
        "owner": OWNER,
        "createTime": int(table.created_s),
        "lastDDLTime": int(table.created_s),
        "lastModifiedTime": int(modified_s),
        "isVirtualView": False,
        "lifecycle": -1,
        "size": sum(part.rows.nbytes for part in table.parts.values()),
        "tableLabel": "0",
    }
    if WHOLE_TABLE in table.parts:
        schema["recordNum"] = table.parts[WHOLE_TABLE].rows.num_rows
    root = Element("Table", format="Json")
    _texts(
        root,
        Name=table.name,
        TableId=f"{table.project}.{table.name}",
        Schema=json.dumps(schema),
        Comment=table.comment,
        Owner=OWNER,
        TableLabel="",
        CreationTime=formatdate(table.created_s, usegmt=True),
        LastModifiedTime=formatdate(modified_s, usegmt=True),
        Type="MANAGED_TABLE",
    )
    return _xml(root)


def extended_xml(table: Table) -> bytes:
    """`GET …/tables/T?extended`."""
    root = Element("Table", format="Json")
    size_bytes = sum(part.rows.nbytes for part in table.parts.values())
    schema = {
        "IsArchived": False,
        "PhysicalSize": 3 * size_bytes,
        "FileNum": len(table.parts),
        "Reserved": json.dumps({"Transactional": "false"}),
    }
    _texts(root, Name=table.name, Schema=json.dumps(schema))
    return _xml(root)


def tables_xml(tables: list[Table]) -> bytes:
    """`GET …/tables`: names only, one page."""
    root = Element("Tables")
    _texts(root, Marker="", MaxItems=str(len(tables)))
    for table in tables:
        _texts(SubElement(root, "Table"), Name=table.name, Owner=OWNER)
    return _xml(root)


def partitions_xml(parts: list[tuple[str, Part]], next_marker: str) -> bytes:
    """`GET …/tables/T?partitions`: one page; `next_marker` asks for the next one."""
    root = Element("Partitions")
    _texts(root, Marker=next_marker, MaxItems=str(len(parts)))
    for partition, part in parts:
        node = SubElement(root, "Partition")
        for name, value in parse_partition(partition).items():
            SubElement(node, "Column", Name=name, Value=value)
        _texts(
            node,
            CreationTime=str(int(part.created_s)),
            LastDDLTime=str(int(part.created_s)),
            LastModifiedTime=str(int(part.modified_s)),
            PartitionSize=str(part.rows.nbytes),
            PartitionRecordCount=str(part.rows.num_rows),
        )
    return _xml(root)


def partition_xml(part: Part) -> bytes:
    """`GET …/tables/T?partition=…`, with or without `extended`."""
    root = Element("Partition", format="Json")
    schema = {
        "createTime": int(part.created_s),
        "lastDDLTime": int(part.created_s),
        "lastModifiedTime": int(part.modified_s),
        "lastAccessTime": 0,
        "partitionSize": part.rows.nbytes,
        "partitionRecordNum": part.rows.num_rows,
        "IsArchived": False,
        "IsExstore": False,
        "LifeCycle": -1,
        "PhysicalSize": 3 * part.rows.nbytes,
        "FileNum": 1,
    }
    _texts(root, Schema=json.dumps(schema))
    return _xml(root)


def project_xml(name: str) -> bytes:
    root = Element("Project")
    _texts(root, Name=name, Comment="", ProjectGroupName="")
    SubElement(root, "Properties")
    return _xml(root)


def instance_xml(task_name: str, failed: bool) -> bytes:
    """`GET …/instances/I?taskstatus` (the plain and the blocking status read it too)."""
    root = Element("Instance")
    _texts(root, Status="Terminated")
    task = SubElement(SubElement(root, "Tasks"), "Task", Type="SQL")
    _texts(task, Name=task_name, Status="Failed" if failed else "Success")
    return _xml(root)


def instance_result_xml(task_name: str, failed: bool, result: str) -> bytes:
    """`GET …/instances/I?result`."""
    root = Element("Instance")
    task = SubElement(SubElement(root, "Tasks"), "Task", Type="SQL")
    _texts(task, Name=task_name, Status="Failed" if failed else "Success")
    SubElement(task, "Result", Format="text").text = result
    return _xml(root)


def download_json(session: DownloadSession) -> bytes:
    return json.dumps(
        {
            "DownloadID": session.id,
            "Owner": OWNER,
            "RecordCount": session.rows.num_rows,
            "Schema": columns_json(session.table),
            "Status": session.status,
            "QuotaName": "",
        }
    ).encode()


def upload_json(session: UploadSession) -> bytes:
    return json.dumps(
        {
            "UploadID": session.id,
            "Owner": OWNER,
            "MaxFieldSize": 8 * 1024 * 1024,
            "Schema": columns_json(session.table),
            "Status": session.status,
            "UploadedBlockList": [{"BlockID": block} for block in sorted(session.blocks)],
            "QuotaName": "",
        }
    ).encode()


def error_xml(error: ServiceError, request_id: str) -> bytes:
    """A refusal of the service."""
    root = Element("Error")
    _texts(root, Code=error.code, Message=error.message, RequestId=request_id, HostId="localhost")
    return _xml(root)


def error_json(error: ServiceError) -> bytes:
    """A refusal of the tunnel."""
    return json.dumps({"Code": error.code, "Message": error.message}).encode()


def _texts(node: Element, **texts: str) -> None:
    for name, text in texts.items():
        SubElement(node, name).text = text


def _xml(root: Element) -> bytes:
    return tostring(root, encoding="utf-8", xml_declaration=True)
