from __future__ import annotations

from pathlib import Path

import pytest

from elasticdl_like.errors import ConfigError
from elasticdl_like.platforms.kubernetes.model_zoo import LIMIT_BYTES, read_model_zoo


def test_files_travel_with_their_paths_and_without_what_is_hidden_or_compiled(
    tmp_path: Path,
) -> None:
    for name in ("digits/model.py", "labels.bin", ".git/config", "digits/__pycache__/model.x.pyc"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\xff" + name.encode())
    assert read_model_zoo(tmp_path) == {
        "digits/model.py": b"\xffdigits/model.py",
        "labels.bin": b"\xfflabels.bin",
    }


def test_a_model_zoo_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("x")
    with (tmp_path / "data.bin").open("wb") as file:
        file.truncate(LIMIT_BYTES)
    with pytest.raises(ConfigError) as caught:
        read_model_zoo(tmp_path)
    assert "has 900,001 bytes in 2 files (the largest: data.bin, 900,000)" in str(caught.value)
    (tmp_path / "model.py").unlink()
    assert list(read_model_zoo(tmp_path)) == ["data.bin"]
