"""What happened when, and how often: for the report, and for the story of a violation."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

#: So much of what happened before a run began may concern it, in seconds.
_BEFORE = 1.0


class Entry(NamedTuple):
    """Something that happened, so many seconds after the campaign began."""

    at: float
    what: str


class Chronicle:
    """The book of a campaign.

    Attributes:
        counts: how often each thing happened.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._began = time.monotonic()
        self._entries: list[Entry] = []

    @property
    def now(self) -> float:
        """Seconds since the campaign began."""
        return time.monotonic() - self._began

    def note(self, what: str, count: str | None = None) -> None:
        """Something happened, and is counted under a name."""
        self._entries.append(Entry(self.now, what))
        if count is not None:
            self.counts[count] += 1

    def between(self, first: float, last: float) -> Iterator[Entry]:
        """What happened from a moment on to another, and shortly before."""
        return (entry for entry in self._entries if first - _BEFORE <= entry.at <= last)
