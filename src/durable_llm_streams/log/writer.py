"""Writing logs with group commit.

Theory of operation
===================
1. All writers of a process share one flusher. What they wrote since the last flush is a batch. It
   goes to the store in one call: one small transaction for all runs, nothing per chunk.
2. An idle flusher flushes at once. A busy one waits, see `pacing`: a batch holds the writers whose
   first pending record has waited long enough. The first record of an answer, its first word, its
   last records, and a writer that drains do not wait.
3. A batch whose outcome is unknown is retried unchanged; the store writes nothing twice. Meanwhile
   writers queue records until they are full, then they wait.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from math import inf

from durable_llm_streams.backoff import Backoff
from durable_llm_streams.clock import core_clock
from durable_llm_streams.errors import Fenced, StoreUnavailable
from durable_llm_streams.model import Claim
from durable_llm_streams.store import Append, LogStore, Pace

from .pacing import Pacing

logger = logging.getLogger(__name__)

#: A writer with more records than this in its queue should be drained before it gets more.
FULL = 1024

_RETRY = Backoff(0.05, 2.0)


class LogWriter:
    """Appends to one run's log under one claim.

    Made by `Flusher.writer`. `write` only queues the record; `drain` waits until everything that
    was written is committed. A writer whose claim is lost raises Fenced from both.
    """

    __slots__ = ("_at", "_drained", "_flusher", "_inflight", "_lost", "claim", "pending", "since")

    def __init__(self, flusher: Flusher, claim: Claim) -> None:
        self.claim = claim
        self.pending: list[bytes] = []
        self.since: float | None = None  # when the first pending record came; None before any did
        self._flusher = flusher
        self._at = claim.next_seq
        self._inflight = 0
        self._lost = False
        self._drained: asyncio.Future[None] | None = None

    @property
    def next_seq(self) -> int:
        """The sequence number of the next record that is written."""
        return self._at + self._inflight + len(self.pending)

    @property
    def lost(self) -> bool:
        """Whether the store has refused a write: the claim is lost."""
        return self._lost

    def write(self, record: bytes) -> None:
        """Queue a record; it is committed with the next flush.

        Raises:
            Fenced: the claim is lost.
        """
        pending = self.pending
        if not pending:
            if self._lost:
                raise Fenced
            self._flusher.mark(self)
        pending.append(record)

    def hurry(self) -> None:
        """Commit the records of this turn of the loop without waiting for others."""
        self._flusher.flush_now(self)

    async def drain(self) -> None:
        """Wait until every record that was written is committed.

        Raises:
            Fenced: the claim is lost.
        """
        while self.pending or self._inflight:
            if self.pending:
                self.hurry()
            if self._drained is None:
                self._drained = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._drained)
        if self._lost:
            raise Fenced

    def take(self) -> Append:
        """Move the pending records into a batch (called by the flusher)."""
        records, self.pending = self.pending, []
        self._inflight = len(records)
        return Append(self.claim.run.id, self.claim.epoch, self._at, records)

    def flushed(self, *, committed: bool) -> None:
        """Record the result of a flush (called by the flusher)."""
        if committed:
            self._at += self._inflight
        else:
            self._lost = True
            self.pending = []
        self._inflight = 0
        drained = self._drained
        if drained is not None and not self.pending:
            self._drained = None
            drained.set_result(None)


class Flusher:
    """The group commit of a process.

    Args:
        log: where the records are written.
        pace: how often it may be called.
        core: the seconds that this thread used a core or waited for one.
    """

    def __init__(
        self, log: LogStore, pace: Pace, *, core: Callable[[], float] = core_clock
    ) -> None:
        self._log = log
        self._pacing = Pacing(pace, core)
        # Writers with pending records, by the time of the first of these. An entry is obsolete if
        # the writer was flushed before its turn.
        self._dirty: deque[tuple[float, LogWriter]] = deque()
        self._urgent: dict[LogWriter, None] = {}  # those that do not wait
        self._idle: asyncio.Future[None] | None = None  # waits for a record
        self._pausing: asyncio.Future[None] | None = None  # waits for the interval
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._last = 0.0  # when the last call ended

    def writer(self, claim: Claim) -> LogWriter:
        """A writer for a claimed run, from where its log ended when it was claimed."""
        return LogWriter(self, claim)

    def mark(self, writer: LogWriter) -> None:
        """Put a writer with pending records into the next batch.

        Raises:
            Fenced: the flusher is closed.
        """
        if self._closed:
            raise Fenced("This process is shutting down; another one goes on with the run.")
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        is_new, writer.since = writer.since is None, self._loop.time()
        self._dirty.append((writer.since, writer))
        if is_new:
            self.flush_now(writer)
        idle = self._idle
        if idle is not None:
            self._idle = None
            idle.set_result(None)
        elif self._task is None:
            self._task = self._loop.create_task(self._run(self._loop), name="log-flusher")

    def flush_now(self, writer: LogWriter) -> None:
        """Flush a writer with pending records without waiting."""
        self._urgent[writer] = None
        self._end_pause()

    async def close(self) -> None:
        """Flush what is pending, without a retry, then end. Writing after it raises Fenced."""
        self._closing = True
        self._end_pause()
        try:
            while self._task is not None:
                if self._idle is not None:
                    self._idle.set_result(None)
                    self._idle = None
                await self._task
        finally:
            self._closed = True

    async def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        writers: list[LogWriter] = []
        try:
            while await self._has_work(loop):
                writers = self._take_due(loop.time())
                batch = [writer.take() for writer in writers]
                try:
                    results = await self._commit(batch) if batch else []
                except StoreUnavailable as error:  # while closing, which does not retry
                    logger.warning("The last records were not written: %s", error)
                    results = [False] * len(batch)
                except Exception:
                    logger.exception("A flush failed; the runs of its batch are abandoned")
                    results = [False] * len(batch)
                for writer, committed in zip(writers, results, strict=True):
                    writer.flushed(committed=committed)
                writers = []
                self._last = loop.time()
                records = sum([len(item.records) for item in batch])
                self._pacing.flushed(records, self._last)
        finally:  # whatever ended the flusher, no writer may wait for ever
            self._task = self._idle = None
            writers += [writer for _, writer in self._dirty if writer.pending]
            self._dirty.clear()
            self._urgent.clear()
            for writer in writers:
                writer.flushed(committed=False)

    async def _has_work(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Wait until a flush is due. False when the flusher closes and nothing is pending."""
        while not self._dirty:
            if self._closing:
                return False
            self._idle = loop.create_future()
            await self._idle
        pacing = self._pacing
        until = max(self._last + pacing.interval, self._dirty[0][0] + pacing.delay)
        if not (self._urgent or self._closing) and until > loop.time():
            self._pausing = loop.create_future()
            timer = loop.call_at(until, self._pause_over, until)
            try:
                await self._pausing
            finally:
                self._pausing = None
                timer.cancel()
        return True

    def _take_due(self, now: float) -> list[LogWriter]:
        """The writers of the next batch: the urgent ones, and those that have waited enough."""
        urgent, self._urgent = self._urgent, {}
        writers = [writer for writer in urgent if writer.pending]
        pacing, dirty = self._pacing, self._dirty
        # What is due before the next call could be made goes along with this one.
        last = inf if self._closing else now - max(0.0, pacing.delay - pacing.interval)
        while dirty and dirty[0][0] <= last:
            since, writer = dirty.popleft()
            if writer.pending and writer.since == since and writer not in urgent:
                writers.append(writer)
        return writers

    def _pause_over(self, until: float) -> None:
        self._pacing.fired(asyncio.get_running_loop().time() - until)
        self._end_pause()

    def _end_pause(self) -> None:
        pausing = self._pausing
        if pausing is not None and not pausing.done():
            pausing.set_result(None)

    async def _commit(self, batch: list[Append]) -> list[bool]:
        failures = 0
        while True:
            try:
                return list(await self._log.append(batch))
            except StoreUnavailable as error:
                if self._closing:
                    raise
                logger.warning("%s", error)
                failures += 1
                await asyncio.sleep(_RETRY.delay(failures))
