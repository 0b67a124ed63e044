"""The flush interval: how long a flusher waits between two calls of the store.

Theory of operation
===================
1. A record waits for a batch for two reasons only: the CPU core of this thread is saturated, or the
   operator asked to spare calls (`Pace.records`).
2. The core is saturated when the thread used nearly all of a time window. It is also saturated
   when a timer fired late, because something else used the core. Each such window makes the
   interval longer, each quiet one shorter. With a longer interval a reader gets several records in
   one write, which saves the work. So a rising load ends in larger batches, not in a queue.
3. To spare calls, the interval is the wanted batch size divided by the rate of records. The rate is
   smoothed over a quarter of a second.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from durable_llm_streams.store import Pace

_WINDOW_SECONDS: Final = 0.050
_RATE_SECONDS: Final = 0.25
_BUSY: Final = 0.85  # CPU time of the thread as a share of the window
_QUIET: Final = 0.78
_LATE_SECONDS: Final = 0.012
_STEP_SECONDS: Final = 0.004
_SHRINK: Final = 0.85
_MIN_SATURATED_SECONDS: Final = 0.001
_MAX_SATURATED_SECONDS: Final = 0.060


class Pacing:
    """Computes the flush interval from measurements.

    Args:
        pace: of the store.
        cpu: the CPU time of the flusher's thread, in seconds. It is read once for each window.

    Attributes:
        interval: seconds from the end of one call to the next.
    """

    def __init__(self, pace: Pace, cpu: Callable[[], float]) -> None:
        self._pace = pace
        self._cpu = cpu
        self.interval = pace.interval
        self._saturated = 0.0  # the interval that a saturated core calls for
        self._late = 0.0
        self._records = 0
        self._rate = 0.0  # records a second
        self._cpu_before = 0.0
        self._wall_before = 0.0

    def fired(self, late: float) -> None:
        """Record that a timer fired so many seconds after its time."""
        self._late = max(self._late, late)

    def flushed(self, records: int, wall: float) -> None:
        """Record that a flush is over.

        Args:
            records: the size of its batch.
            wall: a monotonic clock, in seconds.
        """
        self._records += records
        window = wall - self._wall_before
        if window <= _WINDOW_SECONDS:
            return
        cpu = self._cpu()
        self._adapt((cpu - self._cpu_before) / window)
        self.interval = max(self._pace.interval, self._saturated, self._for_batch_size(window))
        self._cpu_before, self._wall_before = cpu, wall
        self._records, self._late = 0, 0.0

    def _adapt(self, busy: float) -> None:
        if busy > _BUSY or self._late > _LATE_SECONDS:
            self._saturated = min(_MAX_SATURATED_SECONDS, self._saturated + _STEP_SECONDS)
        elif busy < _QUIET:
            shorter = self._saturated * _SHRINK
            self._saturated = shorter if shorter > _MIN_SATURATED_SECONDS else 0.0

    def _for_batch_size(self, window: float) -> float:
        """The interval that leads to the batch size that the operator wants."""
        if not self._pace.longest:
            return 0.0
        # Smoothed: a window without a flush does not mean that no records came.
        weight = math.exp(-window / _RATE_SECONDS)
        self._rate = weight * self._rate + (1 - weight) * self._records / window
        return min(self._pace.longest, self._pace.records / self._rate) if self._rate else 0.0
