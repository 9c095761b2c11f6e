"""Files of lines: text, JSON lines, and csv (`csv_reader`, which needs pyarrow)."""

from elasticdl_like.data_readers.text.line_readers import JsonLinesDataReader, TextDataReader

__all__ = ["JsonLinesDataReader", "TextDataReader"]
