"""TFRecord files, plain or compressed by gzip: reader and writer, without TensorFlow."""

from elasticdl_like.data_readers.tfrecord.reader import TFRecordDataReader
from elasticdl_like.data_readers.tfrecord.writer import TFRecordWriter

__all__ = ["TFRecordDataReader", "TFRecordWriter"]
