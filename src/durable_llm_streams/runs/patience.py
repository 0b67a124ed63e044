"""A time limit that is pushed ahead with every token, at no cost per token; cancellation."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self


def cancelled() -> bool:
    """Whether the current task was cancelled, even if something has swallowed that."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class Patience:
    """An async context manager that ends its block when nothing happens for too long.

    The block sets `last` to the loop's time whenever something happens: an attribute, not a timer.
    One timer looks after the block, as often as the limit is long.

    Args:
        limit: seconds; may be changed at any moment, which counts from the next look on.

    Raises:
        TimeoutError: nothing happened for `limit` seconds.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._loop = asyncio.get_running_loop()
        self.last = self._loop.time()
        self._timeout = asyncio.timeout(None)
        self._timer: asyncio.TimerHandle | None = None

    def happened(self, limit: float) -> None:
        """Something happened; from now on this is the limit."""
        self.last = self._loop.time()
        if limit != self.limit or self._timer is None:
            self.limit = limit
            self._look()

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        self._look()
        return self

    def pause(self) -> None:
        """What happens now is not the other side's delay; `happened` ends the pause."""
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
        until = self.last + self.limit
        if until <= self._loop.time():
            self._timer = None
            self._timeout.reschedule(self._loop.time())
        else:
            self._timer = self._loop.call_at(until, self._look)
