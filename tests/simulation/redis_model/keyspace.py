"""The keys of a server and when they go."""

from __future__ import annotations

import math
from typing import NamedTuple

from .values import WRONG_TYPE, ErrorReply, Hash, List, SortedSet, Value


class State(NamedTuple):
    """All keys as of one moment."""

    values: dict[bytes, Value]
    deadlines: dict[bytes, int]


class Keyspace:
    """Keys, their values, their times to live.

    Attributes:
        now: the server's clock in this step, in milliseconds: it stands while a script runs.
    """

    def __init__(self) -> None:
        self._values: dict[bytes, Value] = {}
        self._deadlines: dict[bytes, int] = {}
        self._soonest: float = math.inf  # no key goes before
        self.now = 0

    def begin(self, now: int) -> None:
        """A step begins: what has outlived its time is gone."""
        self.now = now
        if now <= self._soonest:
            return
        for key in [key for key, deadline in self._deadlines.items() if deadline < now]:
            self.delete(key)
        self._soonest = min(self._deadlines.values(), default=math.inf)

    # --- values ------------------------------------------------------------------------------

    def get(self, key: bytes) -> Value | None:
        """What a key holds, of whatever type."""
        return self._values.get(key)

    def names(self) -> list[bytes]:
        """All keys, the oldest first."""
        return list(self._values)

    def text(self, key: bytes) -> bytes | None:
        """A text, if the key is there."""
        value = self._values.get(key)
        if value is None or type(value) is bytes:
            return value
        raise ErrorReply(WRONG_TYPE)

    def hash(self, key: bytes) -> Hash | None:
        """A hash, if the key is there."""
        value = self._values.get(key)
        if value is None or type(value) is dict:
            return value
        raise ErrorReply(WRONG_TYPE)

    def list(self, key: bytes) -> List | None:
        """A list, if the key is there."""
        value = self._values.get(key)
        if value is None or type(value) is list:
            return value
        raise ErrorReply(WRONG_TYPE)

    def sorted_set(self, key: bytes) -> SortedSet | None:
        """A sorted set, if the key is there."""
        value = self._values.get(key)
        if value is None or type(value) is SortedSet:
            return value
        raise ErrorReply(WRONG_TYPE)

    def set(self, key: bytes, value: Value) -> None:
        """Put a value under a key; the key's time to live stays."""
        self._values[key] = value

    def delete(self, key: bytes) -> bool:
        """Forget a key. Returns whether it was there."""
        self._deadlines.pop(key, None)
        return self._values.pop(key, None) is not None

    # --- times -------------------------------------------------------------------------------

    def deadline(self, key: bytes) -> int | None:
        """Until when a key lives; None is for ever."""
        return self._deadlines.get(key)

    def live_until(self, key: bytes, deadline: int) -> None:
        """Let a key that is there live until then; it goes at once if that is over."""
        if deadline <= self.now:
            self.delete(key)
            return
        self._deadlines[key] = deadline
        self._soonest = min(self._soonest, deadline)

    def live_for_ever(self, key: bytes) -> bool:
        """Take a key's time to live away. Returns whether it had one."""
        return self._deadlines.pop(key, None) is not None

    # --- all at once -------------------------------------------------------------------------

    def copy(self) -> State:
        """All keys as they are now; what happens later does not change it."""
        return _copied(self._values, self._deadlines)

    def replace(self, state: State) -> None:
        """All keys as they were then. The state can be used again."""
        self._values, self._deadlines = _copied(*state)
        self._soonest = min(self._deadlines.values(), default=math.inf)


def _copied(values: dict[bytes, Value], deadlines: dict[bytes, int]) -> State:
    copies = {
        key: value if isinstance(value, bytes) else value.copy() for key, value in values.items()
    }
    return State(copies, deadlines.copy())
