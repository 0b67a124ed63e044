"""A time limit that is pushed ahead with every token, at no cost per token; cancellation."""

from __future__ import annotations

import asyncio
from math import inf
from types import TracebackType
from typing import Self

_STOOD_STILL = 1.0  # seconds that a timer is late


def cancelled() -> bool:
    """Whether the current task was cancelled, even if something has swallowed that."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class IdleTimeout:
    """An async context manager that ends its block when nothing happens for too long.

    The block sets `last` to the loop's time whenever something happens: an attribute, not a timer.
    One timer looks after the block, as often as the limit is long.

    Args:
        limit: seconds; may be changed at any moment, which counts from the next look on.
        longest: seconds from the start until `happened` is called for the first time, whatever
            moves `last` meanwhile.

    Raises:
        TimeoutError: nothing happened for `limit` seconds, or not what was awaited for `longest`.
    """

    def __init__(self, limit: float, longest: float = inf) -> None:
        self.limit = limit
        self._loop = asyncio.get_running_loop()
        self.last = self._loop.time()
        self._awaits_first = True
        self._deadline = self.last + longest
        self._timeout = asyncio.timeout(None)
        self._timer: asyncio.TimerHandle | None = None

    def happened(self, limit: float) -> None:
        """What was awaited happened; from now on this is the limit."""
        self.last = self._loop.time()
        self._awaits_first, self._deadline = False, inf
        if limit != self.limit or self._timer is None:
            self.limit = limit
            self._look()

    def extend(self, limit: float) -> None:
        """The other side needs longer for what is awaited: from now on this is the limit."""
        self.limit = limit
        self._look()

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        self._look()
        return self

    @property
    def awaits_first(self) -> bool:
        """Whether what was awaited has not happened yet."""
        return self._awaits_first

    @property
    def is_overdue(self) -> bool:
        """Whether `longest` has passed, although there were signs of life."""
        now = self._loop.time()
        return now >= self._deadline and now < self.last + self.limit

    def resume(self) -> None:
        """The pause is over; the limit counts from now."""
        self.last = self._loop.time()
        self._look()

    def pause(self) -> None:
        """What happens now is not the other side's delay; `resume` or `happened` ends the pause."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def _look(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._timeout.expired():
            return  # whoever went on all the same is left to the limits around this one
        until = min(self.last + self.limit, self._deadline)
        if until <= self._loop.time():
            self._timer = None
            self._timeout.reschedule(self._loop.time())
        else:
            self._timer = self._loop.call_at(until, self._due, until)

    def _due(self, until: float) -> None:
        """A limit may be over. A process that stood still could not notice signs of life."""
        now = self._loop.time()
        if now - until > _STOOD_STILL:
            self.last = now
            self._deadline = max(self._deadline, now + self.limit)
        self._look()
