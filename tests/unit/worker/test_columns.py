"""Records into arrays."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from elasticdl_like.errors import ModelDefinitionError, ReaderError
from elasticdl_like.worker.columns import record_spec, to_arrays


def test_bytes_keep_their_trailing_zeros_and_empty_records_stay():
    records = [b"a\0\0", b"", b"\0"]
    array = to_arrays(records, tf.TensorSpec([], tf.string), "Reader")
    assert array.tolist() == records
    assert tf.constant(array).numpy().tolist() == records


@pytest.mark.parametrize(
    ("signature", "expected"),
    [
        ("string", tf.TensorSpec([], tf.string)),
        (tf.int64, tf.TensorSpec([], tf.int64)),
        (np.dtype("float32"), tf.TensorSpec([], tf.float32)),
        (np.dtype(("float32", (3,))), tf.TensorSpec([3], tf.float32)),
        (tf.TensorSpec([3], tf.int32), tf.TensorSpec([3], tf.int32)),
        (["int64", "string"], (tf.TensorSpec([], tf.int64), tf.TensorSpec([], tf.string))),
        ({"x": "float32"}, {"x": tf.TensorSpec([], tf.float32)}),
    ],
)
@pytest.mark.parametrize("name", ["output_signature", "records_output_types"])
def test_signatures(name, signature, expected):
    assert record_spec(SimpleNamespace(**{name: signature})) == expected


def test_a_reader_without_a_signature_yields_bytes():
    assert record_spec(SimpleNamespace()) == tf.TensorSpec([], tf.string)


def test_a_signature_that_is_no_type_is_refused():
    with pytest.raises(ModelDefinitionError, match="output_signature is 'no such type'"):
        record_spec(SimpleNamespace(output_signature="no such type"))


def test_records_of_tuples_and_dicts_become_columns():
    spec = (tf.TensorSpec([2], tf.float32), {"name": tf.TensorSpec([], tf.string)})
    records = [([1, 2], {"name": b"a"}), ([3, 4], {"name": b"b"})]
    vectors, names = to_arrays(records, spec, "Reader")
    np.testing.assert_array_equal(vectors, [[1, 2], [3, 4]])
    assert vectors.dtype == np.float32
    assert names["name"].tolist() == [b"a", b"b"]


@pytest.mark.parametrize(
    ("records", "spec"),
    [
        ([1, 2], tf.TensorSpec([], tf.string)),
        ([b"x"], tf.TensorSpec([], tf.int64)),
        ([(1, 2)], (tf.TensorSpec([], tf.int64),)),
        ([[1, 2, 3]], tf.TensorSpec([2], tf.int64)),
        ([{"y": 1}], {"x": tf.TensorSpec([], tf.int64)}),
        ({"y": np.arange(3)}, {"x": tf.TensorSpec([], tf.int64)}),
    ],
)
def test_records_of_another_type_are_refused(records, spec):
    with pytest.raises(ReaderError, match="do not fit its output_signature"):
        to_arrays(records, spec, "Reader")
