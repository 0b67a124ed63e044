"""Making a failing history small: leave out what it does not need to fail in the same way.

Delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002)
over the names of what happened: whole ranges first, then smaller ones, down to single names.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from .history import Outcome

#: Runs the history in which only this happens. Raises TimeoutError when it takes too long.
Replay = Callable[[Sequence[str]], Outcome]


class Bounds(NamedTuple):
    """How long shrinking may take, whichever comes first."""

    tries: int = 400
    seconds: float = 600.0


class Shrunk(NamedTuple):
    """What is left."""

    outcome: Outcome
    tries: int
    stopped: str


def promise(outcome: Outcome) -> str | None:
    return None if outcome.breach is None else outcome.breach.partition(":")[0]


def shrink(outcome: Outcome, replay: Replay, bounds: Bounds = Bounds()) -> Shrunk:  # noqa: B008
    """Leave out of a failing history what it does not need."""
    wanted, tries, until = promise(outcome), 0, time.monotonic() + bounds.seconds
    kept = list(outcome.happened)
    size = max(1, len(kept) // 2)
    while kept:
        start = 0
        smaller = False
        while start < len(kept):
            if tries >= bounds.tries:
                return Shrunk(outcome, tries, f"{tries} tries")
            if time.monotonic() >= until:
                return Shrunk(outcome, tries, f"{bounds.seconds:g} s")
            try:
                found = replay(kept[:start] + kept[start + size :])
            except TimeoutError:
                return Shrunk(outcome, tries, f"{bounds.seconds:g} s")
            tries += 1
            if promise(found) == wanted:
                # What it went through is what it needed: names may have become unreachable.
                outcome, kept, smaller = found, _of(kept, found), True
            else:
                start += size
        if size == 1 and not smaller:
            break
        if not smaller or size > len(kept):
            size = max(1, min(size, len(kept)) // 2)
    return Shrunk(outcome, tries, "")


def _of(kept: Sequence[str], found: Outcome) -> list[str]:
    happened = set(found.happened)
    return [name for name in kept if name in happened]
