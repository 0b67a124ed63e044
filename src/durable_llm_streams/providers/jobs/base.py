"""The common part of the sources that ask some models for jobs."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from typing import Any

from durable_llm_streams.errors import ModelError
from durable_llm_streams.providers.openai_compatible import OpenAICompatible
from durable_llm_streams.providers.requests.prefill import trimmed
from durable_llm_streams.source import Job, Prompt

from .background import BackgroundModels, JobKind

logger = logging.getLogger(__name__)

_END_SECONDS = 5.0


class BackgroundSource(OpenAICompatible, ABC):
    """Asks some models for jobs.

    Args:
        background: which models.
        options: see `OpenAICompatible`.
    """

    def __init__(self, *, background: BackgroundModels, **options: Any) -> None:
        super().__init__(**options)
        self._background = background

    @abstractmethod
    async def cancel(self, job: Job) -> None:
        """Cancel a job; see `JobSource.cancel`."""

    def _wants_job(self, prompt: Prompt, kind: JobKind) -> bool:
        """Whether this prompt is sent as a job of that kind; a continuation never is."""
        goes_on = prompt.continues or trimmed(prompt.prefill)
        model = self._listing.chosen(prompt.model)
        return not goes_on and self._background.kind(model) == kind

    async def _end(self, job: Job) -> None:
        """Cancel a job before the next attempt, for a few seconds at most."""
        try:
            async with asyncio.timeout(_END_SECONDS):
                await self.cancel(job)
        except (ModelError, TimeoutError) as error:
            logger.warning("The job %s may go on at the provider: %s", job.id, error)
