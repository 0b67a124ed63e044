"""The writers of logs, which batch.

Theory of operation
===================
1. All writers of a process share one flusher. What they wrote since the last flush goes to the
   store in one call: one small transaction for all runs, nothing per chunk.
2. An idle flusher flushes at once. A busy one keeps a pause between flushes that grows while the
   event loop has no time left and shrinks when it has: under load, each reader gets several
   chunks in one write, and that is what makes room.
3. A store may want fewer calls (`Pace`): then records are held back until enough of them are
   there, for a moment at the most. An idle flusher still flushes at once, and so does one to which
   a writer brings its first records or its last: they wait for nobody.
4. A batch whose outcome is unknown is sent again as it was; the store adds nothing twice. Writers
   go on meanwhile until they are full, then they wait.
"""

from __future__ import annotations

import asyncio
import bisect
import logging
import math
import time
from collections.abc import Callable
from operator import attrgetter

from durable_llm_streams.backoff import Backoff
from durable_llm_streams.errors import Fenced, StoreUnavailable
from durable_llm_streams.model import Claim
from durable_llm_streams.store import Append, LogStore, Pace

logger = logging.getLogger(__name__)

#: A writer that has so many records waiting should be drained before it gets more.
FULL = 1024

_BUSY_PAUSE = 0.001
_LONGEST_PAUSE = 0.060
_LONGEST_PAUSE_WHERE_CALLS_ARE_DEAR = 0.080
_LATE = 0.012  # seconds: who is waked so much behind his time shares a core that is full
_MEASURE_SECONDS = 0.050
_RATE_SECONDS = 0.25
_A_MOMENT = 0.0005  # seconds: what is due so soon goes along
_SINCE = attrgetter("since")
_RETRY = Backoff(0.05, 2.0)


