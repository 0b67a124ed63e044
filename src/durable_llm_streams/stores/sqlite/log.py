"""The logs in the file: append, read, end."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from operator import attrgetter
from typing import Any

from msgspec import structs
from typing_extensions import override

from durable_llm_streams.errors import Fenced, SequenceMismatch
from durable_llm_streams.model import Run
from durable_llm_streams.store import PAGE_BYTES, Append, Ending, LogStore, Page

from .active_runs import ActiveRun, ActiveRuns
from .buckets import charge, end_reservation
from .feed import SQLiteFeed
from .file import DatabaseFile
from .journal import SEGMENT_BYTES, item_head
from .journal_writer import JournalWriter, Written
from .pages import Pages
from .rows import chat_from_row, chat_row, find_run, insert_segment, update_run
from .seen_time import SeenTime

_RUN_ID = attrgetter("run_id")


class SQLiteLog(LogStore):
    """Logs over the file.

    Args:
        file: the serving connection.
        active: the runs that have not ended.
        pages: reads the logs.
        feed: where the ends of runs are published.
        seen: the time that the store has seen pass.
        now: the wall clock, in milliseconds.

    Attributes:
        journal: where batches are written.
    """

    def __init__(
        self,
        file: DatabaseFile,
        active: ActiveRuns,
        pages: Pages,
        feed: SQLiteFeed,
        seen: SeenTime,
        now: Callable[[], int],
    ) -> None:
        self._file = file
        self._active = active
        self._pages = pages
        self._feed = feed
        self._seen = seen
        self._now = now
        self.journal = JournalWriter(file, active, now)

    @override
    def read(
        self, run_id: str, after: int, *, max_bytes: int = PAGE_BYTES, wait: float = 0.0
    ) -> Coroutine[Any, Any, Page]:
        # Not a coroutine of its own: every live reader waits in here.
        return self._pages.read(run_id, after, max_bytes, wait)

    # --- appending ---------------------------------------------------------------------------

    @override
    async def append(self, batch: Sequence[Append]) -> Sequence[bool]:
        return self._append(batch)

    def _append(self, batch: Sequence[Append]) -> list[bool]:
        if len(set(map(_RUN_ID, batch))) < len(batch):
            # Some runs come twice: each item must see the one before it.
            return [self._append([item])[0] for item in batch]
        accepted = [True] * len(batch)
        written: list[Written] = []
        row: list[bytes] = []
        find, join, full = self._active.get, b"\n".join, False
        for index, item in enumerate(batch):
            active, records = find(item.run_id), item.records
            if active is None or active.writer != item.epoch:
                accepted[index] = False
            elif item.at != active.next_seq:
                is_there = item.at + len(records) <= active.next_seq
                accepted[index] = is_there and item.at >= active.run.spans[-1].first
            elif records:
                data = join(records)
                size = len(data)
                row += (item_head(active.key, item.at, len(records), size), data)
                written.append((active, records, size))
                if active.tail_bytes + size > SEGMENT_BYTES:
                    full = True
        if written:
            self.journal.write(written, b"".join(row), full=full)
        return accepted

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
            if active.run.charges:
                end_reservation(connection, active.key)
            charge(connection, ending.charges, self._now(), refuse=False)
            connection.execute(
                "UPDATE message SET body = ? WHERE chat = ? AND id = ?",
                (ending.body, active.chat, ended.message_id),
            )
            connection.execute(
                "UPDATE chat SET updated_at = max(updated_at, ?), seen_at = ? WHERE key = ?",
                (ending.now, seen_at, active.chat),
            )
            row = chat_row(connection, active.chat)
        # Waiters get the last page itself: they have it even if the chat is deleted next.
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
        return structs.replace(
            active.run, status=ending.status, ended_at=ending.now, charges=(), reservations=0
        )

    def _already_ended(self, ending: Ending) -> Run:
        with self._file.translated_errors():
            run = find_run(self._file.connection, ending.run_id)
        if run.epoch != ending.epoch:
            raise Fenced
        return run
