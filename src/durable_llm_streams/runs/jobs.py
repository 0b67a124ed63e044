"""Cancelling and deleting a provider's jobs that are no longer needed.

They cost money until they end. A job is cancelled when its run is stopped or has failed, and when
an attempt begins anew. It is not cancelled when its process ends: the worker that takes the run
over reattaches to it.

Some providers store a job after its end. There it is deleted when its run has ended, and again with
its chat: the first deletion may have failed. A job that is being cancelled is deleted after that
and not before: a provider cancels nothing that it has deleted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

from durable_llm_streams.backoff import Backoff
from durable_llm_streams.errors import CursorLost, ModelError, NotFound
from durable_llm_streams.fold import Fold
from durable_llm_streams.log import read_all
from durable_llm_streams.model import Message
from durable_llm_streams.source import Job, JobSource, Source, StoringSource
from durable_llm_streams.store import LogReader

logger = logging.getLogger(__name__)

_TRY_SECONDS = 10.0
_END_SECONDS = 5.0
_RETRY = Backoff(1.5, 6.0)
_TRIES = 3
_MOST_RUNS = 20  # whose logs are read when their chat is deleted


class Jobs:
    """Cancels and deletes a provider's jobs in the background. Failures are logged and ignored.

    Args:
        source: where the jobs are.
    """

    def __init__(self, source: Source) -> None:
        self._source = source if isinstance(source, JobSource) else None
        self._storing = source if isinstance(source, StoringSource) else None
        self._ending: set[asyncio.Task[None]] = set()
        self._abandoned: dict[str, asyncio.Task[None]] = {}
        self._closed = False

    @property
    def supported(self) -> bool:
        """Whether the source has jobs."""
        return self._source is not None

    @property
    def stored(self) -> bool:
        """Whether the source's provider stores jobs after their end."""
        return self._storing is not None

    def delete(self, jobs: Sequence[Job]) -> None:
        """Delete jobs of runs that have ended, in the background. Idempotent."""
        jobs = [job for job in jobs if job.id not in self._abandoned]
        if self._storing is None or not jobs:
            return
        if self._closed:
            logger.warning("%d jobs of the provider are not deleted", len(jobs))
            return
        self._start(self._delete_all(self._storing, jobs), "deletion of jobs")

    def abandon(self, job: Job) -> asyncio.Task[None] | None:
        """Cancel a job in the background, and delete it. Idempotent.

        Returns the task, if there is one.
        """
        if self._source is None or self._closed:
            logger.warning("The provider's job %s is not cancelled; it goes on to its end", job.id)
            return None
        if (task := self._abandoned.get(job.id)) is None:
            task = self._start(self._cancel(self._source, job), f"end of job {job.id}")
            self._abandoned[job.id] = task
            task.add_done_callback(lambda _: self._abandoned.pop(job.id))
        return task

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        return task

    async def _cancel(self, source: JobSource, job: Job) -> None:
        await _try(source.cancel, "Cancelling", job)
        if self._storing is not None:
            await _try(self._storing.delete_job, "Deleting", job)

    async def _delete_all(self, source: StoringSource, jobs: Sequence[Job]) -> None:
        for job in jobs:
            await _try(source.delete_job, "Deleting", job)

    async def end(self, job: Job) -> None:
        """Cancel a job, and wait for that with a timeout."""
        if (task := self.abandon(job)) is not None:
            await asyncio.wait([task], timeout=_END_SECONDS)

    async def close(self, seconds: float) -> None:
        """Wait for the jobs that are being cancelled or deleted, with a timeout."""
        self._closed = True
        if self._ending:
            _, late = await asyncio.wait(self._ending, timeout=seconds)
            for task in late:
                task.cancel()
            if late:
                logger.warning("%d jobs of the provider are not cancelled or deleted", len(late))
                await asyncio.wait(late, timeout=seconds)


async def jobs_of(log: LogReader, messages: Sequence[Message]) -> list[Job]:
    """The jobs that the logs of a branch name, as far as these are kept; of the newest runs.

    Args:
        log: where the logs are.
        messages: the branch.
    """
    found = []
    for run_id in [message.run_id for message in messages if message.run_id][-_MOST_RUNS:]:
        with suppress(NotFound, CursorLost):
            records, _ = await read_all(log, run_id)
            if (job := Fold.of(records).job) is not None:
                found.append(Job(*job))
    return found


async def _try(call: Callable[[Job], Awaitable[None]], what: str, job: Job) -> None:
    for failures in range(1, _TRIES + 1):
        try:
            async with asyncio.timeout(_TRY_SECONDS):
                return await call(job)
        except TimeoutError:
            logger.warning("%s the provider's job %s timed out", what, job.id)
        except ModelError as error:
            logger.warning("%s the provider's job %s: %s %s", what, job.id, error, error.detail)
            if not error.retryable:
                return None
        except Exception:
            logger.exception("%s the provider's job %s failed", what, job.id)
            return None
        if failures < _TRIES:
            await asyncio.sleep(_RETRY.delay(failures))
    return None