class LogWriter:
    """Appends to one run's log under one claim.

    Made by `Flusher.writer`. `write` only takes the record; `drain` waits until everything that
    was taken is committed. A writer whose claim is lost raises Fenced from both.
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
        """What the next record gets that is written."""
        return self._at + self._inflight + len(self.pending)

    @property
    def lost(self) -> bool:
        """Whether the store has refused a write: the claim is worth nothing any more."""
        return self._lost

    def write(self, record: bytes) -> None:
        """Take a record; it is committed with the next flush.

        Raises:
            Fenced: the claim is lost.
        """
        pending = self.pending
        if not pending:
            if self._lost:
                raise Fenced("Another worker has claimed this run.")
            self._flusher.mark(self)
        pending.append(record)

    async def drain(self) -> None:
        """Wait until every record that was written is committed.

        Raises:
            Fenced: the claim is lost.
        """
        while self.pending or self._inflight:
            if self.pending:
                self._flusher.hurry(self)
            if self._drained is None:
                self._drained = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._drained)
        if self._lost:
            raise Fenced("Another worker has claimed this run.")

    def take(self) -> Append:
        """Move what is pending into a flush (the flusher's side)."""
        records, self.pending = self.pending, []
        self._inflight = len(records)
        return Append(self.claim.run.id, self.claim.epoch, self._at, records)

    def flushed(self, *, committed: bool) -> None:
        """The flush is over (the flusher's side)."""
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
        log: where the records go.
        pace: how often it may be written to.
    """

    def __init__(self, log: LogStore, pace: Pace) -> None:
        self._log = log
        self._dirty: list[LogWriter] = []  # who has something pending, in the order of `since`
        self._urgent: list[LogWriter] = []  # the same, for those who do not wait
        self._idle: asyncio.Future[None] | None = None
        self._resting: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._closed = False
        self._pace = pace
        self._pause = 0.0
        self._late = 0.0
        self._longest_pause = (
            _LONGEST_PAUSE_WHERE_CALLS_ARE_DEAR if self._pace.longest else _LONGEST_PAUSE
        )
        self._spacing = self._pace.shortest
        self._hold = 0.0
        self._loop_time: Callable[[], float] | None = None
        self._records = 0  # flushed since the last look
        self._rate = 0.0  # of records a second
        self._last = 0.0
        self._measured = (0.0, 0.0)

    def writer(self, claim: Claim) -> LogWriter:
        """A writer for a claimed run, at the place where the claim found the log's end."""
        return LogWriter(self, claim)

    def mark(self, writer: LogWriter) -> None:
        """A writer has something to flush.

        Raises:
            Fenced: this process writes nothing any more.
        """
        if self._closed:
            raise Fenced("This process has ended its work; another one goes on with the run.")
        if not self._pace.longest:
            self._dirty.append(writer)
        elif writer.since is None:
            writer.since = self._clock()
            self._urgent.append(writer)
            self._rest_no_more()
        else:
            writer.since = self._clock()
            self._dirty.append(writer)
        idle = self._idle
        if idle is not None:
            self._idle = None
            idle.set_result(None)
        elif self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="log-flusher")

    def _clock(self) -> float:
        if self._loop_time is None:
            self._loop_time = asyncio.get_running_loop().time
        return self._loop_time()

    def hurry(self, writer: LogWriter) -> None:
        """A writer that has something to flush waits for it."""
        if self._pace.longest and writer in self._dirty:
            self._dirty.remove(writer)
            self._urgent.append(writer)
            self._rest_no_more()

    def _rest_no_more(self) -> None:
        if self._resting is not None and not self._resting.done():
            self._resting.set_result(None)

    async def close(self) -> None:
        """Flush what is pending (one try), then end. Whoever writes after it is fenced."""
        self._closing = True
        self._rest_no_more()
        try:
            while self._task is not None:
                if self._idle is not None:
                    self._idle.set_result(None)
                    self._idle = None
                await self._task
        finally:
            self._closed = True

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        lot: list[LogWriter] = []
        try:
            while True:
                lot = await self._next_lot()
                if not lot:
                    return
                batch = [writer.take() for writer in lot]
                if self._pace.longest:
                    self._records += sum([len(item.records) for item in batch])
                try:
                    results = await self._commit(batch)
                except StoreUnavailable as error:  # at the end of the process, which cannot wait
                    logger.warning("The last records were not written: %s", error)
                    results = [False] * len(batch)
                except Exception:
                    logger.exception("A flush failed; its runs are given up")
                    results = [False] * len(batch)
                for writer, committed in zip(lot, results, strict=True):
                    writer.flushed(committed=committed)
                lot = []
                self._last = loop.time()
                if self._last - self._measured[1] > _MEASURE_SECONDS:
                    self._adapt()
        finally:  # whatever ended the flusher: nobody waits for it in vain
            self._task = self._idle = None
            given_up, self._dirty, self._urgent = [*lot, *self._dirty, *self._urgent], [], []
            for writer in given_up:
                writer.flushed(committed=False)

    async def _next_lot(self) -> list[LogWriter]:
        """Wait for those whose records go with the next flush; nobody, when this is closing."""
        loop = asyncio.get_running_loop()
        lot: list[LogWriter] = []
        while not lot:
            while not (self._dirty or self._urgent):
                if self._closing:
                    return []
                self._idle = loop.create_future()
                await self._idle
            pause = self._spacing if self._hold else max(self._pause, self._spacing)
            await self._rest(self._last + pause - loop.time())
            if self._hold and not self._closing:
                await self._rest_until_due(max(self._hold, self._pause))
                lot = self._due(max(self._hold, self._pause))
            else:
                lot, self._dirty = self._dirty, []
            lot += self._urgent
            self._urgent = []
        return lot

    async def _rest(self, seconds: float) -> None:
        """Wait for so long, or until something is urgent."""
        if seconds <= 0 or self._urgent or self._closing:
            return
        if not self._pace.longest:
            await asyncio.sleep(seconds)
            return
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        self._resting = loop.create_future()
        timer = loop.call_at(until, self._rest_no_more)
        try:
            await self._resting
        finally:
            self._resting = None
            timer.cancel()
        self._late = max(self._late, loop.time() - until)

    async def _rest_until_due(self, hold: float) -> None:
        if self._dirty:
            await self._rest((self._dirty[0].since or 0.0) + hold - self._clock())

    def _due(self, hold: float) -> list[LogWriter]:
        """Those writers whose records have waited for long enough."""
        due = self._clock() - hold + _A_MOMENT
        count = len(self._dirty)
        if not self._closing:
            count = bisect.bisect_right(self._dirty, due, key=_SINCE)
        lot, self._dirty = self._dirty[:count], self._dirty[count:]
        return lot

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

    def _adapt(self) -> None:
        """Set the pause by how busy this thread was in the last moments, and how late.

        And the spacing by how many records came.
        """
        cpu, wall = time.thread_time(), self._last
        cpu_before, wall_before = self._measured
        self._measured = (cpu, wall)
        busy = (cpu - cpu_before) / (wall - wall_before)
        if self._pace.longest:
            # Smoothed: while records are held nothing is flushed, and that is no calm.
            known = math.exp((wall_before - wall) / _RATE_SECONDS)
            rate = self._records / (wall - wall_before)
            self._records = 0
            self._rate = rate = known * self._rate + (1 - known) * rate
            self._spacing, self._hold = self._pace.spacing(rate), self._pace.hold(rate)
        if busy > 0.85 or self._late > _LATE:
            self._pause = min(self._longest_pause, self._pause + 0.004)
        elif busy < 0.78:
            self._pause = self._pause * 0.85 if self._pause > 2 * _BUSY_PAUSE else _BUSY_PAUSE
        self._late = 0.0
