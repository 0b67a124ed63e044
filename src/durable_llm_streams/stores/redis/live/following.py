"""Following logs while they are written.

Theory of operation
===================
1. A run that is read to its end here has a tail: where its log ends, which epoch writes it, its
   last records. Readers at the end wait at the tail; all readers of a run share it.
2. A tail is live while it receives everything that is committed. If this process writes the run, it
   receives its appends, else the messages of the run's channel. Records are published there after
   the first process has asked for it (`follow.lua`).
3. To become live, a tail subscribes first and then asks the store where the log ends. Messages that
   come before the reply may be newer than it, so they are kept and added to it: none is lost.
4. A hole, another epoch or a broken connection makes the tail stale. Its waiters are woken and read
   the store; the next reader makes it live again.
5. A tail holds only committed records, so readers receive nothing else.
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
        client: calls Redis.
        partitions: where the logs are.
        subscribers: notified by owner when a feed has a new change.
        work: notified when there may be work.
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
        self._ours: dict[str, str] = {}  # the runs that this process writes, and its epoch
        self._sweeper: asyncio.TimerHandle | None = None
        self.events = Events(client, partitions, self)
        self.arriving = 0  # readers that do not wait yet

    # --- reading -----------------------------------------------------------------------------

    async def read(self, run_id: str, after: int, max_bytes: int, wait: float) -> Page:
        """The next page, as `LogReader.read` gives it."""
        if wait <= 0:
            return await self._pages.read(run_id, after, max_bytes)
        tail = self._tails.get(run_id)
        if tail is None or not tail.live:
            found = await self._arrive(run_id, after, max_bytes)
            if isinstance(found, Page):
                return found
            tail = found
        if tail.status.ended:  # the chat may have been deleted since
            return await self._pages.read(run_id, after, max_bytes)
        if after + 1 != tail.next_seq:
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
        """The page after a record, or the live tail if there is nothing to read yet."""
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
            # A tail that `_sweep` has removed meanwhile receives nothing more.
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
            tail.start_buffering()
            tail.begin(await self._pages.end(run_id, publish=tail.subscribed))
            if ours is not None and tail.by != ours.encode() and self._ours.get(run_id) == ours:
                self.forget_claim(run_id)  # claimed elsewhere while this was not subscribed
        finally:
            tail.making_live = None

    # --- what is committed -------------------------------------------------------------------

    def claimed(self, claim: Claim, *, ends: bool = False) -> None:
        """This process writes a run from now on. A new log needs no call to find its end.

        Args:
            claim: of the run.
            ends: whether it was claimed to be ended at once; its readers wait for the end.
        """
        run = claim.run
        self._ours[run.id] = writer(claim.epoch)
        tail = self._tails.get(run.id)
        if tail is not None:
            if ends and tail.live and tail.next_seq == claim.next_seq:
                tail.written_by(run.spans)
        elif claim.next_seq == 1:
            partition = self._partitions.of_chat(run.owner, run.chat_id)
            tail = self._tails[run.id] = Tail(partition.records_channel(run.id))
            tail.begin(Page(1, (), 1, run.spans, run.status))
            tail.used = asyncio.get_running_loop().time()
            self._sweep_later()

    def lost(self, claims: Iterable[Claim]) -> None:
        """This process has lost these claims or has given them back."""
        for claim in claims:
            self.forget_claim(claim.run.id)

    def forget_claim(self, run_id: str) -> None:
        """This process no longer writes a run."""
        if self._ours.pop(run_id, None) is not None:
            tail = self._tails.get(run_id)
            if tail is not None and not tail.subscribed:
                tail.stale()

    def appended(self, batch: Sequence[Append], committed: Sequence[bool]) -> None:
        """This process has written a batch; items that were not committed are fenced."""
        find = self._tails.get
        for item, is_committed in zip(batch, committed, strict=True):
            if not is_committed:
                self.forget_claim(item.run_id)
            elif (tail := find(item.run_id)) is not None:
                tail.appended(item.at, item.epoch, item.records)

    def ended(self, run: Run, at: int, records: Sequence[bytes]) -> None:
        """This process has ended a run."""
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
            kind = b""  # not an event of this store
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
            logger.warning("Invalid message in this store's channels: another program publishes.")

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
            logger.warning("Invalid message in the channel of run %s.", run_id)
            tail.stale()
            return
        tail.received(at, by, data.split(b"\n"), status)

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
        """Wake the waiters whose timeout is over, and remove tails without readers."""
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
