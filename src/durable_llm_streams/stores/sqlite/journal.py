"""The journal's bytes, and what of the logs is held in memory.

Theory of operation
===================
1. A flush of all runs is one journal row: writing keys per run would dirty one page per run.
2. What a run wrote since its last segment is its tail. The tail is in memory, for the readers, and
   in the journal, for the next process.
3. When a tail is large or old, it becomes a segment, in the same transaction as the flush that made
   it so. Journal rows below every tail are deleted.
4. Whoever opens the file replays the journal: records beyond a run's segments are its tail.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from struct import Struct as Layout
from typing import Final

from msgspec import Struct

from durable_llm_streams.model import Claim, Run, Span, Status
from durable_llm_streams.store import Page
from durable_llm_streams.stores.waiters import Waiters, wake

#: A tail becomes a segment when it is larger than this many bytes …
SEGMENT_BYTES = 16 * 1024
#: … or older than this many milliseconds.
SEGMENT_AGE = 10_000

_ITEM = Layout("<QIII")  # run key, first sequence number, count of records, bytes

#: What stands before the joined records of one run in a journal row.
item_head: Final = _ITEM.pack


class Item(Struct, frozen=True, gc=False):
    """The records that one flush wrote for one run, joined by line feeds."""

    run_key: int
    first: int
    length: int
    data: bytes


def unpack(row: bytes) -> Iterator[Item]:
    """The items of a journal row."""
    position = 0
    while position < len(row):
        run_key, first, length, size = _ITEM.unpack_from(row, position)
        position += _ITEM.size
        yield Item(run_key, first, length, row[position : position + size])
        position += size


def with_span(spans: tuple[Span, ...], span: Span) -> tuple[Span, ...]:
    """Add a span; one that wrote nothing gives way."""
    if spans and spans[-1].first == span.first:
        spans = spans[:-1]
    return (*spans, span)


class ActiveRun:
    """A run that has not ended, as the serving process holds it.

    Attributes:
        key, chat: row keys.
        run: the row, with its epoch and spans.
        writer: the epoch that may write; None when there is none.
        next_seq: what the next record gets.
        tail, tail_first: the records since the last segment, and the first one's number.
        journal_row, tail_since: where and when (milliseconds) the tail begins.
        lease_until: milliseconds of the monotonic clock; 0 when it is nobody's.
    """

    __slots__ = (
        "chat", "journal_row", "key", "lease_until", "next_seq", "run", "tail", "tail_bytes",
        "tail_first", "tail_since", "waiters", "writer",
    )  # fmt: skip

    def __init__(self, key: int, chat: int, run: Run, next_seq: int = 1) -> None:
        self.key = key
        self.chat = chat
        self.become(run)
        self.next_seq = next_seq
        self.tail: list[bytes] = []
        self.tail_first = next_seq
        self.tail_bytes = 0
        self.tail_since = 0
        self.journal_row = 0
        self.lease_until = 0
        self.waiters: Waiters = []

    def become(self, run: Run) -> None:
        """Take in what a claim or a release made of the run."""
        self.run = run
        self.writer = run.epoch if run.status is Status.RUNNING else None

    def held_by(self, claim: Claim) -> bool:
        """Whether the claim is still the one that may write."""
        return self.run.status is Status.RUNNING and self.run.epoch == claim.epoch

    def extend(self, records: Sequence[bytes], size: int, journal_row: int, now: int) -> None:
        """Take in what was committed."""
        if not self.tail:
            self.journal_row = journal_row
            self.tail_since = now
        self.tail += records
        self.tail_bytes += size
        self.next_seq += len(records)

    def drop_tail(self) -> None:
        """The tail is a segment now."""
        self.tail = []
        self.tail_first = self.next_seq
        self.tail_bytes = 0

    def wake(self, page: Page | None = None) -> None:
        """Give every waiting reader what it waits for, or let it look again."""
        waiters, self.waiters = self.waiters, []
        wake(waiters, page)
