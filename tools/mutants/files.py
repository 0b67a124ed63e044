"""Files that outlive a run: written whole or not at all, and moved aside when they are damaged."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from .mutant import ROOT

#: What a run leaves for the next one. Git ignores it; it may be removed at any time.
KEPT: Final = ROOT / "mutants"


def write(path: Path, content: bytes) -> None:
    """Write a file atomically: readers never see half of it."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_bytes(content)
    unfinished.replace(path)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Be the only process that changes a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def aside(path: Path, error: Exception) -> str:
    """Move a damaged file out of the way.

    Returns:
        What to say about it.
    """
    moved = path.with_name(f"{path.name}.damaged")
    path.replace(moved)
    why = f"{type(error).__name__}: {error}".splitlines()[0]
    return f"{path.name} could not be read ({why}); it is now {moved}, and a new one is begun."
