"""Deletes regularly what has outlived its retention."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Protocol

from durable_llm_streams.errors import StoreUnavailable

logger = logging.getLogger(__name__)

_PAUSE_SECONDS = 60.0
_PAUSE_BETWEEN_PARTS_SECONDS = 0.1


class Sweeper(Protocol):
    """Deletes what is too old."""

    async def delete_some(self) -> int:
        """Delete some of what has outlived its retention.

        Ages are of time that the store has seen pass (see `seen_time`). Each call looks at the
        clock. A clock that jumps deletes nothing; it is logged.

        Returns:
            How many logs and chats were deleted. Where it is not 0 there may be more.

        Raises:
            StoreUnavailable: it is done again later.
        """
        ...


class Housekeeping:
    """A task that calls a sweeper about once a minute.

    Args:
        sweeper: see there.
    """

    def __init__(self, sweeper: Sweeper) -> None:
        self._sweeper = sweeper
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, unless it runs."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="housekeeping")

    async def stop(self) -> None:
        """End the task."""
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
            await asyncio.sleep(_PAUSE_BETWEEN_PARTS_SECONDS if deleted else _PAUSE_SECONDS)
