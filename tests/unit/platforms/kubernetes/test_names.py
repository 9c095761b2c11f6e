from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elasticdl_like.errors import ConfigError
from elasticdl_like.platforms.kubernetes import places
from elasticdl_like.platforms.kubernetes.names import (
    check_job_name,
    job_name_in_cluster,
    parse_namespace,
    worker_pod_name,
)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("digits", "digits"),
        ("digits_cnn", "digits-cnn"),
        ("My Job!", "my-job"),
        ("2024-run", "job-2024-run"),
        ("a" * 40, "a" * 40),
    ],
)
def test_names_of_jobs_are_made_safe(name: str, safe: str) -> None:
    assert job_name_in_cluster(name) == safe


def test_long_names_that_begin_alike_stay_apart() -> None:
    first, second = (job_name_in_cluster("a" * 60 + end) for end in "xy")
    assert first != second
    assert first[:33] == second[:33] == "a" * 33


@given(st.text())
def test_every_name_is_made_safe_or_refused(name: str) -> None:
    try:
        safe = job_name_in_cluster(name)
    except ConfigError:
        assert not re.search("[a-z0-9]", name.lower())
        return
    check_job_name(safe)
    assert job_name_in_cluster(safe) == safe
    for each in (
        worker_pod_name(safe, 12345, "0123456789abcdef"),
        places.environment_secret(safe),
        places.worker_secret(safe),
        places.master_service(safe),
        f"{safe}-abcde",  # the master's pod, as the controller of Jobs names it
    ):
        assert len(each) <= 63
        assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", each)


def test_pods_of_one_worker_have_different_names() -> None:
    assert worker_pod_name("job", 3, "0123456789abcdef") == "job-worker-3-01234567"
    assert worker_pod_name("job", 3, "1123456789abcdef") == "job-worker-3-11234567"


def test_names_that_were_not_made_here_are_refused() -> None:
    for name in ("Digits", "a" * 41, "", "1", "a-"):
        with pytest.raises(ConfigError, match="cannot be the name of a job"):
            check_job_name(name)


def test_namespaces_are_checked() -> None:
    assert parse_namespace("team-1") == "team-1"
    for text in ("", "Team", "a_b", "-a", "a" * 64):
        with pytest.raises(ConfigError, match="--namespace"):
            parse_namespace(text)
