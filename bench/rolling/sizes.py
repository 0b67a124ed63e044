"""How much is measured."""

from __future__ import annotations

from typing import Final, NamedTuple


class Size(NamedTuple):
    """How much is measured.

    Attributes:
        repeat: how often; figures are medians.
        servers: processes on one Redis.
        readers: answers that are written at a time; each reader sends again at the end of its own.
        rate: tokens a second of each answer.
        short, long: tokens of the answers, half of them each.
        graces: the values of DLS_GRACE that are compared, in seconds.
    """

    repeat: int = 1
    servers: int = 3
    readers: int = 60
    rate: float = 30.0
    short: int = 75
    long: int = 360
    graces: tuple[float, ...] = (5.0, 0.0)


FULL: Final = Size()
QUICK: Final = Size(readers=30, short=30, long=150, graces=(2.0,))
TINY: Final = Size(servers=2, readers=8, rate=60.0, short=15, long=300, graces=(0.5,))
