"""The keys of a server, their values and when they expire."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from operator import itemgetter
from typing import NamedTuple, TypeVar

_score_of_entry = itemgetter(0)


class ErrorReply(Exception):
    """An error as Redis words it: a code in capitals, then a sentence."""


class Status(bytes):
    """A reply that is not a value, such as `OK`."""

    __slots__ = ()


OK = Status(b"OK")


class SortedSet:
    """Members by their scores; members of the same score by their bytes."""

    __slots__ = ("order", "scores")

    def __init__(self) -> None:
        self.scores: dict[bytes, float] = {}
        self.order: list[tuple[float, bytes]] = []

    def __len__(self) -> int:
        return len(self.scores)

    def add(self, member: bytes, score: float) -> bool:
        before = self.scores.get(member)
        if before == score:
            return False
        if before is not None:
            del self.order[bisect_left(self.order, (before, member))]
        self.scores[member] = score
        insort(self.order, (score, member))
        return before is None

    def remove(self, member: bytes) -> bool:
        score = self.scores.pop(member, None)
        if score is None:
            return False
        del self.order[bisect_left(self.order, (score, member))]
        return True

    def between(
        self, low: tuple[float, bool], high: tuple[float, bool]
    ) -> list[tuple[float, bytes]]:
        """The entries from one score to another, the lowest first.

        Args:
            low, high: a score, and whether it is itself excluded.
        """
        find_first = bisect_right if low[1] else bisect_left
        find_end = bisect_left if high[1] else bisect_right
        first = find_first(self.order, low[0], key=_score_of_entry)
        return self.order[first : find_end(self.order, high[0], key=_score_of_entry)]

    def copy(self) -> SortedSet:
        other = SortedSet()
        other.scores, other.order = self.scores.copy(), self.order.copy()
        return other


Hash = dict[bytes, bytes]
List = list[bytes]
Value = bytes | Hash | List | SortedSet
Reply = int | bytes | None | Sequence["Reply"]
V = TypeVar("V", bytes, Hash, List, SortedSet)


class State(NamedTuple):
    """All keys as of one moment."""

    values: dict[bytes, Value]
    deadlines: dict[bytes, int]


class Keyspace:
    """Keys, their values, their times to live.

    Attributes:
        now: the server's clock in this step, in milliseconds. It stands while a script runs.
        values: of all keys, the oldest first. Only this class changes which keys there are.
    """

    def __init__(self) -> None:
        self.now = 0
        self.values: dict[bytes, Value] = {}
        self._deadlines: dict[bytes, int] = {}
        self._soonest: float = math.inf  # no key expires before

    def begin(self, now: int) -> None:
        """A step begins: keys whose time is over are deleted."""
        self.now = now
        if now > self._soonest:
            for key in [key for key, deadline in self._deadlines.items() if deadline < now]:
                self.delete(key)
            self._soonest = min(self._deadlines.values(), default=math.inf)

    def get(self, key: bytes, kind: type[V]) -> V | None:
        """The value of a key, if it is there. Raises ErrorReply where it is of another type."""
        value = self.values.get(key)
        if value is None or isinstance(value, kind):
            return value
        raise ErrorReply("WRONGTYPE Operation against a key holding the wrong kind of value")

    def made(self, key: bytes, kind: type[V]) -> V:
        """The same; an empty value is made where there is none."""
        value = self.get(key, kind)
        if value is None:
            value = self.values[key] = kind()
        return value

    def delete(self, key: bytes) -> bool:
        self._deadlines.pop(key, None)
        return self.values.pop(key, None) is not None

    def delete_if_empty(self, key: bytes) -> None:
        """Collections without elements do not exist."""
        if not self.values.get(key):
            self.delete(key)

    def deadline(self, key: bytes) -> int | None:
        """When a key expires; None is never."""
        return self._deadlines.get(key)

    def expire(self, key: bytes, deadline: int | None) -> None:
        """Let a key that is there expire then; at once if that is over, with None never."""
        if deadline is None:
            self._deadlines.pop(key, None)
        elif deadline <= self.now:
            self.delete(key)
        else:
            self._deadlines[key] = deadline
            self._soonest = min(self._soonest, deadline)

    def copy(self) -> State:
        """All keys as they are now; what happens later does not change it."""
        return _copied(self.values, self._deadlines)

    def replace(self, state: State) -> None:
        """All keys as they were then. The state can be used again."""
        self.values, self._deadlines = _copied(*state)
        self._soonest = min(self._deadlines.values(), default=math.inf)


def _copied(values: dict[bytes, Value], deadlines: dict[bytes, int]) -> State:
    copies = {
        key: value if isinstance(value, bytes) else value.copy() for key, value in values.items()
    }
    return State(copies, deadlines.copy())
