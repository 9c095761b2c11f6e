"""All objects of a job, or none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from elasticdl_like.errors import ClusterError, ClusterUnavailableError, ConfigError
from elasticdl_like.platforms.kubernetes.client import CONFLICT
from elasticdl_like.platforms.kubernetes.submit import submit

OBJECTS = [
    {"kind": "Job", "metadata": {"name": "digits"}},
    {"kind": "Secret", "metadata": {"name": "digits"}},
    {"kind": "Service", "metadata": {"name": "digits-master"}},
]


class ScriptedCluster:
    """Raises what the script has for an object, one error for each time that it is created."""

    namespace = "vision"

    def __init__(self, script: Mapping[str, list[BaseException]], delete: str = "") -> None:
        self._script = {kind: list(errors) for kind, errors in script.items()}
        self._delete = delete
        self.created: list[Mapping[str, Any]] = []
        self.deleted: list[tuple[str, str]] = []
        self.now_s = 0.0

    def create(self, plain: Mapping[str, Any]) -> dict[str, Any]:
        errors = self._script.get(plain["kind"])
        if errors:
            raise errors.pop(0)
        self.created.append(plain)
        return {**plain, "metadata": {**plain["metadata"], "uid": "1234"}}

    def delete(self, kind: str, name: str) -> None:
        if self._delete:
            raise ClusterUnavailableError(self._delete)
        self.deleted.append((kind, name))

    def submit(self) -> str:
        return submit(self, OBJECTS, lambda: self.now_s, self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.now_s += seconds


def conflict() -> ClusterError:
    return ClusterError("it exists already", CONFLICT)


def test_the_root_comes_first_and_owns_the_others() -> None:
    cluster = ScriptedCluster({})
    assert cluster.submit() == "1234"
    root, *others = cluster.created
    assert root == OBJECTS[0]
    assert [each["kind"] for each in others] == ["Secret", "Service"]
    for each in others:
        (owner,) = each["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["uid"]) == ("Job", "digits", "1234")


def test_a_job_of_that_name_is_left_alone() -> None:
    cluster = ScriptedCluster({"Job": [conflict()]})
    with pytest.raises(ConfigError, match="there is a job digits in namespace vision already"):
        cluster.submit()
    assert cluster.created == []
    assert cluster.deleted == []


@pytest.mark.parametrize(
    "error",
    [ClusterError("forbidden", 403), ClusterUnavailableError("no answer"), KeyboardInterrupt()],
)
def test_nothing_is_left_when_an_object_cannot_be_created(error: BaseException) -> None:
    cluster = ScriptedCluster({"Service": [error]})
    with pytest.raises(type(error)):
        cluster.submit()
    assert cluster.deleted == [("Job", "digits")]


def test_a_root_that_is_refused_leaves_nothing_to_delete() -> None:
    cluster = ScriptedCluster({"Job": [ClusterError("forbidden", 403)]})
    with pytest.raises(ClusterError, match="forbidden"):
        cluster.submit()
    assert cluster.deleted == []


def test_what_a_stopped_job_has_left_is_waited_for() -> None:
    cluster = ScriptedCluster({"Secret": [conflict(), conflict()]})
    cluster.submit()
    assert len(cluster.created) == 3
    assert cluster.now_s > 0
    assert cluster.deleted == []


def test_what_does_not_go_away_ends_the_submission() -> None:
    cluster = ScriptedCluster({"Secret": [conflict() for _ in range(1000)]})
    with pytest.raises(ClusterError, match="it exists already"):
        cluster.submit()
    assert cluster.deleted == [("Job", "digits")]


def test_what_could_not_be_removed_is_said() -> None:
    cluster = ScriptedCluster({"Service": [ClusterError("no quota", 403)]}, delete="gone silent")
    with pytest.raises(ClusterUnavailableError) as caught:
        cluster.submit()
    message = str(caught.value)
    assert "no quota" in message
    assert "gone silent" in message
    assert "elasticdl stop digits --namespace vision" in message
