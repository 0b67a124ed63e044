"""Reading logs while they are written.

Theory of operation
===================
1. What somebody reads here to its end has a tail here: where its log ends, by whom it is written,
   its last records. Readers at the end wait at the tail; all of a run's readers share it.
2. A tail is live while it is known to hear of everything that is committed: from this process's own
   appends, when it writes the run, else by the run's channel. It becomes live by subscribing first
   and asking where the log ends afterwards. What it hears before the answer is here may come later
   in the log than the answer, so it is kept until then: nothing falls between the two.
3. Whatever does not fit, a hole, another epoch, a broken connection, makes the tail stale: its
   readers are woken, look at the store themselves, and the next one makes it live again.
4. What a tail holds was committed before. Nothing else is ever given to a reader.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from durable_llm_streams.errors import StoreUnavailable
from durable_llm_streams.model import Claim, Epoch, Run, Span, Status
from durable_llm_streams.store import Append, Page

from .context import Shared
from .events import Events
from .logs import Logs
from .replies import writer

_SWEEP_SECONDS = 0.5
_IDLE_SECONDS = 5.0
_KEPT_BYTES = 32 * 1024
_KEPT_EARLY = 100


class Tail:
    """The end of a run's log, as this process hears of it."""

    __slots__ = (
        "bytes", "channel", "doubtful", "early", "first", "live", "making_live", "next_seq",
        "recent", "spans", "status", "subscribed", "used", "waiters", "writer",
    )  # fmt: skip

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.live = False
        self.subscribed = False
        self.making_live: asyncio.Task[None] | None = None
        self.next_seq = 1
        self.spans: tuple[Span, ...] = ()
        self.status = Status.QUEUED
        self.writer = ""
        self.first = 1  # the number of the first of the recent records
        self.recent: list[bytes] = []
        self.bytes = 0
        self.used = 0.0
        self.waiters: list[tuple[asyncio.Future[Page | None], float]] = []
        self.early: list[tuple[int, str, Sequence[bytes], Status]] = []
        self.doubtful = False  # whether it may have missed something while it becomes live

    def begin_early(self) -> None:
        """It is asked where the log ends; what this hears from now on is kept for `begin`."""
        self.early = []
        self.doubtful = False

    def begin(self, place: Page) -> None:
        """The log ended there when it was asked; from then on this has heard of everything."""
        self.next_seq = self.first = place.next_seq
        self.spans, self.status = place.spans, place.status
        self.writer = writer(place.spans[-1].epoch) if place.spans else ""
        self.recent, self.bytes = [], 0
        self.live = not self.doubtful
        early, self.early = self.early, []
        for heard in early:
            self.feed(*heard)

    def page(self, after: int, max_bytes: int) -> Page | None:
        """What comes after a record, if it is here."""
        if after + 1 < self.first or after >= self.next_seq or self.bytes > max_bytes:
            return None
        records = self.recent[after + 1 - self.first :]
        return Page(after + 1, records, self.next_seq, self.spans, self.status)

    def feed(self, at: int, by: str, records: Sequence[bytes], status: Status) -> None:
        """These records were committed."""
        if not self.live:
            if self.making_live is not None and not self.doubtful:
                self.early.append((at, by, records, status))
                self.doubtful = len(self.early) >= _KEPT_EARLY
            return
        behind = self.next_seq - at  # so many of them are known
        if behind >= len(records) and status is self.status:
            return
        if behind < 0 or by != self.writer or (behind and status is not self.status):
            self.stale()
            return
        if behind:
            records = records[behind:]
        page = Page(self.next_seq, records, self.next_seq + len(records), self.spans, status)
        self.next_seq = page.next_seq
        self.status = status
        self.recent += records
        self.bytes += sum(map(len, records))
        if self.bytes > _KEPT_BYTES:
            self.first, self.recent, self.bytes = self.next_seq, [], 0
        self.wake(page)

    def stale(self) -> None:
        """This may have missed something."""
        self.live = False
        self.doubtful = True
        self.wake(None)

    def wake(self, page: Page | None) -> None:
        """Give every waiting reader what it waits for, or let it look for itself."""
        waiters, self.waiters = self.waiters, []
        for future, _ in waiters:
            if not future.done():
                future.set_result(page)


