"""The worker: the part of a process that executes runs.

Theory of operation
===================
1. Whoever accepts a message executes its run at once when there is room: the claim is part of the
   accepting step. Everything else is found by looking: runs that wait, runs whose worker died.
2. Heartbeats renew all leases of the process in one call. A lease that is lost cancels the task;
   should the task go on for a while, the store refuses what it writes.
3. A task that must end is cancelled and waited for, for a bounded time. Nothing depends on it: the
   run is somebody else's by then, or it is released and its epoch is over.
4. After an outage of the store nobody claims for half a lease: first the owners renew.
5. A planned end has three steps. `drain`: nothing new is taken, and no attempt begins; a run whose
   next one would is given back at that moment. `finish`: what is being written gets its grace;
   leases are renewed as ever. `close`: the sources are stopped, what they said is flushed, and only
   then is a run given back, because nothing of its epoch can be written after that.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from msgspec import structs

from durable_llm_streams.clock import wall_clock
from durable_llm_streams.errors import (
    DurableError,
    Fenced,
    NotFound,
    ShuttingDown,
    StoreUnavailable,
)
from durable_llm_streams.log import Flusher
from durable_llm_streams.model import Claim, Run
from durable_llm_streams.source import Job, Source
from durable_llm_streams.store import Order, Sent, Store

from . import ending
from .answer import Answer
from .idle_timeout import cancelled
from .jobs import Jobs
from .limits import Limits

logger = logging.getLogger(__name__)

T = TypeVar("T")

_CLAIM_AT_ONCE = (16, 100)  # at first, and at the most, when nobody else takes the rest
_LET_OTHERS_CLAIM_SECONDS = (0.01, 0.02)
_HEARTBEATS_PER_LEASE = 5
_WORK_SECONDS = 60.0
_LETTING_GO_SECONDS = 0.2  # a source that takes longer is one that others need not wait for


class Worker:
    """Executes runs of a store.

    Args:
        store: the store.
        source: where answers come from.
        name: of this worker, unique among those alive.
        system: the system prompt of every conversation, or "".
        limits: see `Limits`.
        now: the wall clock, in milliseconds.
        rng: for jitter.
    """

    def __init__(
        self,
        store: Store,
        source: Source,
        *,
        name: str,
        system: str = "",
        limits: Limits | None = None,
        now: Callable[[], int] = wall_clock,
        rng: random.Random | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self._store = store
        self._source = source
        self._name = name
        self._system = system
        self.now = now
        self._rng = rng or random.Random()  # noqa: S311 - jitter
        self._flusher = Flusher(store.log, store.pace)
        self._jobs = Jobs(source)
        self._running: dict[str, tuple[Claim, asyncio.Task[None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._loops: list[asyncio.Task[None]] = []  # but for the one that claims
        self._claiming: asyncio.Task[None] | None = None
        self._look = asyncio.Event()
        self._reserved = 0  # room for runs that are being claimed
        self._hold_until = 0.0
        self._renewed_at = 0
        self._draining = False

    @property
    def running(self) -> int:
        """How many runs this process executes now."""
        return len(self._running)

    @property
    def ready(self) -> bool:
        """Whether this worker takes work."""
        return bool(self._loops) and not self._draining

    async def start(self) -> None:
        """Begin to look for runs and to renew leases."""
        self._renewed_at = self.now()
        self._claiming = asyncio.create_task(self._claim_loop(), name="claim_loop")
        for loop in (self._work_loop, self._heartbeat_loop):
            self._loops.append(asyncio.create_task(loop(), name=loop.__name__.strip("_")))

    async def send(self, order: Order) -> Sent:
        """Accept a message, and execute its run here when there is room.

        Raises:
            ShuttingDown: this process takes no new work.
            DurableError: see `RunStore.send`.
        """
        if self._draining:
            raise ShuttingDown("This server is about to end. Send the message again in a moment.")
        room = self._room() > 0
        if room:
            order = structs.replace(order, worker=self._name, lease=self.limits.lease)
        self._reserved += room
        try:
            sent = await self._store.runs.send(order)
        finally:
            self._reserved -= room
        if sent.claim is not None:
            if self._draining:  # meanwhile; somebody else shall execute it
                await self._give_back([sent.claim])
            else:
                self._start(sent.claim)
        elif not room:
            self._look.set()  # there may be some now
        return sent

    async def stop(self, run: Run) -> bool:
        """End a run, whoever executes it. What was said is kept.

        Returns:
            Whether this call ended it; False when it had ended before.

        Raises:
            RunNotFound: the run is gone.
            StoreUnavailable: nobody knows; call again.
        """
        try:
            fold = await ending.stop(self._store, run, self._name, self.limits.lease, self.now())
        finally:
            self._look.set()
        if fold is None:
            return False
        held = self._running.get(run.id)
        if held is not None:
            held[1].cancel()
        if fold.job is not None:
            self._jobs.abandon(Job(*fold.job))
        return True

    async def delete(self, owner: str, chat_id: str) -> None:
        """Stop what is active in a chat, then delete it. Raises ChatNotFound."""
        while True:
            chat = (await self._store.chats.snapshot(owner, chat_id)).chat
            if chat.active_run is None:
                break
            await self.stop(await self._store.runs.find(owner, chat_id, chat.active_run))
        await self._store.chats.delete(owner, chat_id)

    def drain(self) -> None:
        """Take no more work. The attempts that run go on until `close`; none begins."""
        self._draining = True
        self._look.set()  # so that the loop that claims ends

    async def finish(self) -> None:
        """Take no more work, and let what is being written come to its end.

        Returns as soon as nothing runs, after `Limits.grace` at the latest. It may be cancelled;
        what runs still is for `close` to give back.
        """
        self.drain()
        if self._tasks and self.limits.grace:
            await asyncio.wait(self._tasks, timeout=self.limits.grace)

    async def close(self) -> None:
        """Take no more work, flush, give the runs back, so that others claim them at once.

        At once: whoever wants to give them their grace awaits `finish` before.
        """
        self.drain()
        held = list(self._running.values())
        if held:
            logger.info("Handing over %d answers", len(held))
        ending = {*self._loops, *self._tasks}
        for task in ending:
            task.cancel()
        if self._claiming is not None:  # it ends by itself, when it has given back what it claims
            ending.add(self._claiming)
        # The leases run on meanwhile: one task that will not end must not cost the others theirs,
        # nor their readers the time that it takes.
        farewell = self._farewell
        if ending:
            _, stubborn = await asyncio.wait(ending, timeout=min(_LETTING_GO_SECONDS, farewell))
            if stubborn:
                quick = [claim for claim, task in held if task not in stubborn]
                held = [(claim, task) for claim, task in held if task in stubborn]
                late = asyncio.wait(stubborn, timeout=farewell)
                await asyncio.gather(self._give_back(quick), late)
        if self._claiming is not None:
            self._claiming.cancel()
        await _bounded(self._flusher.close(), farewell)
        await self._give_back([claim for claim, _ in held])
        await self._jobs.close(farewell)
        self._loops.clear()

    @property
    def _farewell(self) -> float:
        return min(self.limits.farewell, self.limits.lease / 2)

    async def _give_back(self, claims: Sequence[Claim]) -> None:
        if claims:
            await _bounded(self._store.runs.release(claims), self._farewell)

    # --- tasks -------------------------------------------------------------------------------

    def _start(self, claim: Claim) -> None:
        task = asyncio.create_task(self._execute(claim), name=f"run {claim.run.id}")
        before = self._running.get(claim.run.id)
        if before is not None:  # this process was away for longer than a lease
            before[1].cancel()
        self._running[claim.run.id] = (claim, task)
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._ended(claim, task))

    def _ended(self, claim: Claim, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        held = self._running.get(claim.run.id)
        if held is not None and held[0] is claim:
            del self._running[claim.run.id]
        self._look.set()  # another run of the chat may wait for this one

    async def _execute(self, claim: Claim) -> None:
        answer = Answer(
            claim,
            store=self._store,
            flusher=self._flusher,
            source=self._source,
            jobs=self._jobs,
            begins=lambda: not self._draining,
            system=self._system,
            limits=self.limits,
            now=self.now,
            rng=self._rng,
        )
        try:
            await answer.execute()
        except ShuttingDown:
            await self._give_back([claim])
        except (Fenced, NotFound):
            logger.info("Run %s is no longer ours", claim.run.id)
        except StoreUnavailable as error:
            logger.warning("Run %s is left for a takeover: %s", claim.run.id, error)
        except Exception:
            logger.exception("Run %s failed unexpectedly", claim.run.id)
            if cancelled():
                return  # a source's complaint about being cancelled
            try:
                await answer.fail_unexpectedly()
            except DurableError as error:
                logger.warning("Run %s is left for a takeover: %s", claim.run.id, error)

    # --- loops -------------------------------------------------------------------------------

    async def _claim_loop(self) -> None:
        loop = asyncio.get_running_loop()
        portion, largest = _CLAIM_AT_ONCE
        while not self._draining:
            self._look.clear()
            if self.now() - self._renewed_at > self.limits.lease * 500:
                await self._renew()  # this process was away: its own runs come first
            if loop.time() < self._hold_until:
                await self._guarded(self._store.check(), None)  # a failure begins the time anew
            elif await self._claim(portion):
                # There may be more: let others have their share of what a dead worker left.
                portion = min(largest, 2 * portion)
                await asyncio.sleep(self._rng.uniform(*_LET_OTHERS_CLAIM_SECONDS))
                continue
            portion, _ = _CLAIM_AT_ONCE
            try:
                async with asyncio.timeout(self.limits.poll * self._rng.uniform(0.8, 1.2)):
                    await self._look.wait()
            except TimeoutError:
                continue

    async def _work_loop(self) -> None:
        while True:
            await self._guarded(self._store.runs.wait_for_work(_WORK_SECONDS), None)
            self._look.set()

    async def _claim(self, most: int) -> bool:
        """Claim runs and start them. Whether all were claimed that there was room for at once."""
        limit = min(self._room(), most)
        if limit <= 0:
            return False
        self._reserved += limit
        try:
            claiming = self._store.runs.claim(self._name, limit, self.limits.lease)
            claims = await self._guarded(claiming, ())
        finally:
            self._reserved -= limit
        if self._draining:  # meanwhile
            await self._guarded(self._store.runs.release(claims), None)
            return False
        for claim in claims:
            self._start(claim)
        return len(claims) == limit

    def _room(self) -> int:
        return self.limits.concurrent_runs - len(self._running) - self._reserved

    async def _heartbeat_loop(self) -> None:
        while True:
            self._renewed_at = self.now()
            await asyncio.sleep(self.limits.lease / _HEARTBEATS_PER_LEASE)
            await self._renew()

    async def _renew(self) -> None:
        claims = [claim for claim, _ in self._running.values()]
        if claims:
            for lost in await self._guarded(self._store.runs.renew(claims, self.limits.lease), ()):
                held = self._running.get(lost.run.id)
                if held is not None and held[0].epoch == lost.epoch:
                    held[1].cancel()

    async def _guarded(self, call: Awaitable[T], otherwise: T) -> T:
        """A call whose failure is no reason to end the loop that makes it."""
        try:
            return await call
        except StoreUnavailable as error:
            logger.warning("%s", error)
        except Exception:
            logger.exception("An unexpected failure of the store")
        self._hold_until = asyncio.get_running_loop().time() + self.limits.lease / 2
        return otherwise


async def _bounded(call: Awaitable[None], seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await call
    except (TimeoutError, DurableError) as error:
        logger.warning("Left undone at the end: %r", error)
