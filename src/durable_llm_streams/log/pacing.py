"""How long records wait for a batch.

Theory of operation
===================
1. A record waits for two reasons only: the CPU core of this thread is busy, or the operator asked
   to spare calls (`Pace.records`).
2. The core is busy when the thread used it, or waited for it, for more than `_TARGET` of the time.
   A window with a late timer counts as fully busy: not every system reports how long a thread
   waited. While the core is busy the delay of a run's records grows, otherwise it shrinks. With a
   longer delay a reader gets several records in one write, which saves work. So a rising load ends
   in larger batches, not in a queue.
3. The delay is of each run, not of all together: the work is spread over time, so that no record
   also waits for the work of all other runs.
4. To spare calls, the interval between them is the wanted batch size divided by the rate of
   records. The rate is smoothed over a quarter of a second.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from durable_llm_streams.store import Pace

_WINDOW_SECONDS: Final = 0.050
_SMOOTHING_SECONDS: Final = 0.25
_TARGET: Final = 0.58  # the share of the core's time that may be used without batches
_LATE_SECONDS: Final = 0.012
_GAIN_SECONDS: Final = 0.3  # how much the delay changes in a second, at a difference of 1
_MAX_DELAY_SECONDS: Final = 0.060
_CALLS_PER_DELAY: Final = 12


class Pacing:
    """Computes how long records wait, from measurements.

    Args:
        pace: of the store.
        core: the seconds that the flusher's thread used a core or waited for one. It is read once
            for each window.

    Attributes:
        interval: the least seconds from the end of one call to the next.
        delay: seconds that the first record of a run waits for others of the same run.
    """

    def __init__(self, pace: Pace, core: Callable[[], float]) -> None:
        self._pace = pace
        self._core = core
        self.interval = pace.interval
        self.delay = 0.0
        self._late = 0.0
        self._records = 0
        self._busy = 0.0  # the share of the core's time, smoothed
        self._rate = 0.0  # records a second
        self._core_before = 0.0
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
        core = self._core()
        weight = math.exp(-window / _SMOOTHING_SECONDS)
        busy = 1.0 if self._late > _LATE_SECONDS else (core - self._core_before) / window
        self._busy = weight * self._busy + (1 - weight) * busy
        self._rate = weight * self._rate + (1 - weight) * self._records / window
        longer = self.delay + _GAIN_SECONDS * min(window, _SMOOTHING_SECONDS) * (
            self._busy - _TARGET
        )
        self.delay = min(max(0.0, longer), _MAX_DELAY_SECONDS)
        spread = self.delay / _CALLS_PER_DELAY
        self.interval = max(self._pace.interval, spread, self._for_batch_size())
        self._core_before, self._wall_before = core, wall
        self._records, self._late = 0, 0.0

    def _for_batch_size(self) -> float:
        """The interval that leads to the batch size that the operator wants."""
        if not (self._pace.longest and self._rate):
            return 0.0
        return min(self._pace.longest, self._pace.records / self._rate)
