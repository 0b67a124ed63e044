"""The end of a run's log, as a process knows it. See `following` for the rules."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from durable_llm_streams.model import Epoch, Span, Status
from durable_llm_streams.store import Page
from durable_llm_streams.stores.notify import Waiters, wake, wake_due
from durable_llm_streams.stores.redis.replies import writer

#: The last records are kept for readers that are a little behind: at most so many bytes.
_KEPT_BYTES = 32 * 1024
#: At most so many messages are kept that come before it is known where the log ends.
_KEPT_EARLY = 100

_Heard = tuple[int, bytes, Sequence[bytes], Status]


class Tail:
    """Where a log ends, who writes it, its last records, and the readers that wait for more.

    Attributes:
        channel: where other processes publish its records.
        live: whether this receives everything that is committed.
        subscribed: whether it does so by the channel.
        making_live: the task that makes it live.
        next_seq, spans, status: as in a page.
        epoch: who writes, as in claims.
        by: the same, as in messages.
        used: when it was last read here, in the loop's time.
        waiters: the readers that wait at the end, and until when.
    """

    __slots__ = (
        "_bytes",
        "_doubtful",
        "_early",
        "_first",
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
        self._early: list[_Heard] = []
        self._doubtful = False  # whether it may have missed something while it becomes live

    def begin_early(self) -> None:
        """The store is asked where the log ends; messages from now on are kept for `begin`."""
        self._early = []
        self._doubtful = False

    def begin(self, place: Page) -> None:
        """The log ended there when the store was asked; everything since has been received."""
        self.next_seq = self._first = place.next_seq
        self.status = place.status
        self.written_by(place.spans)
        self._recent, self._bytes = [], 0
        self.live = not self._doubtful
        early, self._early = self._early, []
        if self.live:
            for heard in early:
                self.heard(*heard)

    def page(self, after: int, max_bytes: int) -> Page | None:
        """The records after a sequence number, if they are kept here."""
        if after + 1 < self._first or after >= self.next_seq or self._bytes > max_bytes:
            return None
        records = self._recent[after + 1 - self._first :]
        return Page(after + 1, records, self.next_seq, self.spans, self.status)

    def appended(self, at: int, epoch: Epoch, records: Sequence[bytes]) -> None:
        """This process has committed records."""
        if self.live and at == self.next_seq and epoch == self.epoch:
            if records:
                self._extend(records, self.status)
        else:
            self.heard(at, writer(epoch).encode(), records, Status.RUNNING)

    def ended(self, at: int, spans: tuple[Span, ...], last: Sequence[bytes], how: Status) -> None:
        """This process has ended the run."""
        if self.status.ended:
            return
        if self.live and at == self.next_seq:
            self.written_by(spans)
            self._extend(last, how)
        else:
            self.stale()

    def heard(self, at: int, by: bytes, records: Sequence[bytes], status: Status) -> None:
        """Records were committed somewhere; they may be known already."""
        if not self.live:
            if self.making_live is not None and not self._doubtful:
                self._early.append((at, by, records, status))
                self._doubtful = len(self._early) >= _KEPT_EARLY
            return
        known = self.next_seq - at  # so many of the records
        if known >= len(records) and status is self.status:
            return
        if known < 0 or by != self.by or (known and status is not self.status):
            self.stale()
        else:
            self._extend(records[known:] if known else records, status)

    def stale(self) -> None:
        """This may have missed something."""
        self.live = False
        self._doubtful = True
        self.wake(None)

    def wake(self, page: Page | None) -> None:
        """Give every waiting reader the page; with None, it reads the store again."""
        waiters = self.waiters
        if waiters:
            self.waiters = []
            wake(waiters, page)

    def wake_due(self, now: float) -> None:
        """Wake the readers whose time is over."""
        self.waiters = wake_due(self.waiters, now)

    def written_by(self, spans: tuple[Span, ...]) -> None:
        """The last of these spans is the one that is written."""
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
