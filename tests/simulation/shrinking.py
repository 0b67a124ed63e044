"""Making a failing history small: leave out what it does not need to fail in the same way.

Delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002)
over the names of what happened: whole ranges first, then smaller ones, down to single names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from .history import Outcome

#: Tries that a shrinking may take, unless it is told otherwise.
MOST_TRIES = 400

#: Lives through the history in which only this happens.
Replay = Callable[[Sequence[str]], Outcome]


class Shrunk(NamedTuple):
    """What is left.

    Attributes:
        outcome: the small history.
        tries: how many histories it took.
        is_minimal: whether nothing more can be left out; False: the tries were used up.
    """

    outcome: Outcome
    tries: int
    is_minimal: bool


def promise(outcome: Outcome) -> str | None:
    """Which promise a history breaks: the first one that it tells of."""
    return None if outcome.breach is None else outcome.breach.partition(":")[0]


def shrink(outcome: Outcome, replay: Replay, most_tries: int = MOST_TRIES) -> Shrunk:
    """Leave out of a failing history what it does not need.

    Args:
        outcome: the failing history.
        replay: lives through a part of it.
        most_tries: how often at the most.
    """
    wanted, tries = promise(outcome), 0
    kept = list(outcome.happened)
    size = max(1, len(kept) // 2)
    while kept:
        start = 0
        smaller = False
        while start < len(kept):
            if tries >= most_tries:
                return Shrunk(outcome, tries, is_minimal=False)
            tries += 1
            found = replay(kept[:start] + kept[start + size :])
            if promise(found) == wanted:
                # What it went through is what it needed: names may have become unreachable.
                outcome, kept, smaller = found, _of(kept, found), True
            else:
                start += size
        if size == 1 and not smaller:
            break
        if not smaller or size > len(kept):
            size = max(1, min(size, len(kept)) // 2)
    return Shrunk(outcome, tries, is_minimal=True)


def _of(kept: Sequence[str], found: Outcome) -> list[str]:
    happened = set(found.happened)
    return [name for name in kept if name in happened]
