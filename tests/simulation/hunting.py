"""Many histories, on all cores, and the figures of all of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

ROOT = Path(__file__).parents[2]

#: Histories that one process runs before a fresh one takes its place: what dead processes leave
#: is never freed (see `loop.NEVER_FREED`).
_AT_A_TIME = 50


class Task(Struct, frozen=True):
    """A range of histories for one process."""

    store: str
    first: int
    count: int


class Report(Struct, kw_only=True):
    """What many histories went through.

    Attributes:
        histories: how many, by store.
        counts: faults and actions, by kind.
        figures: turns, records, runs by status, takeovers, seconds of their own.
        failed: (store, seed, breach) of those that broke a promise.
        seconds: of real time.
    """

    histories: dict[str, int] = msgspec.field(default_factory=dict)
    counts: dict[str, int] = msgspec.field(default_factory=dict)
    figures: dict[str, int] = msgspec.field(default_factory=dict)
    failed: list[tuple[str, int, str]] = msgspec.field(default_factory=list)
    seconds: float = 0.0

    def add(self, other: Report) -> None:
        self.histories = added(self.histories, other.histories)
        self.counts = added(self.counts, other.counts)
        self.figures = added(self.figures, other.figures)
        self.failed += other.failed


def added(some: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    return dict(Counter(some) + Counter(more))


def environment() -> dict[str, str]:
    """For a process that runs histories: nothing in it is left to chance."""
    path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(ROOT))))
    return {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": path}


def hunt(
    stores: Sequence[str], first: int, count: int, *, jobs: int
) -> Generator[Report, None, None]:
    """Run each seed on each store, and report batch by batch, until one breaks a promise."""
    tasks = iter(
        [
            Task(store, at, min(_AT_A_TIME, first + count - at))
            for at in range(first, first + count, _AT_A_TIME)
            for store in stores
        ]
    )
    working: list[subprocess.Popen[bytes]] = []
    more = True
    try:
        while True:
            while more and len(working) < jobs:
                task = next(tasks, None)
                if task is None:
                    more = False
                    break
                working.append(_begin(task))
            if not working:
                return
            report = _finished(working)
            more = more and not report.failed
            yield report
    finally:
        for process in working:
            process.kill()
            process.communicate()


def _begin(task: Task) -> subprocess.Popen[bytes]:
    words = (task.store, str(task.first), str(task.count))
    return subprocess.Popen(
        [sys.executable, "-m", "tests.simulation.batch", *words],
        env=environment(),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )


def _finished(working: list[subprocess.Popen[bytes]]) -> Report:
    """Wait for one of them, and take it out."""
    while True:
        for process in working:
            try:
                output, _ = process.communicate(timeout=0.05)
            except subprocess.TimeoutExpired:
                continue
            working.remove(process)
            if process.returncode != 0:
                raise RuntimeError(
                    f"{process.args!r} ended with {process.returncode}: its messages stand above."
                )
            return msgspec.json.decode(output, type=Report)
