"""Data readers: the contract, and those that are built in."""

from elasticdl_like.data_readers.base import (
    AbstractDataReader,
    BatchDataReader,
    Metadata,
    RecordBatch,
)
from elasticdl_like.data_readers.images import ImageFolderDataReader
from elasticdl_like.data_readers.memory import ArrayDataReader, GeneratorDataReader
from elasticdl_like.data_readers.recordio import RecordIODataReader, RecordIOWriter
from elasticdl_like.data_readers.text import JsonLinesDataReader, TextDataReader
from elasticdl_like.data_readers.tfrecord import TFRecordDataReader, TFRecordWriter

__all__ = [
    "AbstractDataReader",
    "ArrayDataReader",
    "BatchDataReader",
    "GeneratorDataReader",
    "ImageFolderDataReader",
    "JsonLinesDataReader",
    "Metadata",
    "RecordBatch",
    "RecordIODataReader",
    "RecordIOWriter",
    "TFRecordDataReader",
    "TFRecordWriter",
    "TextDataReader",
]
