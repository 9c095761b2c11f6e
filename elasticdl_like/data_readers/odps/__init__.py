"""Tables of MaxCompute (ODPS)."""

from elasticdl_like.data_readers.odps.reader import ODPSDataReader

__all__ = ["ODPSDataReader"]
