"""The logs in the file: append, read, end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter

from msgspec import structs
from typing_extensions import override

from durable_llm_streams.errors import (
    CursorLost,
    Fenced,
    RunNotFound,
    SequenceMismatch,
    StoreClosed,
)
from durable_llm_streams.model import Run
from durable_llm_streams.store import PAGE_BYTES, Append, Ending, LogStore, Page
from durable_llm_streams.stores.notify import wake_due

from .active_runs import ActiveRun, ActiveRuns
from .feed import SQLiteFeed
from .file import DatabaseFile
from .journal import SEGMENT_AGE, SEGMENT_BYTES, item_head
from .rows import (
    RUN_COLUMNS,
    chat_from_row,
    chat_row,
    find_run,
    insert_segment,
    read_segments,
    run_from_row,
    update_run,
    within,
)
from .seen_time import SeenTime

_SWEEP_SECONDS = 0.5
_TRIM_MILLISECONDS = 1000

_RUN_ID = attrgetter("run_id")
_New = tuple[ActiveRun, Sequence[bytes], int]  # records of a run, and their bytes


class SQLiteLog(LogStore):
    """Logs over the file.

    Args:
        file: the serving connection.
        active: the runs that are written.
        feed: where the ends of runs are published.
        seen: the time that the store has seen pass.
        now: the wall clock, in milliseconds.
    """

    def __init__(
        self,
        file: DatabaseFile,
        active: ActiveRuns,
        feed: SQLiteFeed,
        seen: SeenTime,
        now: Callable[[], int],
    ) -> None:
        self._file = file
        self._active = active
        self._feed = feed
        self._seen = seen
        self._now = now
        self._trim_at = 0
        self._sweeping = False
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None

    @override
    async def append(self, batch: Sequence[Append]) -> Sequence[bool]:
        return self._append(batch)

    def _append(self, batch: Sequence[Append]) -> list[bool]:
        if len(set(map(_RUN_ID, batch))) < len(batch):
            return [self._append([item])[0] for item in batch]  # each sees what the last one wrote
        accepted = [True] * len(batch)
        new: list[_New] = []
        row: list[bytes] = []
        find, join, full = self._active.get, b"\n".join, False
        for index, item in enumerate(batch):
            active, records = find(item.run_id), item.records
            if active is None or active.writer != item.epoch:
                accepted[index] = False
            elif item.at != active.next_seq:
                written = item.at + len(records) <= active.next_seq
                accepted[index] = written and item.at >= active.run.spans[-1].first
            elif records:
                data = join(records)
                size = len(data)
                row += (item_head(active.key, item.at, len(records), size), data)
                new.append((active, records, size))
                if active.tail_bytes + size > SEGMENT_BYTES:
                    full = True
        if new:
            self._write(new, b"".join(row), full)
        return accepted

    def _write(self, new: list[_New], data: bytes, full: bool) -> None:
        now = self._now()
        row = self._active.next_row
        if full or now >= self._trim_at:
            sealed = self._write_and_seal(new, row, data, now)
        else:
            self._file.append_journal(row, data)
            sealed = ()
        self._active.next_row = row + 1
        for active, records, size in new:
            first = active.next_seq
            active.extend(records, size, row, now)
            if active.waiters:  # they have everything before this
                run, page = active.run, None
                if size <= SEGMENT_BYTES:
                    page = Page(first, records, active.next_seq, run.spans, run.status)
                active.wake(page)
        for active in sealed:
            active.drop_tail()

    def _write_and_seal(
        self, new: list[_New], row: int, data: bytes, now: int
    ) -> Iterable[ActiveRun]:
        # In their order: what is written first must not depend on where a run lies in memory.
        sealed = dict.fromkeys(a for a, _, size in new if a.tail_bytes + size > SEGMENT_BYTES)
        with self._file.transaction() as connection:
            self._file.append_journal(row, data)
            fresh = {active.key: records for active, records, _ in new}
            if now >= self._trim_at or now < self._trim_at - _TRIM_MILLISECONDS:  # set back
                self._trim_at = now + _TRIM_MILLISECONDS
                old = now - SEGMENT_AGE
                sealed |= dict.fromkeys(
                    active
                    for active in self._active
                    if active.tail and not old <= active.tail_since <= now
                )
                rows = (a.journal_row for a in self._active if a.tail and a not in sealed)
                connection.execute("DELETE FROM journal WHERE id < ?", (min(rows, default=row),))
            for active in sealed:
                records = [*active.tail, *fresh.get(active.key, ())]
                insert_segment(connection, active.key, active.tail_first, records)
        return sealed

    # --- ending ------------------------------------------------------------------------------

    @override
    async def end(self, ending: Ending) -> Run:
        active = self._active.get(ending.run_id)
        if active is None:
            return self._already_ended(ending)
        ended = self._as_ended(active, ending)
        next_seq = active.next_seq + len(ending.records)
        seen_at = self._seen.stamp()
        with self._file.transaction() as connection:
            records = [*active.tail, *ending.records]
            insert_segment(connection, active.key, active.tail_first, records)
            update_run(connection, ended, next_seq, seen_at)
            connection.execute(
                "UPDATE message SET body = ? WHERE chat = ? AND id = ?",
                (ending.body, active.chat, ended.message_id),
            )
            connection.execute(
                "UPDATE chat SET updated_at = max(updated_at, ?), seen_at = ? WHERE key = ?",
                (ending.now, seen_at, active.chat),
            )
            row = chat_row(connection, active.chat)
        # Waiting readers get the end itself: should the chat be deleted next, they still have it.
        last = Page(active.next_seq, ending.records, next_seq, ended.spans, ended.status)
        small = sum(map(len, ending.records)) <= SEGMENT_BYTES
        self._active.remove(active, last if small else None)
        chat = chat_from_row(row, self._active.first_of(active.chat))
        self._feed.publish("run-ended", chat, ended)
        return ended

    def _as_ended(self, active: ActiveRun, ending: Ending) -> Run:
        if active.writer != ending.epoch:
            raise Fenced
        if ending.at != active.next_seq:
            raise SequenceMismatch(active.next_seq)
        return structs.replace(active.run, status=ending.status, ended_at=ending.now)

    def _already_ended(self, ending: Ending) -> Run:
        with self._file.translated_errors():
            run = find_run(self._file.connection, ending.run_id)
        if run.epoch != ending.epoch:
            raise Fenced
        return run

    # --- reading -----------------------------------------------------------------------------

    @override
    async def read(
        self, run_id: str, after: int, *, max_bytes: int = PAGE_BYTES, wait: float = 0.0
    ) -> Page:
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
        """The page as of now, without waiting."""
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
        """Wake the readers that have waited long enough. One timer for all of them."""
        self._sweeping = False
        now = asyncio.get_running_loop().time()
        left = False
        for active in self._active:
            if active.waiters:
                active.waiters = wake_due(active.waiters, now)
                left = left or bool(active.waiters)
        if left and not self._closed:
            self._sweeping = True
            asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._sweep)

    def close(self) -> None:
        """Wake all readers; they raise StoreClosed."""
        self._closed = True
        for active in self._active:
            active.wake()
