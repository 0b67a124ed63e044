"""A failing history, shrunk, as a text and as a seed file."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

import msgspec

from .history import Outcome
from .hunting import ROOT, environment
from .seeds import VERSION, SeedFile
from .shrinking import Bounds, Shrunk, shrink

#: Seconds that one history may take on a busy machine.
_LONGEST_SECONDS = 280.0
_MOST_NAMES = 40


class Replays:
    """Runs one seed again and again, each time with other faults, in one process of its own."""

    def __init__(self, seed: int, store: str, seconds: float = _LONGEST_SECONDS) -> None:
        self._until = time.monotonic() + seconds
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.simulation.batch", store, str(seed), "replay"],
            env=environment(),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def __call__(self, only: Sequence[str] | None) -> Outcome:
        """Run it once."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        timer = threading.Timer(max(0.0, self._until - time.monotonic()), self._process.kill)
        timer.start()
        try:
            self._process.stdin.write(msgspec.json.encode(only) + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = b""
        finally:
            timer.cancel()
        if line:
            return msgspec.json.decode(line, type=Outcome)
        if time.monotonic() >= self._until:
            raise TimeoutError("the history takes too long")
        raise RuntimeError(f"{self._process.args!r} has died: its messages stand above.")


def replay(seed: int, store: str, only: Sequence[str] | None) -> Outcome:
    """Run one history, in a process of its own."""
    with Replays(seed, store) as run:
        return run(only)


def outcomes(
    store: str, seeds: Sequence[int], env: Mapping[str, str] = MappingProxyType({})
) -> dict[int, Outcome]:
    """Run some seeds in that order, in one process of its own, and keep their logs."""
    words = (store, ",".join(map(str, seeds)), "whole")
    process = subprocess.run(
        [sys.executable, "-m", "tests.simulation.batch", *words],
        env={**environment(), **env},
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        timeout=_LONGEST_SECONDS,
        check=True,
    )
    found = msgspec.json.decode(process.stdout, type=list[Outcome])
    return {outcome.seed: outcome for outcome in found}


def explain(
    seed: int,
    store: str,
    *,
    only: Sequence[str] | None = None,
    keep_in: Path | None = None,
    bounds: Bounds = Bounds(),  # noqa: B008
) -> str | None:
    """Run a history once more, shrink it if it fails, and describe it."""
    outcome = replay(seed, store, only)
    if outcome.breach is None:
        return None
    with Replays(seed, store, bounds.seconds) as again:
        shrunk = shrink(outcome, again, bounds)
    path = None
    if keep_in is not None:
        path, small = keep_in / f"{store}-{seed}.json", shrunk.outcome
        broke = small.breach or ""
        SeedFile(VERSION, seed, store, small.happened, broke).write(path)  # type: ignore[arg-type]
    return described(shrunk, len(outcome.happened), path)


def described(shrunk: Shrunk, before: int, path: Path | None = None) -> str:
    """A shrunk history as a text: promise, faults, trace, and the command that runs it again."""
    small = shrunk.outcome
    lines = [f"Seed {small.seed} on {small.store} breaks a promise.", ""]
    lines += [f"  {line}" for line in (small.breach or "").splitlines()]
    lines += ["", f"{_left(shrunk, before)}:"]
    lines += [f"  - {name}" for name in small.happened[:_MOST_NAMES]]
    if len(small.happened) > _MOST_NAMES:
        lines.append(f"  - … and {len(small.happened) - _MOST_NAMES} more, in the seed file")
    lines += ["", "What happened:", "", small.trace, ""]
    again = f"make hunt ARGS='--seed {small.seed} --store {small.store}'"
    if path is not None:
        again += f", or the small one: make hunt ARGS='--file {path}'"
    return "\n".join([*lines, f"Again: {again}"])


def _left(shrunk: Shrunk, before: int) -> str:
    left = len(shrunk.outcome.happened)
    if not shrunk.stopped:
        return f"It needs {left} of the {before} things that happened ({shrunk.tries} tries)"
    return (
        f"Shrinking stopped early, after {shrunk.stopped}: left are {left} of {before} things that "
        "happened, not all of them needed. --tries and --seconds allow more"
    )
