"""How much is measured."""

from __future__ import annotations

from typing import Final, NamedTuple


class Size(NamedTuple):
    """How much is measured.

    Attributes:
        repeat: how often the CPU of each pair is measured; figures are medians.
        warm_up, window: seconds at each level.
        levels: the numbers of runs whose CPU is compared.
        steps: the numbers of runs that are tried one after the other to find the highest.
        moderate: the numbers of runs whose latency is looked at.
        wakings: how often a run is handed from one process to another.
        seconds: for counting commands.
        answer: tokens of the answer whose memory is measured.
    """

    repeat: int = 2
    warm_up: float = 1.0
    window: float = 5.0
    levels: tuple[int, ...] = (250, 500)
    steps: tuple[int, ...] = (150, 200, 250, 300, 400, 500, 650, 800, 1000, 1200, 1400, 1600, 2000)
    moderate: tuple[int, ...] = (1, 100, 250)
    wakings: int = 100
    seconds: float = 20.0
    answer: int = 10_000


FULL: Final = Size()
QUICK: Final = Size(1, 0.5, 2.0, (250,), (150, 300, 500, 800), (1, 100), 20, 5.0, 10_000)
TINY: Final = Size(1, 0.2, 0.5, (10,), (5, 10), (1, 5), 3, 1.0, 200)
