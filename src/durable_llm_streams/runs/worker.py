"""The worker: the part of a process that executes runs.

Theory of operation
===================
1. The process that accepts a message executes its run at once, if it has capacity: the claim is
   part of the accepting step. Runs in the queue, and runs whose worker died, are claimed by a loop.
2. Heartbeats renew all leases of the process in one call. A lost claim cancels its task. Until the
   task ends, the store refuses what it writes.
3. After an outage of the store no worker claims for half a lease, so that workers can renew first.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from msgspec import structs

from durable_llm_streams.clock import wall_clock
from durable_llm_streams.errors import ShuttingDown, StoreUnavailable
from durable_llm_streams.model import Run
from durable_llm_streams.source import Job, Source
from durable_llm_streams.store import Order, Sent, Store

from . import ending, shutdown
from .executor import Executor
from .jobs import jobs_of
from .limits import Limits
from .model_context import check_question, check_system, sent_tokens, text_of

logger = logging.getLogger(__name__)

T = TypeVar("T")

_CLAIMS_PER_CALL = (16, 100)  # at first, and at most, if other workers leave runs unclaimed
_BETWEEN_CLAIMS_SECONDS = (0.01, 0.02)
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

    Raises:
        InvalidSetting: the system prompt leaves no room for questions.
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
        check_system(system, self.limits.context_tokens)
        self._system = system
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
            on_end=self._run_ended,
        )
        self._loops: list[asyncio.Task[None]] = []  # without the one that claims
        self._claiming: asyncio.Task[None] | None = None
        self._claim_now = asyncio.Event()
        self._reserved = 0  # capacity for runs that are being claimed
        self._no_claims_until = 0.0
        self._renewed_at = 0

    def _run_ended(self) -> None:
        self._claim_now.set()  # another run of the chat may wait for it

    @property
    def running(self) -> int:
        """How many runs this process executes now."""
        return len(self._executor)

    @property
    def ready(self) -> bool:
        """Whether this worker accepts runs."""
        return bool(self._loops) and not self._executor.draining

    async def start(self) -> None:
        """Begin to look for runs and to renew leases."""
        self._renewed_at = self.now()
        self._claiming = asyncio.create_task(self._claim_loop(), name="claim_loop")
        for loop in (self._work_loop, self._heartbeat_loop):
            self._loops.append(asyncio.create_task(loop(), name=loop.__name__.strip("_")))

    def sent_tokens(self, bodies: Iterable[bytes]) -> int:
        """At most so many tokens of a branch are sent to the model, by the estimate.

        Args:
            bodies: of its messages.
        """
        return sent_tokens(self._system, bodies, self.limits.context_tokens)

    async def send(self, order: Order) -> Sent:
        """Accept a message, and execute its run here if there is capacity.

        Raises:
            ShuttingDown: this process accepts no new runs.
            MessageTooLong: the question alone is more than the model is sent.
            DurableError: see `RunStore.send`.
        """
        if self._executor.draining:
            raise ShuttingDown("This server is shutting down. Send the message again in a moment.")
        if order.body:
            budget = self.limits.context_tokens
            check_question(text_of(order.body), system=self._system, budget=budget)
        has_capacity = self._capacity() > 0
        order = structs.replace(
            order,
            bounds=self.limits.bounds,
            worker=self._name if has_capacity else None,
            lease=self.limits.lease,
        )
        self._reserved += has_capacity
        try:
            sent = await self._store.runs.send(order)
        finally:
            self._reserved -= has_capacity
        if sent.claim is not None:
            if self._executor.draining:  # meanwhile; another worker is to execute it
                await self._executor.release([sent.claim])
            else:
                self._executor.start(sent.claim)
        elif not has_capacity:
            self._claim_now.set()  # there may be capacity now
        return sent

    async def stop(self, run: Run) -> bool:
        """End a run in any process. The text so far is kept.

        Returns:
            Whether this call ended it; False when it had ended before.

        Raises:
            RunNotFound: the run was deleted.
            StoreUnavailable: the outcome is unknown; retry.
        """
        try:
            fold = await ending.stop(self._store, run, self._name, self.limits.lease, self.now())
        finally:
            self._claim_now.set()
        if fold is None:
            return False
        self._executor.cancel(run.id)
        if fold.job is not None:
            self._executor.jobs.abandon(Job(*fold.job))
        return True

    async def delete(self, owner: str, chat_id: str) -> None:
        """Stop the active runs of a chat, then delete it. Raises ChatNotFound."""
        while True:
            found = await self._store.chats.snapshot(owner, chat_id)
            active = found.chat.active_run
            if active is None:
                break
            await self.stop(await self._store.runs.find(owner, chat_id, active))
        jobs = self._executor.jobs
        stored = await jobs_of(self._store.log, found.messages) if jobs.stored else ()
        await self._store.chats.delete(owner, chat_id)
        jobs.delete(stored)

    def drain(self) -> None:
        """Accept no more runs. Running attempts go on until `close`; none begins."""
        self._executor.draining = True
        self._claim_now.set()  # so that the loop that claims ends

    async def finish(self) -> None:
        """Accept no more runs, and wait for running attempts to end.

        Returns as soon as none runs, after `Limits.grace` at the latest. It may be cancelled;
        `close` gives back the runs that have not ended.
        """
        self.drain()
        await shutdown.finish(self._executor, self.limits)

    async def close(self) -> None:
        """Accept no more runs, flush, and give the runs back, so that other workers claim them.

        Does not wait for running attempts: await `finish` before to give them `Limits.grace`.
        """
        self.drain()
        await shutdown.close(self._executor, self.limits, self._loops, self._claiming)
        self._loops.clear()

    # --- loops -------------------------------------------------------------------------------

    async def _claim_loop(self) -> None:
        loop = asyncio.get_running_loop()
        most, largest = _CLAIMS_PER_CALL
        while not self._executor.draining:
            self._claim_now.clear()
            if self.now() - self._renewed_at > self.limits.lease * 500:
                await self._renew()  # this process was suspended: its own runs come first
            if loop.time() < self._no_claims_until:
                await self._guarded(self._store.check(), None)  # a failure extends the time
            elif await self._claim(most):
                # There may be more. Other workers get a share of what a dead worker left.
                most = min(largest, 2 * most)
                await asyncio.sleep(self._rng.uniform(*_BETWEEN_CLAIMS_SECONDS))
                continue
            most, _ = _CLAIMS_PER_CALL
            try:
                async with asyncio.timeout(self.limits.poll * self._rng.uniform(0.8, 1.2)):
                    await self._claim_now.wait()
            except TimeoutError:
                continue

    async def _work_loop(self) -> None:
        while True:
            await self._guarded(self._store.runs.wait_for_work(_WORK_SECONDS), None)
            self._claim_now.set()

    async def _claim(self, most: int) -> bool:
        """Claim runs and start them. Returns whether as many were claimed as were asked for."""
        limit = min(self._capacity(), most)
        if limit <= 0:
            return False
        self._reserved += limit
        try:
            limits = self.limits
            claiming = self._store.runs.claim(self._name, limit, limits.lease, limits.per_owner)
            claims = await self._guarded(claiming, ())
        finally:
            self._reserved -= limit
        if self._executor.draining:  # meanwhile
            await self._guarded(self._store.runs.release(claims), None)
            return False
        for claim in claims:
            self._executor.start(claim)
        return len(claims) == limit

    def _capacity(self) -> int:
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
        """Await a call of the store; a failure is logged and delays claims, see rule 3."""
        try:
            return await call
        except StoreUnavailable as error:
            logger.warning("%s", error)
        except Exception:
            logger.exception("An unexpected failure of the store")
        self._no_claims_until = asyncio.get_running_loop().time() + self.limits.lease / 2
        return otherwise
