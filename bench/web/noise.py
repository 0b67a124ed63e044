"""CPU use by other processes: a figure measured under such noise is not reliable."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

_TICKS = os.sysconf("SC_CLK_TCK")


class Moment(NamedTuple):
    """Seconds so far.

    Attributes:
        at: by the monotonic clock.
        busy: all cores together.
        own: of this process and all that it has started.
    """

    at: float
    busy: float
    own: float


def now() -> Moment:
    """This moment."""
    return Moment(time.monotonic(), _busy_seconds(), _own_seconds())


def others_since(before: Moment) -> float:
    """The share of the machine's CPU time since then that went to others."""
    after = now()
    others = (after.busy - before.busy) - (after.own - before.own)
    cores = os.cpu_count() or 1
    return max(0.0, others / (cores * max(0.01, after.at - before.at)))


def _busy_seconds() -> float:
    with Path("/proc/stat").open() as lines:
        values = [int(value) for value in lines.readline().split()[1:9]]
    return (sum(values) - values[3] - values[4]) / _TICKS


def _own_seconds() -> float:
    """This process, its descendants, and those of them that have ended and were waited for."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        pid = int(folder.name)
        parents[pid] = int(fields[1])
        ticks[pid] = sum(map(int, fields[11:15]))
    return sum(used for pid, used in ticks.items() if _is_ours(pid, parents)) / _TICKS


def _is_ours(pid: int, parents: dict[int, int]) -> bool:
    while pid and pid != os.getpid():
        pid = parents.get(pid, 0)
    return bool(pid)
