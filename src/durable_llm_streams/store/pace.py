"""How often a store may be written to."""

from __future__ import annotations

from typing import NamedTuple


class Pace(NamedTuple):
    """How often a store wants to be written to: writers batch accordingly.

    Attributes:
        records: so many a call shall carry on average, while that delays none of them for longer
            than `longest`.
        shortest: seconds from one call to the next at the least.
        longest: seconds that a record is held back for others at the most.
        crowded: seconds that the records of a run wait for each other where `many` records a second
            are written by one process: then what it costs to write a run and to wake its readers is
            shared by several records. From `few` records a second on it grows up to that.
    """

    records: float = 1.0
    shortest: float = 0.0
    longest: float = 0.0
    crowded: float = 0.0
    few: float = 0.0
    many: float = 1.0

    def spacing(self, rate: float) -> float:
        """Seconds from one call to the next where so many records a second are written."""
        enough = self.records / rate if rate > 0 else 0.0
        return max(min(self.longest, max(self.shortest, enough)), self.hold(rate) / _CALLS_PER_HOLD)

    def hold(self, rate: float) -> float:
        """Seconds that the records of a run wait for each other, from the first of them on."""
        crowd = (rate - self.few) / (self.many - self.few)
        return self.crowded * min(1.0, max(0.0, crowd))


_CALLS_PER_HOLD = 12
