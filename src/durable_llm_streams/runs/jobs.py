"""Cancelling a provider's jobs whose answer is no longer needed: they cost money until they end.

A job is cancelled when its run is stopped or has failed, and when an attempt begins anew. It is not
cancelled when its process ends: the worker that takes the run over reattaches to it.
"""

from __future__ import annotations

import asyncio
import logging

from durable_llm_streams.backoff import Backoff
from durable_llm_streams.errors import ModelError
from durable_llm_streams.source import Job, JobSource, Source

logger = logging.getLogger(__name__)

_TRY_SECONDS = 10.0
_END_SECONDS = 5.0
_RETRY = Backoff(1.5, 6.0)
_TRIES = 3


class Jobs:
    """Cancels a provider's jobs in the background; failures are logged and ignored.

    Args:
        source: where the jobs are.
    """

    def __init__(self, source: Source) -> None:
        self._source = source if isinstance(source, JobSource) else None
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def supported(self) -> bool:
        """Whether the source has jobs."""
        return self._source is not None

    def abandon(self, job: Job) -> asyncio.Task[None] | None:
        """Cancel a job in the background. Idempotent. Returns the task, if there is one."""
        if self._source is None or self._closed:
            logger.warning("The provider's job %s is not cancelled; it goes on to its end", job.id)
            return None
        task = asyncio.create_task(_cancel(self._source, job), name=f"end of job {job.id}")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        return task

    async def end(self, job: Job) -> None:
        """Cancel a job, and wait for that with a timeout."""
        if (task := self.abandon(job)) is not None:
            await asyncio.wait([task], timeout=_END_SECONDS)

    async def close(self, seconds: float) -> None:
        """Wait for the jobs that are being cancelled, with a timeout."""
        self._closed = True
        if self._ending:
            _, late = await asyncio.wait(self._ending, timeout=seconds)
            for task in late:
                task.cancel()
            if late:
                logger.warning("%d jobs of the provider are not cancelled", len(late))
                await asyncio.wait(late, timeout=seconds)


async def _cancel(source: JobSource, job: Job) -> None:
    for failures in range(1, _TRIES + 1):
        try:
            async with asyncio.timeout(_TRY_SECONDS):
                return await source.cancel(job)
        except TimeoutError:
            logger.warning("Cancelling the provider's job %s timed out", job.id)
        except ModelError as error:
            logger.warning("Cancelling the provider's job %s: %s %s", job.id, error, error.detail)
            if not error.retryable:
                return None
        except Exception:
            logger.exception("Cancelling the provider's job %s failed", job.id)
            return None
        if failures < _TRIES:
            await asyncio.sleep(_RETRY.delay(failures))
    return None
