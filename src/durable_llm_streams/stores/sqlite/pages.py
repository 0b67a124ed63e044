"""Reading logs in the file: pages, and waiters for the next page."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from durable_llm_streams.errors import CursorLost, RunNotFound, StoreClosed
from durable_llm_streams.store import PAGE_BYTES, Page
from durable_llm_streams.stores.notify import wake_due

from .active_runs import ActiveRuns
from .file import DatabaseFile
from .journal import SEGMENT_BYTES
from .rows import RUN_COLUMNS, read_segments, run_from_row, within

_SWEEP_SECONDS = 0.5


class Pages:
    """Reads pages of logs.

    Args:
        file: the serving connection.
        active: the runs that have not ended; their readers wait there.
    """

    def __init__(self, file: DatabaseFile, active: ActiveRuns) -> None:
        self._file = file
        self._active = active
        self._sweeping = False
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None

    async def read(self, run_id: str, after: int, max_bytes: int, wait: float) -> Page:
        """The next page, as `LogReader.read` gives it."""
        active = self._active.get(run_id)
        if wait > 0 and active is not None and after + 1 == active.next_seq:
            if self._closed:
                raise StoreClosed
            if self._loop is None:
                self._loop = asyncio.get_running_loop()  # once: before Python 3.12 a system call
            loop = self._loop
            future: asyncio.Future[Page | None] = loop.create_future()
            active.waiters.append((future, loop.time() + wait))
            if not self._sweeping:
                self._sweeping = True
                loop.call_later(_SWEEP_SECONDS, self._sweep)
            page = await future
            if page is not None and max_bytes >= SEGMENT_BYTES:
                return page
            if self._closed:
                raise StoreClosed
        return self.page(run_id, after, max_bytes)

    def page(self, run_id: str, after: int, max_bytes: int = PAGE_BYTES) -> Page:
        """The page as of now, without waiting. Raises what `read` raises."""
        active = self._active.get(run_id)
        if active is None:
            with self._file.translated_errors():
                return self._ended_page(run_id, after, max_bytes)
        if after >= active.next_seq or after < 0:
            raise CursorLost
        if after >= active.tail_first - 1:
            records: Sequence[bytes] = active.tail[after + 1 - active.tail_first :]
            if active.tail_bytes > max_bytes:
                records = within(records, max_bytes)
        else:
            with self._file.translated_errors():
                records = read_segments(self._file.connection, active.key, after, max_bytes)
        run = active.run
        return Page(after + 1, records, active.next_seq, run.spans, run.status)

    def _ended_page(self, run_id: str, after: int, max_bytes: int) -> Page:
        row = self._file.connection.execute(
            f"SELECT key, next_seq, has_log, {RUN_COLUMNS} FROM run WHERE id = ?", (run_id,)
        ).fetchone()
        if row is None:
            raise RunNotFound
        key, next_seq, has_log, *columns = row
        run = run_from_row(columns)
        if after >= next_seq or after < 0 or (not has_log and after < next_seq - 1):
            raise CursorLost
        records = read_segments(self._file.connection, key, after, max_bytes)
        return Page(after + 1, records, next_seq, run.spans, run.status)

    def _sweep(self) -> None:
        """Wake the waiters whose timeout is over. One timer serves all of them."""
        self._sweeping = False
        now = asyncio.get_running_loop().time()
        some_wait = False
        for active in self._active:
            if active.waiters:
                active.waiters = wake_due(active.waiters, now)
                some_wait = some_wait or bool(active.waiters)
        if some_wait and not self._closed:
            self._sweeping = True
            asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._sweep)

    def close(self) -> None:
        """Wake all waiters; they raise StoreClosed."""
        self._closed = True
        for active in self._active:
            active.wake()
