"""How often a store may be called to write a batch."""

from __future__ import annotations

from typing import NamedTuple


class Pace(NamedTuple):
    """What a store asks of its flusher. By default each record may be written at once.

    Attributes:
        interval: the shortest flush interval, in seconds.
        records: the wanted size of a batch, in records, where a store is paid by the call.
        longest: the longest flush interval that this may lead to, in seconds.
    """

    interval: float = 0.0
    records: float = 1.0
    longest: float = 0.0
