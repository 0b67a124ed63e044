"""Reading a log from a cursor on.

A reader asks the store for what comes after its last record. Catching up and following live are
the same call, and a slow reader holds one page at most.

The cursor rule. A store that lost the end of a log may hold another epoch's text under the same
sequence numbers. So a reader may go on from a record only while the log still has it from the same
epoch. `Reader` is the only place that checks this, on every page that it reads.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

from durable_llm_streams.errors import CursorLost
from durable_llm_streams.model import Cursor, Span, token_at
from durable_llm_streams.store import PAGE_BYTES, LogReader, Page


class Reader:
    """Reads one run's log, page by page.

    Args:
        log: where the log is.
        cursor: the last record that the client has.

    Attributes:
        run_id: the run.
        after: the sequence number of the last record that was read; 0 for none.
        token: of the epoch that wrote it; "" for none.
        ended: whether the run has ended and its last record was read.
    """

    __slots__ = ("_checked", "_log", "after", "ended", "run_id", "token")

    def __init__(self, log: LogReader, cursor: Cursor) -> None:
        self._log = log
        self.run_id, self.after, self.token = cursor
        self.ended = False
        self._checked: tuple[Span, ...] | None = None  # spans whose last one holds `after`

    async def read(self, *, max_bytes: int = PAGE_BYTES, wait: float = 0.0) -> Page:
        """The next page, and move the cursor behind it.

        Args:
            max_bytes: see `LogReader.read`.
            wait: see `LogReader.read`. An empty page is not the end.

        Raises:
            CursorLost: the log does not hold the cursor's record, or not from the same epoch.
            RunNotFound: no such run.
            StoreUnavailable: the cursor has not moved; retry.
        """
        after = self.after
        page = await self._log.read(self.run_id, after, max_bytes=max_bytes, wait=wait)
        records, spans = page.records, page.spans
        if spans is not self._checked:
            if after and token_at(spans, after) != self.token:
                raise CursorLost
            if records:
                self.token = token_at(spans, page.last)
            self._checked = spans if spans and spans[-1].first <= page.last else None
        self.after = after + len(records)
        self.ended = page.status.ended and self.after + 1 >= page.next_seq
        return page


async def follow(
    log: LogReader, cursor: Cursor, *, wait: float, max_bytes: int = PAGE_BYTES
) -> AsyncGenerator[Page, None]:
    """A run's log from a cursor to its end, page by page; raises what `Reader.read` raises.

    An empty page says that nothing came for `wait` seconds. The generator ends after the terminal
    record.
    """
    reader = Reader(log, cursor)
    while not reader.ended:
        yield await reader.read(max_bytes=max_bytes, wait=wait)


async def read_all(log: LogReader, run_id: str) -> tuple[list[bytes], Page]:
    """A run's whole log as it is now, and the last page of it."""
    records: list[bytes] = []
    while True:
        page = await log.read(run_id, len(records))
        records += page.records
        if page.last + 1 >= page.next_seq:
            return records, page
