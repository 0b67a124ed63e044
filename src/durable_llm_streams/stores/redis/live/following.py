"""Reading logs while they are written.

Theory of operation
===================
1. What somebody reads here to its end has a tail here: where its log ends, by whom it is written,
   its last records. Readers at the end wait at the tail; all of a run's readers share it.
2. A tail is live while it is known to hear of everything that is committed: from this process's own
   appends, when it writes the run, else by the run's channel, which records go to from when the
   first process has said that it follows (`follow.lua`). It becomes live by subscribing first and
   asking where the log ends afterwards. What it hears before that answer is here may come later in
   the log than the answer, so it is kept until then: nothing falls between the two.
3. Whatever does not fit, a hole, another epoch, a broken connection, makes the tail stale: its
   readers are woken, look at the store themselves, and the next one makes it live again.
4. What a tail holds was committed before. Nothing else is ever given to a reader.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence

from typing_extensions import override

from durable_llm_streams.errors import StoreClosed
from durable_llm_streams.model import Claim, Run, Status
from durable_llm_streams.store import Append, Page
from durable_llm_streams.stores.notify import Notifier, WorkSignal
from durable_llm_streams.stores.redis.client.failures import retrieved
from durable_llm_streams.stores.redis.client.protocols import RedisClient
from durable_llm_streams.stores.redis.pages import Pages
from durable_llm_streams.stores.redis.partitions import Partitions
from durable_llm_streams.stores.redis.replies import writer

from .events import Events, Listener
from .tail import Tail

logger = logging.getLogger(__name__)

_SWEEP_SECONDS = 0.5
_IDLE_SECONDS = 5.0


class Following(Listener):
    """The tails of a process.

    Args:
        client: how Redis is reached.
        partitions: where the logs are.
        subscribers: are notified by owner when a feed goes on.
        work: is notified when there may be work.
    """

    def __init__(
        self,
        client: RedisClient,
        partitions: Partitions,
        subscribers: Notifier,
        work: WorkSignal,
    ) -> None:
        self._partitions = partitions
        self._pages = Pages(partitions)
        self._subscribers = subscribers
        self._work = work
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tails: dict[str, Tail] = {}
        self._ours: dict[str, str] = {}  # the runs that this process writes, and as whom
        self._sweeper: asyncio.TimerHandle | None = None
        self.events = Events(client, partitions, self)
        self.arriving = 0  # readers that are not yet waiting

    # --- reading -----------------------------------------------------------------------------

    async def read(self, run_id: str, after: int, max_bytes: int, wait: float) -> Page:
        """See `LogReader.read`."""
        if wait <= 0:
            return await self._pages.read(run_id, after, max_bytes)
        tail = self._tails.get(run_id)
        if tail is None or not tail.live:
            found = await self._arrive(run_id, after, max_bytes)
            if isinstance(found, Page):
                return found
            tail = found
        if after + 1 != tail.next_seq or tail.status.ended:
            return tail.page(after, max_bytes) or await self._pages.read(run_id, after, max_bytes)
        if self._partitions.closed:
            raise StoreClosed
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        future: asyncio.Future[Page | None] = loop.create_future()
        tail.waiters.append((future, loop.time() + wait))
        page = await future
        if page is not None and (len(page.records) == 1 or _fits(page, max_bytes)):
            return page
        return await self._pages.read(run_id, after, max_bytes)

    async def _arrive(self, run_id: str, after: int, max_bytes: int) -> Page | Tail:
        """What there is to read, or the live tail: then there is nothing before it."""
        self.arriving += 1
        try:
            page = await self._pages.read(run_id, after, max_bytes)
            if page.records or page.status.ended:
                return page
            partition = await self._partitions.of_run(run_id)
            tail = self._tails.get(run_id)
            if tail is None:
                tail = self._tails[run_id] = Tail(partition.records_channel(run_id))
                self._sweep_later()
            tail.used = asyncio.get_running_loop().time()
            if not tail.live:
                await self._make_live(run_id, tail)
            # A tail that was swept away meanwhile hears of nothing any more.
            return tail if tail.live and self._tails.get(run_id) is tail else page
        finally:
            self.arriving -= 1

    async def _make_live(self, run_id: str, tail: Tail) -> None:
        if tail.making_live is None:
            tail.making_live = asyncio.create_task(self._subscribe(run_id, tail))
            tail.making_live.add_done_callback(retrieved)
        try:
            await asyncio.shield(tail.making_live)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise StoreClosed from None

    async def _subscribe(self, run_id: str, tail: Tail) -> None:
        try:
            ours = self._ours.get(run_id)
            if ours is None and not tail.subscribed:
                await self.events.follow(run_id, tail.channel)
                tail.subscribed = True
            tail.begin_early()
            tail.begin(await self._pages.end(run_id, publish=tail.subscribed))
            if ours is not None and tail.by != ours.encode() and self._ours.get(run_id) == ours:
                self.let_go(run_id)  # claimed elsewhere, while this process was not subscribed
        finally:
            tail.making_live = None

    # --- what happens ------------------------------------------------------------------------

    def claimed(self, claim: Claim, *, ends: bool = False) -> None:
        """This process writes a run from now on. Where a new log ends is known without a look.

        Args:
            claim: of the run.
            ends: whether it is claimed to be ended at once: its readers wait for the end.
        """
        run = claim.run
        self._ours[run.id] = writer(claim.epoch)
        tail = self._tails.get(run.id)
        if tail is not None:
            if ends and tail.live and tail.next_seq == claim.next_seq:
                tail.written_by(run.spans)
        elif claim.next_seq == 1:
            partition = self._partitions.of_chat(run.chat_id)
            tail = self._tails[run.id] = Tail(partition.records_channel(run.id))
            tail.begin(Page(1, (), 1, run.spans, run.status))
            tail.used = asyncio.get_running_loop().time()
            self._sweep_later()

    def lost(self, claims: Iterable[Claim]) -> None:
        """This process does not write these runs any more."""
        for claim in claims:
            self.let_go(claim.run.id)

    def let_go(self, run_id: str) -> None:
        """This process does not write a run any more."""
        if self._ours.pop(run_id, None) is not None:
            tail = self._tails.get(run_id)
            if tail is not None and not tail.subscribed:
                tail.stale()

    def appended(self, batch: Sequence[Append], stands: Sequence[bool]) -> None:
        """This process committed records, or was refused."""
        find = self._tails.get
        for item, stand in zip(batch, stands, strict=True):
            if not stand:
                self.let_go(item.run_id)
            elif (tail := find(item.run_id)) is not None:
                tail.appended(item.at, item.epoch, item.records)

    def ended(self, run: Run, at: int, records: Sequence[bytes]) -> None:
        """This process ended a run."""
        tail = self._tails.get(run.id)
        if tail is not None:
            tail.ended(at, run.spans, records, run.status)
        self._ours.pop(run.id, None)

    @override
    def event(self, event: bytes) -> None:
        # w, f OWNER, c RUN WRITER, e RUN, g RUN, without the first space.
        kind, rest = event[:1], ""
        try:
            rest = event[1:].decode()
        except UnicodeDecodeError:
            kind = b""  # none of ours
        if kind == b"w":
            self._work.notify()
        elif kind == b"f":
            self._subscribers.notify(rest)
        elif kind == b"c":
            run_id, _, by = rest.partition(" ")
            if self._ours.get(run_id) != by:
                self._ours.pop(run_id, None)
            tail = self._tails.get(run_id)
            if tail is not None and tail.by != by.encode():
                tail.stale()
        elif kind in (b"e", b"g"):
            self._ours.pop(rest, None)
            tail = self._tails.get(rest)
            if tail is not None and not tail.status.ended:
                tail.stale()
        else:
            logger.warning("Somebody else publishes in this store's channels.")

    @override
    def records(self, run_id: str, payload: bytes) -> None:
        # AT WRITER STATUS, a line feed, the records.
        tail = self._tails.get(run_id)
        if tail is None:
            return
        try:
            head, _, data = payload.partition(b"\n")
            number, by, word = head.split(b" ")
            at, status = int(number), _STATUS[word]
        except (ValueError, KeyError):
            logger.warning("Somebody else publishes in the channel of run %s.", run_id)
            tail.stale()
            return
        tail.heard(at, by, data.split(b"\n"), status)

    @override
    def missed(self) -> None:
        for tail in self._tails.values():
            tail.subscribed = False
            tail.stale()
        self._notify_all()

    def _notify_all(self) -> None:
        self._work.notify()
        self._subscribers.notify_all()

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
                tail.wake_due(now)
            elif tail.making_live is None and now - tail.used > _IDLE_SECONDS:
                del self._tails[run_id]
                if tail.subscribed:
                    self.events.unfollow(tail.channel)
        if self._tails:
            self._sweep_later()

    async def close(self) -> None:
        """Wake all readers and subscribers; they raise StoreClosed."""
        self._notify_all()
        if self._sweeper is not None:
            self._sweeper.cancel()
        for tail in self._tails.values():
            tail.stale()
            if tail.making_live is not None:
                tail.making_live.cancel()
        await self.events.close()


_STATUS = {status.encode(): status for status in Status}


def _fits(page: Page, max_bytes: int) -> bool:
    return sum(map(len, page.records)) <= max_bytes
