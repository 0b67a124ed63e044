"""Answers that the provider keeps, in whichever way: one source for both kinds of jobs."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from durable_llm_streams.source import Event, Job, Prompt

from .llama_cpp import LlamaCppStreams, is_ours
from .openai_responses import OpenAIResponses


class KeptAnswers(OpenAIResponses, LlamaCppStreams):
    """A `JobSource` that asks each model in the way that `background` says.

    A job that is listened to again is asked for in the way that made it: its id tells which.

    Args:
        options: see `OpenAIResponses`, `LlamaCppStreams` and `Keeping`.
    """

    def stream(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        """Produce the answer; see `Source.stream`."""
        if prompt.job is not None and is_ours(prompt.job):
            return LlamaCppStreams.stream(self, prompt)
        return super().stream(prompt)  # which hands on what is no job of its kind

    async def cancel(self, job: Job) -> None:
        """End a job; see `JobSource.cancel`."""
        if is_ours(job):
            await LlamaCppStreams.cancel(self, job)
        else:
            await super().cancel(job)
