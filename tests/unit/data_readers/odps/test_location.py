from __future__ import annotations

import pytest

from elasticdl_like.data_readers.odps.location import OdpsLocation
from elasticdl_like.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("odps://p/t", OdpsLocation("p", "t")),
        ("odps://p/t/", OdpsLocation("p", "t")),
        ("ODPS://p/tables/t", OdpsLocation("p", "t")),
        ("odps://p/tables/t/ds=1/hh=2", OdpsLocation("p", "t", "ds=1,hh=2")),
        ("odps://p/t/ds=1", OdpsLocation("p", "t", "ds=1")),
        ("odps://p/tables", OdpsLocation("p", "tables")),
        ("odps://p/tables/ds=1", OdpsLocation("p", "tables", "ds=1")),
        ("p.t", OdpsLocation("p", "t")),
        ("t", OdpsLocation("", "t")),
    ],
)
def test_a_data_origin_names_a_table(text: str, expected: OdpsLocation) -> None:
    assert OdpsLocation.parse(text) == expected


@pytest.mark.parametrize(
    "text", ["", "odps://", "odps://p", "odps:///t", "odps://p/t/x", "a.b.c", "p/t", "p t", ".t"]
)
def test_anything_else_is_an_error_that_says_what_is_expected(text: str) -> None:
    with pytest.raises(ConfigError, match="expected odps://PROJECT/TABLE"):
        OdpsLocation.parse(text)
