"""A failing history, made small, as a text for people and a file for machines."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from .batch import decoded
from .history import Outcome
from .hunting import ROOT, environment
from .seeds import VERSION, SeedFile
from .shrinking import MOST_TRIES, Shrunk, shrink


def replay(seed: int, store: str, only: Sequence[str] | None) -> Outcome:
    """Run one history, in a process of its own.

    Args:
        seed, store: what it is drawn from.
        only: what shall happen; None for all that the seed draws.
    """
    process = subprocess.run(
        [sys.executable, "-m", "tests.simulation.batch", store, str(seed), "replay"],
        env=environment(),
        cwd=ROOT,
        input=msgspec.json.encode(only),
        stdout=subprocess.PIPE,
        check=True,
    )
    return decoded(process.stdout)


def explain(
    seed: int,
    store: str,
    *,
    only: Sequence[str] | None = None,
    keep_in: Path | None = None,
    most_tries: int = MOST_TRIES,
) -> str | None:
    """Run a history once more, shrink it if it fails, and describe it.

    Args:
        seed, store: the history.
        only: what shall happen in it; None for all that the seed draws.
        keep_in: a folder for the seed file.
        most_tries: histories that the shrinking may take.

    Returns:
        The text; None when no promise breaks.
    """
    outcome = replay(seed, store, only)
    if outcome.breach is None:
        return None
    shrunk = shrink(outcome, lambda kept: replay(seed, store, kept), most_tries)
    small = shrunk.outcome
    lines = [
        f"Seed {seed} on {store} breaks a promise.",
        "",
        *(f"  {line}" for line in (small.breach or "").splitlines()),
        "",
        f"{_left(shrunk, len(outcome.happened))}:",
    ]
    lines += [f"  - {name}" for name in small.happened[:40]]
    if len(small.happened) > 40:
        lines.append(f"  - … and {len(small.happened) - 40} more, in the seed file")
    lines += ["", "What happened:", "", small.trace, ""]
    again = f"make hunt ARGS='--seed {seed} --store {store}'"
    if keep_in is not None:
        path = keep_in / f"{store}-{seed}.json"
        kept = SeedFile(VERSION, seed, store, small.happened, small.breach or "")  # type: ignore[arg-type]
        kept.write(path)
        again += f", or the small one: make hunt ARGS='--file {path}'"
    lines.append(f"Again: {again}")
    return "\n".join(lines)


def _left(shrunk: Shrunk, before: int) -> str:
    left = len(shrunk.outcome.happened)
    if shrunk.is_minimal:
        return f"It needs {left} of the {before} things that happened ({shrunk.tries} tries)"
    return (
        f"It is too long to be shrunk within {shrunk.tries} tries: left are {left} of {before} "
        "things that happened, not all of them needed. --tries allows more"
    )
