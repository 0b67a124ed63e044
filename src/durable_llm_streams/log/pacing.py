"""How long a flusher waits between two calls of the store.

Theory of operation
===================
1. A record waits for others for two reasons only: the CPU core of this thread is saturated, or the
   operator asked to spare calls (`Pace.records`).
2. The core is saturated when the thread used nearly all of a time window, or when a timer fired
   late: then something else uses the core. Each such window makes the interval longer, each quiet
   one shorter. With a longer interval a reader gets several records in one write, which is what
   saves the work: so a rising load ends in larger batches and not in a queue.
3. To spare calls, the interval is what brings the wanted number of records at the rate of the last
   moments. The rate is smoothed over a quarter of a second.
"""

from __future__ import annotations

import math
from typing import Final

from durable_llm_streams.store import Pace

_WINDOW_SECONDS: Final = 0.050
_RATE_SECONDS: Final = 0.25
_BUSY: Final = 0.85  # shares of a window that the thread computed
_QUIET: Final = 0.78
_LATE_SECONDS: Final = 0.012
_STEP_SECONDS: Final = 0.004
_SHRINK: Final = 0.85
_SHORTEST_PAUSE: Final = 0.001
_LONGEST_PAUSE: Final = 0.060


class Pacing:
    """The controller. It is told what was measured and gives the interval.

    Args:
        pace: of the store.

    Attributes:
        interval: seconds from the end of one call to the next.
    """

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self.interval = pace.interval
        self._pause = 0.0  # because the core is saturated
        self._late = 0.0
        self._records = 0
        self._rate = 0.0  # records a second
        self._cpu = 0.0
        self._wall = 0.0

    def fired(self, late: float) -> None:
        """A timer fired so many seconds after its time."""
        self._late = max(self._late, late)

    def flushed(self, records: int, cpu: float, wall: float) -> None:
        """A call is over.

        Args:
            records: how many it carried.
            cpu: the CPU time of this thread, in seconds.
            wall: a monotonic clock, in seconds.
        """
        self._records += records
        window = wall - self._wall
        if window <= _WINDOW_SECONDS:
            return
        self._adapt_pause((cpu - self._cpu) / window)
        self.interval = max(self._pace.interval, self._pause, self._sparing(window))
        self._cpu, self._wall = cpu, wall
        self._records, self._late = 0, 0.0

    def _adapt_pause(self, busy: float) -> None:
        if busy > _BUSY or self._late > _LATE_SECONDS:
            self._pause = min(_LONGEST_PAUSE, self._pause + _STEP_SECONDS)
        elif busy < _QUIET:
            shorter = self._pause * _SHRINK
            self._pause = shorter if shorter > _SHORTEST_PAUSE else 0.0

    def _sparing(self, window: float) -> float:
        """The interval that brings as many records to a call as the operator wants."""
        if not self._pace.longest:
            return 0.0
        # Smoothed: while records wait nothing is flushed, which does not mean that none come.
        known = math.exp(-window / _RATE_SECONDS)
        self._rate = known * self._rate + (1 - known) * self._records / window
        return min(self._pace.longest, self._pace.records / self._rate) if self._rate else 0.0
