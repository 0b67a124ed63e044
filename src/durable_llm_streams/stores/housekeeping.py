"""A background task that deletes what has outlived its retention."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Protocol

from durable_llm_streams.errors import StoreUnavailable

logger = logging.getLogger(__name__)

_INTERVAL_SECONDS = 60.0
_INTERVAL_BETWEEN_BATCHES_SECONDS = 0.1


class Sweeper(Protocol):
    """Deletes what is too old."""

    async def delete_some(self) -> int:
        """Delete some of what has outlived its retention.

        Ages are counted in time that the store has seen pass (see `seen_time`). Each call looks at
        the clock. A clock that jumps deletes nothing; the jump is logged.

        Returns:
            How many logs and chats were deleted. If it is not 0, there may be more.

        Raises:
            StoreUnavailable: nothing was deleted; retry later.
        """
        ...


class Housekeeping:
    """A task that calls a sweeper about once a minute.

    Args:
        sweeper: what it calls.
    """

    def __init__(self, sweeper: Sweeper) -> None:
        self._sweeper = sweeper
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the task, unless it runs."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="housekeeping")

    async def stop(self) -> None:
        """Cancel the task and wait for its end."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while True:
            deleted = 0
            try:
                deleted = await self._sweeper.delete_some()
            except StoreUnavailable as error:
                logger.warning("%s", error)
            except Exception:
                logger.exception("Housekeeping of the store failed")
            await asyncio.sleep(_INTERVAL_BETWEEN_BATCHES_SECONDS if deleted else _INTERVAL_SECONDS)
