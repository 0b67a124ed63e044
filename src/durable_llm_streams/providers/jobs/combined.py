"""One source for both kinds of jobs."""

from __future__ import annotations

from collections.abc import AsyncGenerator

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
        return super().stream(prompt)  # it passes on what is not a job of its kind

    @override
    async def cancel(self, job: Job) -> None:
        if is_ours(job):
            await LlamaCppStreams.cancel(self, job)
        else:
            await super().cancel(job)
