"""Jobs at a provider that nobody waits for any more: they are paid for until they are ended.

A job is ended when its run is stopped or has failed, and when an attempt begins anew. It is left
alone when its process ends: whoever takes the run over listens to it again.
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
    """Cancels provider jobs in the background; failures are logged and ignored.

    Args:
        source: where the jobs are.
    """

    def __init__(self, source: Source) -> None:
        self._source = source if isinstance(source, JobSource) else None
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def kept(self) -> bool:
        """Whether there are jobs that can be listened to at all."""
        return self._source is not None

    def abandon(self, job: Job) -> asyncio.Task[None] | None:
        """End a job, now or soon. Repeating it is harmless. Returns what does it."""
        if self._source is None or self._closed:
            logger.warning("The job %s at the provider is left to end by itself", job.id)
            return None
        task = asyncio.create_task(_cancel(self._source, job), name=f"end of job {job.id}")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        return task

    async def end(self, job: Job) -> None:
        """End a job before another one is asked for, if that can be done soon."""
        if (task := self.abandon(job)) is not None:
            await asyncio.wait([task], timeout=_END_SECONDS)

    async def close(self, seconds: float) -> None:
        """Wait until all jobs are ended that were abandoned, but no longer than so many seconds."""
        self._closed = True
        if self._ending:
            _, late = await asyncio.wait(self._ending, timeout=seconds)
            for task in late:
                task.cancel()
            if late:
                logger.warning("%d jobs at the provider are left to end by themselves", len(late))
                await asyncio.wait(late, timeout=seconds)


async def _cancel(source: JobSource, job: Job) -> None:
    for failures in range(1, _TRIES + 1):
        try:
            async with asyncio.timeout(_TRY_SECONDS):
                return await source.cancel(job)
        except TimeoutError:
            logger.warning("The job %s at the provider could not be ended in time", job.id)
        except ModelError as error:
            logger.warning("The job %s at the provider: %s %s", job.id, error, error.detail)
            if not error.retryable:
                return None
        except Exception:
            logger.exception("The job %s at the provider could not be ended", job.id)
            return None
        if failures < _TRIES:
            await asyncio.sleep(_RETRY.delay(failures))
    return None
