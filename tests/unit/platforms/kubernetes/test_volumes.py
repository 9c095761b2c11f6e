from __future__ import annotations

import pytest

from elasticdl_like.errors import ConfigError
from elasticdl_like.platforms.kubernetes.settings import Volume
from elasticdl_like.platforms.kubernetes.volumes import parse_job_volume, parse_volumes, volume_of


def test_volumes_are_claims_or_directories_of_the_node() -> None:
    text = (
        "claim_name=data, mount_path=/data, sub_path=a/b, read_only=True;"
        "host_path=/mnt/x,mount_path=/mnt,type=Directory;"
    )
    assert parse_volumes(text, "--volume") == (
        Volume("/data", claim_name="data", sub_path="a/b", read_only=True),
        Volume("/mnt", host_path="/mnt/x", host_path_type="Directory"),
    )
    assert parse_volumes("", "--volume") == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("claim_name=c", "does not say where: mount_path=/…"),
        ("mount_path=/c", "needs either claim_name or host_path"),
        ("claim_name=c,host_path=/c,mount_path=/c", "needs either claim_name or host_path"),
        ("claim_name=c,mount_path=data", "'data' is not an absolute path"),
        ("claim_name=C_1,mount_path=/c", "'C_1' cannot be the name"),
        ("host_path=data,mount_path=/c", "'data' is not an absolute path"),
        ("host_path=/a/../b,mount_path=/c", "without '..'"),
        ("claim_name=c,mount_path=/c,sub_path=../d", "does not stay inside"),
        ("claim_name=c,mount_path=/c,sub_path=/d", "does not stay inside"),
        ("claim_name=c,mount_path=/", "nothing can be mounted at /"),
        ("claim_name=c,mount_path=/elasticdl/config", "nothing can be mounted at"),
        ("claim_name=c,mount_path=/tmp", "nothing can be mounted at /tmp"),
        ("claim_name=c,mount_path=//tmp", "'//tmp' is not an absolute path"),
        ("claim_name=c,mount_path=/var/run/secrets/x", "nothing can be mounted at /var/run"),
        ("claim_name=c,mount_path=/c,readonly=true", "'readonly' in"),
        ("claim_name=c,mount_path=/c,read_only=yes", "neither true nor false"),
        ("claim_name=c,mount_path=/c,type=Directory", "type=Directory"),
        ("host_path=/c,mount_path=/c,type=Socket", "there is Directory and DirectoryOrCreate"),
        ("claim_name=c,mount_path=/c;claim_name=d,mount_path=/c/", "two volumes are mounted at"),
        ("/data:/data", "is not of the form name=value"),
    ],
)
def test_a_wrong_volume_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_volumes(text, "--volume")
    assert message in str(caught.value)
    assert str(caught.value).startswith("--volume")


def test_the_job_volume_has_a_fixed_place_and_can_be_written_to() -> None:
    flag = "--job_volume"
    assert parse_job_volume("", flag) is None
    assert parse_job_volume("claim_name=jobs,sub_path=a", flag) == Volume(
        "", claim_name="jobs", sub_path="a"
    )
    with pytest.raises(ConfigError, match="leave mount_path out"):
        parse_job_volume("claim_name=jobs,mount_path=/jobs", flag)
    with pytest.raises(ConfigError, match="read_only cannot be"):
        parse_job_volume("claim_name=jobs,read_only=true", flag)


def test_a_path_is_in_the_innermost_volume() -> None:
    outer, inner = Volume("/data", claim_name="a"), Volume("/data/out/", claim_name="b")
    assert volume_of("/data/in", (outer, inner)) is outer
    assert volume_of("/data/out/model", (outer, inner)) is inner
    assert volume_of("/data/out/model", (inner, outer)) is inner
    assert volume_of("/database", (outer, inner)) is None
    assert volume_of("data", (outer, inner)) is None
    assert volume_of("/data/../etc", (outer, inner)) is None
