"""What do the benchmarks say on this machine? Runs each and writes RESULTS.md.

`run_all.py NAME.py …` runs only those. The others, and those that cannot run here, keep their
results.
"""

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
    "first_steps.py",
    "peer_reader.py",
    "synthetic_data.py",
}
HELPERS = {"common.py", "comparison.py", "masters.py", "run_all.py", "worker_processes.py"} | PARTS
# They install other frameworks; `--peers` says that this is wanted.
PEERS = {"peers_dlrover.py", "peers_input.py"}
# They need a cluster with an image of this project, and variables that name the two.
ON_CLUSTER = {"kubernetes_jobs.py"}
CLUSTER_VARIABLES = ("KUBECONFIG", "ELASTICDL_TEST_IMAGE")


def main() -> int:
    wanted = [argument for argument in sys.argv[1:] if argument != "--peers"]
    results = FOLDER / "RESULTS.md"
    earlier = _sections(results.read_text("utf-8"))
    sections = [_head()]
    failed = []
    for path in sorted(FOLDER.glob("*.py")):
        if path.name in HELPERS:
            continue
        is_default = path.name not in PEERS or "--peers" in sys.argv
        is_wanted = path.name in wanted if wanted else is_default
        if is_wanted and path.name in ON_CLUSTER and not _names_cluster():
            print(f"{path.name} is left out: {' or '.join(CLUSTER_VARIABLES)} is not set")
            is_wanted = False
        if not is_wanted:
            sections += [earlier[path.name]] if path.name in earlier else []
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
        sections.append(
            f"## {question}\n\n`{path.name}`, {_today()}. {details.strip()}\n\n{output}"
        )
        print(output, flush=True)
    results.write_text("\n\n".join(sections) + "\n", "utf-8")
    return 1 if failed else 0


def _head() -> str:
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    tensorflow = next(each for each in ("tensorflow", "tensorflow-cpu") if _version(each))
    return (
        "# Results\n\n"
        "Written by `make bench`. Both sides of a row run in turns in one process; each trio of "
        "samples is minimum / median / maximum, and a ratio is that of one turn.\n\n"
        f"{_today()}: {len(os.sched_getaffinity(0))} cores, "
        f"{memory_bytes / 2**30:.0f} GiB of memory, Python {platform.python_version()}, "
        f"TensorFlow {_version(tensorflow)}, Keras {_version('keras')}."
    )


def _names_cluster() -> bool:
    return all(os.environ.get(each) for each in CLUSTER_VARIABLES)


def _today() -> str:
    return str(datetime.datetime.now(datetime.UTC).date())


def _sections(text: str) -> dict[str, str]:
    """Returns the sections of earlier results, by the name of their benchmark."""
    found = {}
    for section in text.split("\n## ")[1:]:
        _, _, after_question = section.partition("\n\n")
        name = after_question.split("`")[1]
        found[name] = f"## {section.strip()}"
    return found


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except ModuleNotFoundError:
        return ""


if __name__ == "__main__":
    sys.exit(main())
