"""RecordIO files: a data reader and a writer for both dialects of the format."""

from elasticdl_like.data_readers.recordio.format import Compressor, Dialect
from elasticdl_like.data_readers.recordio.reader import RecordIODataReader
from elasticdl_like.data_readers.recordio.writer import RecordIOWriter

__all__ = ["Compressor", "Dialect", "RecordIODataReader", "RecordIOWriter"]
