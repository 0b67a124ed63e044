"""A timeout that every token extends, at no cost per token; detecting cancellation."""

from __future__ import annotations

import asyncio
from math import inf
from types import TracebackType
from typing import Self

_SUSPENDED_SECONDS = 1.0  # a timer this late means that the process was suspended
_LATE_SECONDS = 0.05  # a timer that is so late may have kept back signs of life


def cancelled() -> bool:
    """Whether the current task was cancelled, even if the exception was swallowed."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class IdleTimeout:
    """An async context manager that ends its block when it is idle for too long.

    The block sets `last` to the loop's time at each sign of life: an attribute, not a timer. One
    timer checks it, once for each `limit`.

    Args:
        limit: the timeout in seconds. It may be changed at any moment, with effect from the next
            check.
        longest: the timeout in seconds until `progressed` is called for the first time, whatever
            the signs of life.

    Raises:
        TimeoutError: no sign of life for `limit` seconds, or no progress for `longest`.
    """

    def __init__(self, limit: float, longest: float = inf) -> None:
        self.limit = limit
        self._loop = asyncio.get_running_loop()
        self.last = self._loop.time()
        self._awaits_first = True
        self._deadline = self.last + longest
        self._timeout = asyncio.timeout(None)
        self._timer: asyncio.TimerHandle | None = None

    def progressed(self, limit: float) -> None:
        """Record progress; from now on this is the limit."""
        self.last = self._loop.time()
        self._awaits_first, self._deadline = False, inf
        if limit != self.limit or self._timer is None:
            self.limit = limit
            self._check()

    def extend(self, limit: float) -> None:
        """Change the limit from now on, without progress."""
        self.limit = limit
        self._check()

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        self._check()
        return self

    @property
    def awaits_first(self) -> bool:
        """Whether there was no progress yet."""
        return self._awaits_first

    @property
    def is_overdue(self) -> bool:
        """Whether `longest` has passed, although there were signs of life."""
        now = self._loop.time()
        return now >= self._deadline and now < self.last + self.limit

    def resume(self) -> None:
        """End the pause; the limit counts from now."""
        self.last = self._loop.time()
        self._check()

    def pause(self) -> None:
        """Pause the timeout, until `resume` or `progressed`."""
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

    def _check(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._timeout.expired():
            return  # a block that swallowed the timeout is left to the timeouts around this one
        until = min(self.last + self.limit, self._deadline)
        if until <= self._loop.time():
            self._timer = None
            self._timeout.reschedule(self._loop.time())
        else:
            self._timer = self._loop.call_at(until, self._due, until)

    def _due(self, until: float) -> None:
        """A limit may be over. While a process is suspended it cannot see signs of life."""
        now = self._loop.time()
        if now - until > _SUSPENDED_SECONDS:
            self.last = now
            self._deadline = max(self._deadline, now + self.limit)
        elif now - until > _LATE_SECONDS:
            # What arrived meanwhile is read first.
            self._timer = self._loop.call_later(_LATE_SECONDS, self._check)
            return
        self._check()
