"""The tasks that execute runs in this process."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence

from durable_llm_streams.errors import (
    DurableError,
    Fenced,
    NotFound,
    ShuttingDown,
    StoreUnavailable,
)
from durable_llm_streams.log import Flusher
from durable_llm_streams.model import Claim
from durable_llm_streams.source import Source
from durable_llm_streams.store import Store

from .answer import Answer
from .idle_timeout import cancelled
from .jobs import Jobs
from .limits import Limits

logger = logging.getLogger(__name__)


class Executor:
    """Executes claimed runs, each in a task of its own.

    Args:
        store: where the runs are.
        source: where answers come from.
        system: the system prompt of every conversation, or "".
        limits: see `Limits`.
        now: the wall clock, in milliseconds.
        rng: for jitter.
        on_end: called when a task has ended.

    Attributes:
        flusher: the group commit of all runs.
        jobs: cancels the provider's jobs.
        tasks: all tasks that have not ended, also those whose claim is lost.
        draining: whether attempts no longer begin.
    """

    def __init__(
        self,
        store: Store,
        source: Source,
        *,
        system: str,
        limits: Limits,
        now: Callable[[], int],
        rng: random.Random,
        on_end: Callable[[], None],
    ) -> None:
        self._store = store
        self._source = source
        self._system = system
        self._limits = limits
        self._now = now
        self._rng = rng
        self._on_end = on_end
        self.flusher = Flusher(store.log, store.pace)
        self.jobs = Jobs(source)
        self.tasks: set[asyncio.Task[None]] = set()
        self.draining = False
        self._held: dict[str, tuple[Claim, asyncio.Task[None]]] = {}

    def __len__(self) -> int:
        return len(self._held)

    @property
    def held(self) -> list[tuple[Claim, asyncio.Task[None]]]:
        """The claims of this process and their tasks."""
        return list(self._held.values())

    def start(self, claim: Claim) -> None:
        """Execute a run."""
        task = asyncio.create_task(self._execute(claim), name=f"run {claim.run.id}")
        self.cancel(claim.run.id)  # if this process was suspended for longer than a lease
        self._held[claim.run.id] = (claim, task)
        self.tasks.add(task)
        task.add_done_callback(lambda task: self._ended(claim, task))

    def cancel(self, run_id: str) -> None:
        """Cancel the task of a run, if there is one."""
        held = self._held.get(run_id)
        if held is not None:
            held[1].cancel()

    def lost(self, claim: Claim) -> None:
        """Cancel the task of a lost claim, unless the run was claimed here again."""
        held = self._held.get(claim.run.id)
        if held is not None and held[0].epoch == claim.epoch:
            held[1].cancel()

    async def release(self, claims: Sequence[Claim]) -> None:
        """Give runs back to other workers, with a timeout. A failure is logged."""
        if claims:
            await self.shutdown_step(self._store.runs.release(claims))

    async def shutdown_step(self, step: Awaitable[None]) -> None:
        """Await a step of a planned end, with a timeout. A failure is logged."""
        try:
            async with asyncio.timeout(self._limits.shutdown_seconds):
                await step
        except (TimeoutError, DurableError) as error:
            logger.warning("Shutdown step failed: %r", error)

    def _ended(self, claim: Claim, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        held = self._held.get(claim.run.id)
        if held is not None and held[0] is claim:
            del self._held[claim.run.id]
        self._on_end()

    async def _execute(self, claim: Claim) -> None:
        answer = Answer(
            claim,
            store=self._store,
            flusher=self.flusher,
            source=self._source,
            jobs=self.jobs,
            may_begin=lambda: not self.draining,
            system=self._system,
            limits=self._limits,
            now=self._now,
            rng=self._rng,
        )
        try:
            await answer.execute()
        except ShuttingDown:
            await self.release([claim])
        except (Fenced, NotFound):
            logger.info("Run %s was claimed elsewhere, or it has ended", claim.run.id)
        except StoreUnavailable as error:
            logger.warning("Run %s is left for a takeover: %s", claim.run.id, error)
        except Exception:
            logger.exception("Run %s failed unexpectedly", claim.run.id)
            if cancelled():
                return  # the source turned its cancellation into an error
            try:
                await answer.fail_unexpectedly()
            except DurableError as error:
                logger.warning("Run %s is left for a takeover: %s", claim.run.id, error)
