from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
PROTO = "elasticdl_like/proto/elasticdl.proto"


def test_the_committed_code_is_what_the_proto_file_gives(tmp_path: Path) -> None:
    finished = subprocess.run(
        [
            *(sys.executable, "-m", "grpc_tools.protoc", "-I."),
            f"--python_out={tmp_path}",
            f"--pyi_out={tmp_path}",
            f"--grpc_python_out={tmp_path}",
            PROTO,
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    folder = Path(PROTO).parent
    generated = sorted(path.name for path in (tmp_path / folder).iterdir())
    assert generated == ["elasticdl_pb2.py", "elasticdl_pb2.pyi", "elasticdl_pb2_grpc.py"]
    stale = [
        name
        for name in generated
        if (tmp_path / folder / name).read_bytes() != (REPOSITORY / folder / name).read_bytes()
    ]
    assert not stale, f"{stale} do not belong to {PROTO}; run `make proto`"
