"""Data readers: the contract, and those that are built in."""

from elasticdl_like.data_readers.base import (
    AbstractDataReader,
    BatchDataReader,
    Metadata,
    RecordBatch,
)
from elasticdl_like.data_readers.recordio import RecordIODataReader, RecordIOWriter

__all__ = [
    "AbstractDataReader",
    "BatchDataReader",
    "Metadata",
    "RecordBatch",
    "RecordIODataReader",
    "RecordIOWriter",
]
