"""How many runs each owner has, and whose turn it is."""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence

from durable_llm_streams.errors import QueueFull, TooManyRuns
from durable_llm_streams.model import Run, Status
from durable_llm_streams.store import Bounds


class Turns:
    """The active runs by owner. Runs are named by their row keys, which are in order of creation.

    The owner with the fewest running runs is next, then the oldest run.
    """

    def __init__(self) -> None:
        self._owners: dict[str, _Owner] = {}
        self._waiting: dict[str, _Owner] = {}  # those with runs in the queue
        self._behind = 0  # runs that wait behind another one of their chat
        self._in_queue = 0

    def set(self, key: int, run: Run, *, is_first: bool) -> None:
        """Count a run that is new, or that a claim, a release or its turn has changed.

        Args:
            key: of its row.
            run: as it is now.
            is_first: whether it is the oldest active run of its chat.
        """
        owner = self._owners.setdefault(run.owner, _Owner())
        self._drop(key, run.owner, owner)
        if run.status is Status.RUNNING:
            owner.running.add(key)
        elif is_first:
            insort(owner.queue, key)
            self._in_queue += 1
            self._waiting[run.owner] = owner
        else:
            owner.behind.add(key)
            self._behind += 1

    def remove(self, key: int, name: str) -> bool:
        """Forget a run that has ended. Returns whether its owner has runs in the queue."""
        owner = self._owners[name]
        self._drop(key, name, owner)
        if not len(owner):
            del self._owners[name]
        return bool(owner.queue)

    def _drop(self, key: int, name: str, owner: _Owner) -> None:
        owner.running.discard(key)
        if key in owner.behind:
            owner.behind.remove(key)
            self._behind -= 1
            return
        at = bisect_left(owner.queue, key)
        if owner.queue[at : at + 1] == [key]:
            del owner.queue[at]
            self._in_queue -= 1
            if not owner.queue:
                del self._waiting[name]

    def may_begin(self, name: str, most: int | None) -> bool:
        """Whether a new run of an owner may begin before every run of others in the queue.

        Args:
            name: the owner.
            most: how many runs of one owner may run at once.
        """
        owner = self._owners.get(name)
        running = 0 if owner is None else len(owner.running)
        return (most is None or running < most) and all(
            len(other.running) > running for other in self._waiting.values() if other is not owner
        )

    def check(self, name: str, bounds: Bounds, *, waits: bool) -> None:
        """Refuse a new run that there is no room for.

        Raises:
            TooManyRuns: its owner has as many active runs as the bounds allow.
            QueueFull: it would wait, and as many runs wait as the bounds allow.
        """
        owner = self._owners.get(name)
        if bounds.active is not None and owner is not None and len(owner) >= bounds.active:
            raise TooManyRuns(bounds.active)
        all_waiting = self._in_queue + self._behind
        if waits and bounds.waiting is not None and all_waiting >= bounds.waiting:
            raise QueueFull(bounds.waiting)

    def next(self, expired: Sequence[tuple[int, str]], most: int | None) -> Iterator[int]:
        """The keys of the runs to claim, in their order.

        Args:
            expired: key and owner of each run whose lease ran out, oldest first.
            most: how many runs of one owner may run at once.
        """
        candidates = {name: _Candidates(owner, most) for name, owner in self._waiting.items()}
        for key, name in expired:
            if name not in candidates:
                candidates[name] = _Candidates(self._owners[name], most)
            candidates[name].expired.append(key)
        turns = [turn for one in candidates.values() if (turn := one.turn()) is not None]
        heapq.heapify(turns)
        while turns:
            _, key, one = turns[0]
            yield key
            one.take(key)
            turn = one.turn()
            if turn is None:
                heapq.heappop(turns)
            else:
                heapq.heapreplace(turns, turn)


class _Owner:
    """The keys of an owner's runs that run, can be claimed, and wait behind another one."""

    __slots__ = ("behind", "queue", "running")

    def __init__(self) -> None:
        self.running: set[int] = set()
        self.queue: list[int] = []  # oldest first
        self.behind: set[int] = set()

    def __len__(self) -> int:
        return len(self.running) + len(self.queue) + len(self.behind)


class _Candidates:
    """What can be claimed of one owner's runs, while some of them are being claimed."""

    __slots__ = ("_most", "_queue", "_running", "_taken", "_takeovers", "expired")

    def __init__(self, owner: _Owner, most: int | None) -> None:
        self.expired: list[int] = []
        self._queue = owner.queue
        self._running = len(owner.running)
        self._most = most
        self._taken = 0
        self._takeovers = 0

    def turn(self) -> tuple[int, int, _Candidates] | None:
        """The number of running runs and the key of the next one; None when there is none."""
        keys: Iterable[int] = self.expired[self._takeovers : self._takeovers + 1]
        if self._most is None or self._running < self._most:
            keys = (*keys, *self._queue[self._taken : self._taken + 1])
        key = min(keys, default=None)
        return None if key is None else (self._running, key, self)

    def take(self, key: int) -> None:
        """Count the one that `turn` named as claimed."""
        if self.expired[self._takeovers : self._takeovers + 1] == [key]:
            self._takeovers += 1
        else:
            self._taken += 1
            self._running += 1
