from __future__ import annotations

from fractions import Fraction

import pytest

from elasticdl_like.errors import ConfigError
from elasticdl_like.platforms.kubernetes.resources import (
    parse_resources,
    quantity,
    requests_and_limits,
)

FLAGS = ("--request", "--limit")
DEFAULTS = {"cpu": "1", "memory": "4096Mi"}


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1),
        ("0.5", Fraction(1, 2)),
        (".5", Fraction(1, 2)),
        ("2.", 2),
        ("500m", Fraction(1, 2)),
        ("4Gi", 4 * 2**30),
        ("1.5Ki", 1536),
        ("4G", 4 * 10**9),
        ("2e3", 2000),
        ("2E-1", Fraction(1, 5)),
        ("3E", 3 * 10**18),
    ],
)
def test_quantities_are_those_of_kubernetes(text: str, number: int | Fraction) -> None:
    assert quantity(text) == number


@pytest.mark.parametrize("text", ["", ".", "-1", "4GB", "4 Gi", "1,5", "Gi", "4gi", "\u0661"])
def test_what_the_cluster_would_not_take_is_no_quantity(text: str) -> None:
    assert quantity(text) is None


def test_names_may_be_short_or_full() -> None:
    assert parse_resources("cpu=1, memory=4Gi, disk=10Gi, gpu=1, a.b/c=2", "--r") == {
        "cpu": "1",
        "memory": "4Gi",
        "ephemeral-storage": "10Gi",
        "nvidia.com/gpu": "1",
        "a.b/c": "2",
    }
    assert parse_resources("ephemeral-storage=1Gi,nvidia.com/gpu=2", "--r") == {
        "ephemeral-storage": "1Gi",
        "nvidia.com/gpu": "2",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("memroy=1Gi", "--r: memroy=1Gi: there is no resource 'memroy'; there is cpu, memory"),
        ("memory=4GB", "--r: memory=4GB: '4GB' is not a quantity"),
        ("memory=512", "less than one MiB"),
        ("memory=512m", "less than one MiB"),
        ("disk=10", "less than one MiB"),
        ("cpu=0", "without any processor"),
        ("cpu", "'cpu' is not of the form name=value"),
        ("cpu=1,cpu=2", "'cpu' is given twice"),
        ("gpu=1,nvidia.com/gpu=1", "given twice, under two names"),
        ("gpu=0.5", "cannot be divided"),
    ],
)
def test_a_wrong_resource_is_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_resources(text, "--r")
    assert message in str(caught.value)


def test_the_limit_is_what_is_requested_but_for_processors() -> None:
    asked, most = requests_and_limits("cpu=2,gpu=1", "", FLAGS, DEFAULTS)
    assert asked == {"cpu": "2", "memory": "4096Mi", "nvidia.com/gpu": "1"}
    assert most == {"memory": "4096Mi", "nvidia.com/gpu": "1"}


def test_a_limit_below_the_default_request_is_requested() -> None:
    asked, most = requests_and_limits("", "cpu=500m,memory=1Gi", FLAGS, DEFAULTS)
    assert (asked, most) == ({"cpu": "500m", "memory": "1Gi"}, {"cpu": "500m", "memory": "1Gi"})


def test_a_limit_above_the_request_stays() -> None:
    asked, most = requests_and_limits("memory=1Gi", "memory=2Gi", FLAGS, DEFAULTS)
    assert (asked["memory"], most["memory"]) == ("1Gi", "2Gi")


def test_more_than_the_limit_cannot_be_requested() -> None:
    with pytest.raises(ConfigError, match="--request memory=2Gi is more than --limit memory=1G"):
        requests_and_limits("memory=2Gi", "memory=1G", FLAGS, DEFAULTS)


def test_devices_are_whole_and_not_shared() -> None:
    with pytest.raises(ConfigError, match="devices cannot be shared"):
        requests_and_limits("gpu=1", "gpu=2", FLAGS, DEFAULTS)
