"""The tokens that every source here makes, and the one timer that makes them.

A token holds its own number: `~12 fox` is the twelfth of its stream. `~12@4711 fox` also holds when
it was made, in microseconds of the monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from typing import Final

PLAIN: Final = "plain"
TIMED: Final = "timed"

#: What a reader looks for: the number of a token, and of a timed one also its time.
NUMBER: Final = re.compile(rb"~(\d+)[ @]")
NUMBER_AND_TIME: Final = re.compile(rb"~(\d+)@(\d+) ")

_WORDS: Final = ("the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog,", "and")
_SLOTS: Final = 40
_LATE: Final = 0.002

Tick = Callable[[int], None]


def token(number: int, micros: int | None = None) -> str:
    """One token of a stream, the first one's number is 1."""
    stamp = "" if micros is None else f"@{micros}"
    return f"~{number}{stamp} {_WORDS[number % 10]}"


class Wheel:
    """Ticks for many streams from one timer, spread evenly over the time between two tokens.

    Args:
        rate: ticks per second for each stream.
    """

    def __init__(self, rate: float) -> None:
        self._step = 1 / rate / _SLOTS
        self._slots: list[list[Tick]] = [[] for _ in range(_SLOTS)]
        self._joined = 0
        self._slot = 0
        self._due = 0.0

    def join(self, tick: Tick) -> Callable[[], None]:
        """Have `tick` called with the time in microseconds. Returns what ends it."""
        slot = self._slots[self._joined % _SLOTS]
        self._joined += 1
        slot.append(tick)
        if not self._due:
            self._due = time.monotonic() + self._step
            self._turn()

        def leave() -> None:
            if tick in slot:
                slot.remove(tick)

        return leave

    def _turn(self) -> None:
        """Tick every slot that is due. One that is late counts from when it was due."""
        now = time.monotonic()
        while self._due <= now:
            made = now if now - self._due < _LATE else self._due
            micros = int(made * 1e6)
            for tick in tuple(self._slots[self._slot]):
                tick(micros)
            self._slot = (self._slot + 1) % _SLOTS
            self._due += self._step
        asyncio.get_running_loop().call_later(max(0.001, self._due - now), self._turn)
