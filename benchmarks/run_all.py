"""What do all the benchmarks say on this machine? Runs each and writes RESULTS.md."""

from __future__ import annotations

import ast
import datetime
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

FOLDER = Path(__file__).parent
# Programs that some benchmarks run.
PARTS = {
    "plain_strategy.py",
    "step_times.py",
    "dispatch_client.py",
    "dlrover_client.py",
    "do_nothing_server.py",
    "peer_reader.py",
    "synthetic_data.py",
}
HELPERS = {"common.py", "comparison.py", "masters.py", "run_all.py", "worker_processes.py"} | PARTS
# They install other frameworks; `--peers` says that this is wanted.
PEERS = {"peers_dlrover.py", "peers_input.py"}


def main() -> int:
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    tensorflow = next(each for each in ("tensorflow", "tensorflow-cpu") if _version(each))
    sections = [
        "# Results",
        "Written by `make bench`. Both sides of a row run in turns in one process; each trio of "
        "samples is minimum / median / maximum, and a ratio is that of one turn.",
        f"{datetime.datetime.now(datetime.UTC).date()}: {len(os.sched_getaffinity(0))} cores, "
        f"{memory_bytes / 2**30:.0f} GiB of memory, Python {platform.python_version()}, "
        f"TensorFlow {_version(tensorflow)}, Keras {_version('keras')}.",
    ]
    failed = []
    for path in sorted(FOLDER.glob("*.py")):
        if path.name in HELPERS or (path.name in PEERS and "--peers" not in sys.argv):
            continue
        print(f"{path.name} ...", flush=True)
        done = subprocess.run(
            [sys.executable, path], check=False, stdout=subprocess.PIPE, text=True
        )
        if done.returncode:
            failed.append(path.name)
        docstring = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
        question, _, details = docstring.partition("\n")
        output = done.stdout.strip() if not done.returncode else "failed"
        sections += [f"## {question}", f"`{path.name}`. {details.strip()}".strip(), output]
        print(output, flush=True)
    (FOLDER / "RESULTS.md").write_text("\n\n".join(sections) + "\n", "utf-8")
    return 1 if failed else 0


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except ModuleNotFoundError:
        return ""


if __name__ == "__main__":
    sys.exit(main())
