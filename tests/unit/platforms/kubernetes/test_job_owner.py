from __future__ import annotations

from pathlib import Path

import pytest

from elasticdl_like.errors import JobDirectoryError
from elasticdl_like.platforms.kubernetes.job_owner import belongs_to, give_to


def test_a_job_directory_is_of_the_last_root_that_it_was_given_to(tmp_path: Path) -> None:
    assert not belongs_to(tmp_path, "one")
    give_to(tmp_path, "one")
    give_to(tmp_path, "one")
    assert belongs_to(tmp_path, "one")
    assert not belongs_to(tmp_path, "two")
    give_to(tmp_path, "two")
    assert belongs_to(tmp_path, "two")
    assert [path.name for path in tmp_path.iterdir()] == ["kubernetes_root"]


def test_a_directory_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(JobDirectoryError, match="kubernetes_root cannot be written"):
        give_to(tmp_path / "nowhere", "one")
    (tmp_path / "kubernetes_root").mkdir()
    with pytest.raises(JobDirectoryError, match="kubernetes_root cannot be read"):
        belongs_to(tmp_path, "one")
