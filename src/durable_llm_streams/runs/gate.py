"""What stands between a worker's runs and the models, so that a planned end begins nothing new."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

from .source import Event, Job, JobSource, Prompt, Source


def gated(source: Source, is_open: Callable[[], bool]) -> Source:
    """A source of which no attempt begins while its gate is closed. It costs nothing per event.

    Args:
        source: the source.
        is_open: asked before each attempt. When it says no, `stream` raises CancelledError, so
            that the run flushes and leaves, as if somebody had cancelled it.
    """
    return _JobGate(source, is_open) if isinstance(source, JobSource) else _Gate(source, is_open)


class _Gate:
    """Passes everything on."""

    def __init__(self, source: Source, is_open: Callable[[], bool]) -> None:
        self._source = source
        self._is_open = is_open

    def stream(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        if not self._is_open():
            raise asyncio.CancelledError("This process begins no attempt any more.")
        return self._source.stream(prompt)

    def can_prefill(self, model: str) -> bool:
        return self._source.can_prefill(model)

    async def close(self) -> None:
        await self._source.close()


class _JobGate(_Gate):
    """The same for a source whose provider keeps answers: whoever asks is told so."""

    def __init__(self, source: JobSource, is_open: Callable[[], bool]) -> None:
        super().__init__(source, is_open)
        self._jobs = source

    async def cancel(self, job: Job) -> None:
        await self._jobs.cancel(job)
