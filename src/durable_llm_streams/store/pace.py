"""How often a store may be written to."""

from __future__ import annotations

from typing import NamedTuple


class Pace(NamedTuple):
    """What a store asks of its writers. By default each record may be written at once.

    Attributes:
        interval: seconds from one call to the next, at least.
        records: how many records a call shall carry on average, where calls are paid for; records
            wait for each other until then.
        longest: seconds that a record waits for others at most.
    """

    interval: float = 0.0
    records: float = 1.0
    longest: float = 0.0
