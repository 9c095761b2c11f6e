"""What members say with a step survives being added up in float32."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from elasticdl_like.tasks import Interval
from elasticdl_like.worker.step_header import (
    INLINE_INTERVALS,
    Header,
    decode_headers,
    decode_intervals,
    encode_header,
    encode_intervals,
    header_size,
)

numbers = st.integers(0, 2**48 - 1)
intervals = st.builds(Interval, numbers, numbers, numbers)
headers = st.builds(
    Header,
    st.lists(intervals, max_size=INLINE_INTERVALS + 2),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)


@given(st.lists(headers, min_size=1, max_size=5))
def test_the_sum_of_headers_says_what_each_said(said):
    size = len(said)
    summed = np.sum([encode_header(each, rank, size) for rank, each in enumerate(said)], axis=0)
    assert summed.dtype == np.float32
    assert summed.size == header_size(size)
    found = decode_headers(summed, size)
    assert found.num_stops == sum(each.stops for each in said)
    assert found.num_halts == sum(each.halts for each in said)
    assert found.num_ended == sum(each.ended for each in said)
    assert list(found.num_intervals) == [len(each.intervals) for each in said]
    inline = [one for each in said for one in each.intervals[:INLINE_INTERVALS]]
    assert list(found.intervals) == inline


@given(st.lists(st.lists(intervals, max_size=6), min_size=1, max_size=4))
def test_more_intervals_travel_by_themselves(of_members):
    counts = [len(each) for each in of_members]
    parts = [encode_intervals(each, rank, counts) for rank, each in enumerate(of_members)]
    assert decode_intervals(np.sum(parts, axis=0)) == [one for each in of_members for one in each]
