"""The clocks, and how a time is written."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def wall_clock() -> int:
    """Milliseconds since 1970-01-01 UTC, as the machine is set."""
    return time.time_ns() // 1_000_000


def monotonic_clock() -> int:
    """Milliseconds of a clock that nobody sets. It may stand still while the machine sleeps."""
    return time.monotonic_ns() // 1_000_000


def timestamp(milliseconds: int) -> str:
    """A wall clock's time as RFC 3339 text, in UTC, with milliseconds."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
