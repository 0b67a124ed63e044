"""Erasing what was deleted from the journal and the file, soon after it was deleted."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from durable_llm_streams.errors import StoreLocked, StoreUnavailable

from .active_runs import ActiveRuns
from .file import DatabaseFile
from .journal_writer import JournalWriter

logger = logging.getLogger(__name__)

#: Deletions that follow each other are erased together.
_WAIT_SECONDS = 1.0
#: How many tails or rows of the journal at once: about a millisecond of the event loop.
_AT_ONCE = 8


class Eraser:
    """Empties the journal, and has the bytes of deleted rows zeroed.

    A journal row has the records of all runs of a batch, those of deleted chats among them.

    Args:
        file: the serving connection.
        active: the runs that have not ended.
        journal: what it empties.
    """

    def __init__(self, file: DatabaseFile, active: ActiveRuns, journal: JournalWriter) -> None:
        self._file = file
        self._active = active
        self._journal = journal
        self._requested = False
        self._last = 0  # journal rows up to here may have records of what was deleted
        self._task: asyncio.Task[None] | None = None

    def request(self) -> None:
        """Erase soon what was deleted up to now. Call it on the event loop's thread."""
        self._requested = True
        self._last = self._active.next_row - 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="eraser")

    async def _run(self) -> None:
        while self._requested:
            await asyncio.sleep(_WAIT_SECONDS)
            self._requested, last = False, self._last
            try:
                await self._empty_journal(last)
            except StoreLocked:
                return  # the other process erases
            except StoreUnavailable as error:
                logger.warning("What was deleted is not erased yet. %s", error)
                self._requested = True
            else:
                self._file.erase()

    async def _empty_journal(self, last: int) -> None:
        is_empty = False
        while not is_empty:
            is_empty = self._journal.empty(last, _AT_ONCE)
            await asyncio.sleep(0)  # others may write in between

    async def close(self) -> None:
        """Erase at once what was requested."""
        task, self._task = self._task, None
        if task is None or task.done():
            return
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        with contextlib.suppress(StoreUnavailable, StoreLocked):
            await self._empty_journal(self._last)
            self._file.erase()
