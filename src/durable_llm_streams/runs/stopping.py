"""Stopping a run from any process, whoever executes it.

The terminal record comes first, and whoever stops waits for nothing else. The job at the provider,
if the log tells of one, is ended afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence

from durable_llm_streams.errors import Fenced, SequenceMismatch
from durable_llm_streams.fold import Fold
from durable_llm_streams.model import Run, Status
from durable_llm_streams.source import Job
from durable_llm_streams.store import Store

from . import endings
from .jobs import Jobs

_TRIES = 3


class Stopper:
    """Ends runs.

    Args:
        store: where they are.
        jobs: ends what the provider keeps of them.
        name: of the worker in whose name a run is seized.
        lease: seconds that it then has.
    """

    def __init__(self, store: Store, jobs: Jobs, name: str, lease: float) -> None:
        self._store = store
        self._jobs = jobs
        self._name = name
        self._lease = lease

    async def stop(self, run: Run, now: int) -> bool:
        """End a run. What was said is kept.

        Args:
            run: the run, as it was found.
            now: the time, in milliseconds.

        Returns:
            Whether this call ended it; False when it had ended before.

        Raises:
            RunNotFound: the run is gone.
            StoreUnavailable: nobody knows; call again.
        """
        if run.status.ended:
            return False
        job: tuple[str, str] | None = None
        stopped = endings.stopped({"timing": {"totalMs": max(0, now - run.created_at)}})

        def last(fold: Fold) -> Sequence[bytes]:
            nonlocal job
            job = fold.job
            return stopped(fold)

        try:
            await self._end_whoever_writes(run, last, now)
        except Fenced:
            return False
        if job is not None:
            self._jobs.abandon(Job(*job))
        return True

    async def _end_whoever_writes(self, run: Run, last: endings.Last, now: int) -> None:
        """End a run in one step; if its writer is always quicker, take it away first."""
        store, stopped = self._store, Status.STOPPED
        try:
            await endings.end(store, run, None, stopped, last, now, tries=_TRIES)
        except SequenceMismatch:
            claim = await store.seize(run.id, self._name, self._lease)
            await endings.end(store, run, claim.epoch, stopped, last, now)
