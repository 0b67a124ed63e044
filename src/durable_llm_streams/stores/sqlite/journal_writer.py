"""Writing the journal, and segments once there is enough for them. See `journal`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from durable_llm_streams.store import Page

from .active_runs import ActiveRun, ActiveRuns
from .file import DatabaseFile
from .journal import SEGMENT_AGE, SEGMENT_BYTES
from .rows import insert_segment

_TRIM_MILLISECONDS = 1000

#: A run, its new records, and their bytes.
Written = tuple[ActiveRun, Sequence[bytes], int]


class JournalWriter:
    """Writes batches of records.

    Args:
        file: the serving connection.
        active: the runs that have not ended.
        now: the wall clock, in milliseconds.
    """

    def __init__(self, file: DatabaseFile, active: ActiveRuns, now: Callable[[], int]) -> None:
        self._file = file
        self._active = active
        self._now = now
        self._trim_at = 0

    def write(self, written: Sequence[Written], data: bytes, *, full: bool) -> None:
        """Write a journal row; with it, as a segment, each tail that has become large or old.

        Args:
            written: the runs with new records.
            data: the row: the items of these runs.
            full: whether one of their tails has become large.

        Raises:
            StoreUnavailable: nothing was written.
        """
        now = self._now()
        row = self._active.next_row
        if full or now >= self._trim_at:
            segmented = self._write_with_segments(written, row, data, now)
        else:
            self._file.append_journal(row, data)
            segmented = ()
        self._active.next_row = row + 1
        for active, records, size in written:
            first = active.next_seq
            active.extend(records, size, row, now)
            if active.waiters:  # they have read everything before this
                run, page = active.run, None
                if size <= SEGMENT_BYTES:
                    page = Page(first, records, active.next_seq, run.spans, run.status)
                active.wake(page)
        for active in segmented:
            active.drop_tail()

    def empty(self, last: int, most: int) -> bool:
        """Delete the journal rows up to `last`, with what they hold of runs that are gone.

        The tails in them become segments first, some at each call; then the rows are deleted.

        Args:
            last: the last of these rows.
            most: how many tails or rows are written at most, so that a call is short.

        Returns:
            Whether the rows are deleted. If not, call it again.

        Raises:
            StoreUnavailable: nothing was written.
        """
        tails = [a for a in self._active if a.tail and a.journal_row <= last]
        with self._file.transaction() as connection:
            for active in tails[:most]:
                insert_segment(connection, active.key, active.tail_first, active.tail)
            deleted = 0
            if not tails:
                deleted = connection.execute(
                    "DELETE FROM journal WHERE id IN"
                    " (SELECT id FROM journal WHERE id <= ? ORDER BY id LIMIT ?)",
                    (last, most),
                ).rowcount
        for active in tails[:most]:
            active.drop_tail()
        return not tails and deleted < most

    def _write_with_segments(
        self, written: Sequence[Written], row: int, data: bytes, now: int
    ) -> Iterable[ActiveRun]:
        # Ordered: what is written first must not depend on memory addresses.
        segmented = dict.fromkeys(
            a for a, _, size in written if a.tail_bytes + size > SEGMENT_BYTES
        )
        with self._file.transaction() as connection:
            self._file.append_journal(row, data)
            new = {active.key: records for active, records, _ in written}
            # The second condition: the clock was set back.
            if now >= self._trim_at or now < self._trim_at - _TRIM_MILLISECONDS:
                self._trim_at = now + _TRIM_MILLISECONDS
                old = now - SEGMENT_AGE
                segmented |= dict.fromkeys(
                    active
                    for active in self._active
                    if active.tail and not old <= active.tail_since <= now
                )
                rows = (a.journal_row for a in self._active if a.tail and a not in segmented)
                connection.execute("DELETE FROM journal WHERE id < ?", (min(rows, default=row),))
            for active in segmented:
                records = [*active.tail, *new.get(active.key, ())]
                insert_segment(connection, active.key, active.tail_first, records)
        return segmented
