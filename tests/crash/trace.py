"""What happened when, and how often: for the report, and for the trace of a violation."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

#: What happened so many seconds before a chat began may concern it.
_BEFORE = 1.0


class Entry(NamedTuple):
    """Something that happened, so many seconds after the campaign began."""

    at: float
    what: str


class Trace:
    """The trace of a campaign."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._began = time.monotonic()
        self._entries: list[Entry] = []

    @property
    def now(self) -> float:
        return time.monotonic() - self._began

    def note(self, what: str, count: str | None = None) -> None:
        """Add an entry, and count it under a name."""
        self._entries.append(Entry(self.now, what))
        if count is not None:
            self.counts[count] += 1

    def since(self, moment: float) -> Iterator[Entry]:
        """The entries from a moment on, and from shortly before."""
        return (entry for entry in self._entries if moment - _BEFORE <= entry.at)
