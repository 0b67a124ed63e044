"""The clocks, and how a time is written."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

_THREAD_SCHEDULE: Final = Path("/proc/thread-self/schedstat")


def wall_clock() -> int:
    """Milliseconds since 1970-01-01 UTC, as the machine is set."""
    return time.time_ns() // 1_000_000


def monotonic_clock() -> int:
    """Milliseconds of a clock that nobody sets. It may stand still while the machine sleeps."""
    return time.monotonic_ns() // 1_000_000


def core_clock() -> float:
    """Seconds that this thread used a CPU core, or waited for one that others used.

    The waiting time is known on Linux only (the second number of `schedstat`, in nanoseconds; see
    Documentation/scheduler/sched-stats.rst of the kernel). Elsewhere it counts as none.
    """
    used = time.thread_time()
    try:
        return used + int(_THREAD_SCHEDULE.read_bytes().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return used


def timestamp(milliseconds: int) -> str:
    """A wall clock's time as RFC 3339 text, in UTC, with milliseconds."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
