"""Parquet files: the reader and a writer."""

from elasticdl_like.data_readers.parquet.reader import ParquetDataReader
from elasticdl_like.data_readers.parquet.writer import ParquetWriter

__all__ = ["ParquetDataReader", "ParquetWriter"]
