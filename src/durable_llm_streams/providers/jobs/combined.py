"""One source for both kinds of jobs."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from typing_extensions import override

from durable_llm_streams.source import Event, Job, Prompt

from .llama_cpp import LlamaCppStreams, is_ours
from .openai_responses import OpenAIResponses


class CombinedJobs(OpenAIResponses, LlamaCppStreams):
    """A `JobSource` that asks each model for the kind of job that `background` names.

    A job is resumed in the way that it was made; its id shows which.

    Args:
        options: see `OpenAIResponses`, `LlamaCppStreams` and `BackgroundSource`.
    """

    @override
    def stream(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        if prompt.job is not None and is_ours(prompt.job):
            return LlamaCppStreams.stream(self, prompt)
        if prompt.job is None and self._listing.is_missing(prompt.model):
            return self._stream_listed(prompt)
        return super().stream(prompt)  # it passes on what is not a job of its kind

    async def _stream_listed(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        """Ask which models the server has, then stream: the rules are about their names."""
        with self._redacted():
            prompt = await self._named(prompt)
        async with aclosing(self.stream(prompt)) as events:
            async for event in events:
                yield event

    @override
    async def cancel(self, job: Job) -> None:
        if is_ours(job):
            await LlamaCppStreams.cancel(self, job)
        else:
            await super().cancel(job)

    @override
    async def delete_job(self, job: Job) -> None:
        if not is_ours(job):  # llama.cpp's server deletes its own after five minutes
            await super().delete_job(job)
