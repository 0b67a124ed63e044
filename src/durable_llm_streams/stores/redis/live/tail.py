"""The tail: what a process knows of the end of a log. See `following` for the rules."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from durable_llm_streams.model import Epoch, Span, Status
from durable_llm_streams.store import Page
from durable_llm_streams.stores.notify import Waiters, wake, wake_due
from durable_llm_streams.stores.redis.replies import writer

#: How many bytes of the last records are kept, for readers that are a little behind.
_KEPT_BYTES = 32 * 1024
#: How many messages are buffered at most until it is known where the log ends.
_MAX_BUFFERED = 100

_Message = tuple[int, bytes, Sequence[bytes], Status]


class Tail:
    """Where a log ends, which epoch writes it, its last records, and its waiters.

    Attributes:
        channel: where other processes publish its records.
        live: whether this receives everything that is committed.
        subscribed: whether it receives it by the channel.
        making_live: the task that makes it live.
        next_seq, spans, status: as in a page.
        epoch: the epoch that writes, as in claims.
        by: the same, as in messages.
        used: when it was last read here, in the loop's time.
        waiters: the readers that wait at the end.
    """

    __slots__ = (
        "_buffer",
        "_bytes",
        "_first",
        "_incomplete",
        "_recent",
        "by",
        "channel",
        "epoch",
        "live",
        "making_live",
        "next_seq",
        "spans",
        "status",
        "subscribed",
        "used",
        "waiters",
    )  # fmt: skip

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.live = False
        self.subscribed = False
        self.making_live: asyncio.Task[None] | None = None
        self.used = 0.0
        self.waiters: Waiters = []
        self.next_seq = 1
        self.spans: tuple[Span, ...] = ()
        self.status = Status.QUEUED
        self.epoch: Epoch | None = None
        self.by = b""
        self._first = 1  # the number of the first of the recent records
        self._recent: list[bytes] = []
        self._bytes = 0
        self._buffer: list[_Message] = []
        self._incomplete = False  # whether it may have missed a message while it becomes live

    def start_buffering(self) -> None:
        """Buffer messages until `begin`: the store is asked now where the log ends."""
        self._buffer = []
        self._incomplete = False

    def begin(self, end: Page) -> None:
        """Begin at the log's end as the store replied, and add the buffered messages.

        Args:
            end: an empty page at the log's end.
        """
        self.next_seq = self._first = end.next_seq
        self.status = end.status
        self.written_by(end.spans)
        self._recent, self._bytes = [], 0
        self.live = not self._incomplete
        buffer, self._buffer = self._buffer, []
        if self.live:
            for message in buffer:
                self.received(*message)

    def page(self, after: int, max_bytes: int) -> Page | None:
        """The records after a sequence number, if they are kept here."""
        if after + 1 < self._first or after >= self.next_seq or self._bytes > max_bytes:
            return None
        records = self._recent[after + 1 - self._first :]
        return Page(after + 1, records, self.next_seq, self.spans, self.status)

    def appended(self, at: int, epoch: Epoch, records: Sequence[bytes]) -> None:
        """Add records that this process has committed."""
        if self.live and at == self.next_seq and epoch == self.epoch:
            if records:
                self._extend(records, self.status)
        else:
            self.received(at, writer(epoch).encode(), records, Status.RUNNING)

    def ended(self, at: int, spans: tuple[Span, ...], last: Sequence[bytes], how: Status) -> None:
        """Add the last records, with which this process has ended the run."""
        if self.status.ended:
            return
        if self.live and at == self.next_seq:
            self.written_by(spans)
            self._extend(last, how)
        else:
            self.stale()

    def received(self, at: int, by: bytes, records: Sequence[bytes], status: Status) -> None:
        """Add committed records of any process; some of them may be known already."""
        if not self.live:
            if self.making_live is not None and not self._incomplete:
                self._buffer.append((at, by, records, status))
                self._incomplete = len(self._buffer) >= _MAX_BUFFERED
            return
        known = self.next_seq - at  # how many of the records
        if known >= len(records) and status is self.status:
            return
        if known < 0 or by != self.by or (known and status is not self.status):
            self.stale()
        else:
            self._extend(records[known:] if known else records, status)

    def stale(self) -> None:
        """Mark the tail as incomplete, and wake its waiters."""
        self.live = False
        self._incomplete = True
        self.wake(None)

    def wake(self, page: Page | None) -> None:
        """Wake every waiter with the page; with None it reads the store again."""
        waiters = self.waiters
        if waiters:
            self.waiters = []
            wake(waiters, page)

    def wake_due(self, now: float) -> None:
        """Wake the waiters whose timeout is over."""
        self.waiters = wake_due(self.waiters, now)

    def written_by(self, spans: tuple[Span, ...]) -> None:
        """Set the spans; the epoch of the last one writes."""
        self.spans = spans
        self.epoch = spans[-1].epoch if spans else None
        self.by = b"" if self.epoch is None else writer(self.epoch).encode()

    def _extend(self, records: Sequence[bytes], status: Status) -> None:
        first = self.next_seq
        self.next_seq = next_seq = first + len(records)
        self.status = status
        self._recent += records
        self._bytes += len(records[0]) if len(records) == 1 else sum(map(len, records))
        if self._bytes > _KEPT_BYTES:
            self._first, self._recent, self._bytes = next_seq, [], 0
        if self.waiters:
            self.wake(Page(first, records, next_seq, self.spans, status))
