"""Writes the records of any data reader as RecordIO, TFRecord or Parquet files."""
