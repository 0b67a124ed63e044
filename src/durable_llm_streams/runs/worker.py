"""The worker: the part of a process that executes runs.

Theory of operation
===================
1. The process that accepts a message executes its run at once when there is room: the claim is part
   of the accepting step. Runs that wait, and runs whose worker died, are claimed by a loop.
2. Heartbeats renew all leases of the process in one call. A lease that is lost cancels the task;
   should the task go on for a while, the store refuses what it writes.
3. After an outage of the store no worker claims for half a lease: first the owners renew.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from msgspec import structs

from durable_llm_streams.clock import wall_clock
from durable_llm_streams.errors import ShuttingDown, StoreUnavailable
from durable_llm_streams.model import Run
from durable_llm_streams.source import Job, Source
from durable_llm_streams.store import Order, Sent, Store

from . import ending, shutdown
from .executor import Executor
from .limits import Limits

logger = logging.getLogger(__name__)

T = TypeVar("T")

_CLAIM_AT_ONCE = (16, 100)  # at first, and at the most, when nobody else takes the rest
_LET_OTHERS_CLAIM_SECONDS = (0.01, 0.02)
_HEARTBEATS_PER_LEASE = 5
_WORK_SECONDS = 60.0


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
        self._name = name
        self.now = now
        self._rng = rng or random.Random()  # noqa: S311 - jitter
        self._executor = Executor(
            store,
            source,
            system=system,
            limits=self.limits,
            now=now,
            rng=self._rng,
            on_end=self._look_again,
        )
        self._loops: list[asyncio.Task[None]] = []  # but for the one that claims
        self._claiming: asyncio.Task[None] | None = None
        self._look = asyncio.Event()
        self._reserved = 0  # room for runs that are being claimed
        self._hold_until = 0.0
        self._renewed_at = 0

    def _look_again(self) -> None:
        self._look.set()  # another run of a chat may wait for the one that ended

    @property
    def running(self) -> int:
        """How many runs this process executes now."""
        return len(self._executor)

    @property
    def ready(self) -> bool:
        """Whether this worker takes work."""
        return bool(self._loops) and not self._executor.draining

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
        if self._executor.draining:
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
            if self._executor.draining:  # meanwhile; somebody else shall execute it
                await self._executor.release([sent.claim])
            else:
                self._executor.start(sent.claim)
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
        self._executor.cancel(run.id)
        if fold.job is not None:
            self._executor.jobs.abandon(Job(*fold.job))
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
        self._executor.draining = True
        self._look.set()  # so that the loop that claims ends

    async def finish(self) -> None:
        """Take no more work, and let what is being written come to its end.

        Returns as soon as nothing runs, after `Limits.grace` at the latest. It may be cancelled;
        `close` gives back what runs still.
        """
        self.drain()
        await shutdown.finish(self._executor, self.limits)

    async def close(self) -> None:
        """Take no more work, flush, give the runs back, so that others claim them at once.

        At once: await `finish` before it to give the runs their grace.
        """
        self.drain()
        await shutdown.close(self._executor, self.limits, self._loops, self._claiming)
        self._loops.clear()

    # --- loops -------------------------------------------------------------------------------

    async def _claim_loop(self) -> None:
        loop = asyncio.get_running_loop()
        portion, largest = _CLAIM_AT_ONCE
        while not self._executor.draining:
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
        if self._executor.draining:  # meanwhile
            await self._guarded(self._store.runs.release(claims), None)
            return False
        for claim in claims:
            self._executor.start(claim)
        return len(claims) == limit

    def _room(self) -> int:
        return self.limits.concurrent_runs - len(self._executor) - self._reserved

    async def _heartbeat_loop(self) -> None:
        while True:
            self._renewed_at = self.now()
            await asyncio.sleep(self.limits.lease / _HEARTBEATS_PER_LEASE)
            await self._renew()

    async def _renew(self) -> None:
        claims = [claim for claim, _ in self._executor.held]
        if claims:
            for lost in await self._guarded(self._store.runs.renew(claims, self.limits.lease), ()):
                self._executor.lost(lost)

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
