"""The files of a model zoo that travel with the job, as they have no image of their own."""

from __future__ import annotations

from pathlib import Path

from elasticdl_like.errors import ConfigError

LIMIT_BYTES = 900_000
"""How much a ConfigMap takes, less what else of the job is in it."""


def read_model_zoo(directory: Path) -> dict[str, bytes]:
    """Returns the files below a directory: path relative to it -> content.

    Hidden files, and what Python has compiled, are left out.

    Raises:
        ConfigError: they are too large for this way, or one cannot be read.
    """
    paths = sorted(path for path in directory.rglob("*") if _is_taken(path.relative_to(directory)))
    sizes = {}
    files = {}
    try:
        for path in paths:
            if path.is_file():
                sizes[path] = path.stat().st_size
        if sum(sizes.values()) <= LIMIT_BYTES:
            files = {str(path.relative_to(directory)): path.read_bytes() for path in sizes}
    except OSError as error:
        raise ConfigError(f"--model_zoo: cannot read {error.filename}: {error.strerror}") from error
    if sizes and not files:
        largest = max(sizes, key=lambda path: sizes[path])
        raise ConfigError(
            f"--model_zoo {directory} has {sum(sizes.values()):,} bytes in {len(sizes):,} files "
            f"(the largest: {largest.relative_to(directory)}, {sizes[largest]:,}); up to "
            f"{LIMIT_BYTES:,} travel with a job, so leave data out, or put the folder into the "
            "image or a --volume and name its path there"
        )
    return files


def _is_taken(path: Path) -> bool:
    hidden = any(part.startswith(".") or part == "__pycache__" for part in path.parts)
    return not hidden and path.suffix != ".pyc"