class Following:
    """The tails of a process.

    Args:
        shared: see `Shared`.
        logs: where records are read that no tail has.
        rings: called with an owner whose feed goes on, or with None when there may be work.
    """

    def __init__(self, shared: Shared, logs: Logs, rings: Callable[[str | None], None]) -> None:
        self._shared = shared
        self._logs = logs
        self._rings = rings
        self._tails: dict[str, Tail] = {}
        self._ours: dict[str, str] = {}  # the runs that this process writes, and as whom
        self._sweeper: asyncio.TimerHandle | None = None
        self._parting: set[asyncio.Task[None]] = set()
        self.events = Events(shared, self)
        self.arriving = 0  # readers that are not yet waiting

    # --- reading -----------------------------------------------------------------------------

    async def read(self, run_id: str, after: int, max_bytes: int, wait: float) -> Page:
        """See `LogReader.read`."""
        if wait <= 0:
            return await self._logs.page(run_id, after, max_bytes)
        tail = self._tails.get(run_id)
        if tail is None or not tail.live:
            page = await self._arrive(run_id, after, max_bytes)
            if page is not None:
                return page
            tail = self._tails[run_id]
        if after + 1 != tail.next_seq or tail.status.ended:
            return tail.page(after, max_bytes) or await self._logs.page(run_id, after, max_bytes)
        page = await self._next(tail, wait)
        if page is not None and (len(page.records) < 2 or tail.bytes <= max_bytes):
            return page
        return await self._logs.page(run_id, after, max_bytes)

    async def _arrive(self, run_id: str, after: int, max_bytes: int) -> Page | None:
        """What there is to read, or None when the tail is live: there is nothing before it."""
        self.arriving += 1
        try:
            page = await self._logs.page(run_id, after, max_bytes)
            if page.records or page.status.ended:
                return page
            tail = self._tails.get(run_id)
            if tail is None:
                root = await self._shared.partitions.of_run(run_id)
                tail = self._tails[run_id] = Tail(f"{root}:tail:{run_id}")
                tail.used = asyncio.get_running_loop().time()
                self._sweep_later()
            if not tail.live:
                await self._make_live(run_id, tail)
            return None if tail.live else page
        finally:
            self.arriving -= 1

    async def _make_live(self, run_id: str, tail: Tail) -> None:
        if tail.making_live is None:
            tail.making_live = asyncio.create_task(self._subscribe(run_id, tail))
        try:
            await asyncio.shield(tail.making_live)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise StoreUnavailable("The store is closed.") from None

    async def _subscribe(self, run_id: str, tail: Tail) -> None:
        try:
            if run_id not in self._ours and not tail.subscribed:
                await self.events.follow(run_id, tail.channel)
                tail.subscribed = True
            tail.begin_early()
            tail.begin(await self._logs.place(run_id))
        finally:
            tail.making_live = None

    async def _next(self, tail: Tail, wait: float) -> Page | None:
        loop = asyncio.get_running_loop()
        self._shared.check_open()
        future: asyncio.Future[Page | None] = loop.create_future()
        tail.waiters.append((future, loop.time() + wait))
        return await future

    # --- what happens ------------------------------------------------------------------------

    def claimed(self, claim: Claim) -> None:
        """This process writes a run from now on."""
        self._ours[claim.run.id] = writer(claim.epoch)

    def let_go(self, run_id: str) -> None:
        """This process writes a run no more."""
        if self._ours.pop(run_id, None) is not None:
            tail = self._tails.get(run_id)
            if tail is not None and not tail.subscribed:
                tail.stale()

    def appended(self, item: Append) -> None:
        """This process committed records."""
        tail = self._tails.get(item.run_id)
        if tail is not None:
            tail.feed(item.at, _name(item.epoch), item.records, Status.RUNNING)

    def ended(self, run: Run, at: int, records: Sequence[bytes]) -> None:
        """This process ended a run."""
        tail = self._tails.get(run.id)
        if tail is not None and not tail.status.ended:
            tail.spans = run.spans
            tail.writer = _name(run.epoch)
            tail.feed(at, tail.writer, records, run.status)
        self._ours.pop(run.id, None)

    def heard(self, event: bytes) -> None:
        """See `Listener.heard`: w, f OWNER, c RUN WRITER, e RUN, g RUN, without the first space."""
        kind, rest = event[:1], event[1:].decode()
        if kind == b"w":
            self._rings(None)
        elif kind == b"f":
            self._rings(rest)
        elif kind == b"c":
            run_id, _, by = rest.partition(" ")
            if self._ours.get(run_id) != by:
                self._ours.pop(run_id, None)
            tail = self._tails.get(run_id)
            if tail is not None and tail.writer != by:
                tail.stale()
        else:
            self._ours.pop(rest, None)
            tail = self._tails.get(rest)
            if tail is not None and not tail.status.ended:
                tail.stale()

    def records(self, run_id: str, payload: bytes) -> None:
        """See `Listener.records`: AT WRITER STATUS, a line feed, the records."""
        tail = self._tails.get(run_id)
        if tail is not None:
            head, _, data = payload.partition(b"\n")
            at, by, status = head.split(b" ")
            tail.feed(int(at), by.decode(), data.split(b"\n"), _STATUS[status])

    def cut(self) -> None:
        """See `Listener.cut`."""
        for tail in self._tails.values():
            tail.subscribed = False
            tail.stale()
        self._rings(None)

    # --- time --------------------------------------------------------------------------------

    def _sweep_later(self) -> None:
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._sweep)

    def _sweep(self) -> None:
        """Wake the readers that have waited long enough; forget the tails that nobody reads."""
        self._sweeper = None
        now = asyncio.get_running_loop().time()
        for run_id, tail in list(self._tails.items()):
            if tail.waiters:
                tail.used = now
                self._wake_due(tail, now)
            elif now - tail.used > _IDLE_SECONDS and tail.making_live is None:
                del self._tails[run_id]
                if tail.subscribed:
                    parting = asyncio.create_task(self.events.unfollow(tail.channel))
                    self._parting.add(parting)
                    parting.add_done_callback(self._parting.discard)
        if self._tails:
            self._sweep_later()

    @staticmethod
    def _wake_due(tail: Tail, now: float) -> None:
        still = []
        for future, until in tail.waiters:
            if future.done():
                continue
            if until <= now:
                future.set_result(None)
            else:
                still.append((future, until))
        tail.waiters = still

    async def close(self) -> None:
        """Let every reader go."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for tail in self._tails.values():
            tail.stale()
            if tail.making_live is not None:
                tail.making_live.cancel()
        await self.events.close()


_STATUS = {status.encode(): status for status in Status}


def _name(epoch: Epoch) -> str:
    return f"{epoch.number}.{epoch.token}"
