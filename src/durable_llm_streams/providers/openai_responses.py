"""OpenAI's Responses API in background mode: the provider keeps the answer while it is made.

Theory of operation
===================
1. Such an answer is a job. It goes on when the connection ends, and whoever knows its id can listen
   to it again, from behind any event. OpenAI keeps what it said for about ten minutes.
2. Until the job's id is known, nobody can end it. So what asks for it is not cancelled: it goes on
   by itself for a moment, learns the id and ends the job.
3. A refusal to be listened to again (the window has passed, the job was cancelled) is `job_over`. A
   provider that is busy or cannot be reached has refused nothing.
Source: https://developers.openai.com/api/docs/guides/background and the API reference.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing
from typing import Any, NamedTuple

import aiohttp

from durable_llm_streams.errors import ModelError
from durable_llm_streams.providers import _failures
from durable_llm_streams.providers._connection import held
from durable_llm_streams.providers._request import background_body, endpoint_url
from durable_llm_streams.providers._responses_sse import ResponsesParser, is_id, starting_after
from durable_llm_streams.providers.background import BackgroundModels
from durable_llm_streams.providers.openai_compatible import (
    NETWORK,
    OpenAICompatible,
    beginning,
    check,
)
from durable_llm_streams.providers.prefill import trimmed
from durable_llm_streams.runs.source import Event, Job, Prompt

logger = logging.getLogger(__name__)

_NO_BACKGROUND = (400, 404, 405, 422, 501)  # the model or the server knows no such thing
_BUSY = (408, 409, 425, 429)
_OVER = (400, 404, 409, 410)  # nothing is left to be cancelled
_LEFT_SECONDS = 15.0
_CLOSE_SECONDS = 3.0


class _Begun(NamedTuple):
    """A response that is being read; `stack` lets go of it."""

    response: aiohttp.ClientResponse
    parser: ResponsesParser
    events: list[Event]
    stack: ExitStack


class OpenAIResponses(OpenAICompatible):
    """A `JobSource` that asks some models in background mode, and all others as usual.

    A continuation (`Prompt.said`) is asked as usual, and so is a model that the endpoint does not
    take in background mode; the operator's log tells of it.

    Args:
        background: which models.
        options: see `OpenAICompatible`.
    """

    def __init__(self, *, background: BackgroundModels, **options: Any) -> None:
        super().__init__(**options)
        self._background = background
        self._left: set[asyncio.Task[None]] = set()

    def stream(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        """Produce the answer; see `Source.stream`.

        Raises:
            ModelError: the provider failed, or its answer was cut, empty or no stream.
        """
        if prompt.job is not None or (
            self._background.has(prompt.model) and not trimmed(prompt.said)
        ):
            return self._stream_job(prompt)
        return super().stream(prompt)

    async def cancel(self, job: Job) -> None:
        """End a job; see `JobSource.cancel`."""
        with self._redacted():
            if not is_id(job.id):
                return
            url = endpoint_url(self._base_url, f"responses/{job.id}/cancel")
            response = await self._post(url, b"")
            with held(response):
                if response.status != 200 and response.status not in _OVER:
                    raise _failures.refused(response.status, await beginning(response))

    async def close(self) -> None:
        """Let go of connections. Jobs whose id is not known yet are ended, if that is soon."""
        if self._left:
            _, late = await asyncio.wait(self._left, timeout=_CLOSE_SECONDS)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=_CLOSE_SECONDS)
        await super().close()

    async def _stream_job(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        with self._redacted():
            job = prompt.job
            begun = await (self._ask(prompt) if job is None else self._listen(job))
            if begun is not None:
                response, parser, first, stack = begun
                with stack:
                    for event in first:
                        yield event
                    while not parser.done:
                        for event in await self._read(response, parser):
                            yield event
                    yield parser.finish(may_be_empty=job is not None)
                return
        async with aclosing(super().stream(prompt)) as events:
            async for event in events:
                yield event

    async def _listen(self, job: Job) -> _Begun:
        """Go on reading what a job says."""
        if not is_id(job.id):
            raise _failures.job_gone("no id that OpenAI gives")
        after = starting_after(job)
        url = endpoint_url(self._base_url, f"responses/{job.id}").update_query(stream="true")
        session = self._opened()
        try:
            response = await session.get(
                url if after < 0 else url.update_query(starting_after=after),
                headers=self._headers,
                allow_redirects=False,
            )
        except NETWORK as why:
            raise _failures.unreachable(why) from None
        with ExitStack() as stack:
            stack.enter_context(held(response))
            try:
                await check(response, continuing=False)
            except ModelError as error:
                if response.status < 500 and response.status not in _BUSY:
                    raise _failures.job_gone(error.detail) from None
                raise
            return _Begun(response, ResponsesParser(job), [], stack.pop_all())

    async def _ask(self, prompt: Prompt) -> _Begun | None:
        """Ask for a job; see rule 2. None if it is not to be had in background mode."""
        beginning_job = asyncio.create_task(self._begin(prompt))
        try:
            return await asyncio.shield(beginning_job)
        except asyncio.CancelledError:
            ending = asyncio.create_task(self._end_unheard(beginning_job))
            self._left.add(ending)
            ending.add_done_callback(self._left.discard)
            raise

    async def _begin(self, prompt: Prompt) -> _Begun | None:
        url = endpoint_url(self._base_url, "responses")
        response = await self._post(url, background_body(prompt, self._options))
        with ExitStack() as stack:
            stack.enter_context(held(response))
            if response.status in _NO_BACKGROUND:
                said = self._redact(f"HTTP {response.status}: {await beginning(response)}")
                logger.warning("%s is not answered in background mode: %s", prompt.model, said)
                return None
            await check(response, continuing=False)
            parser = ResponsesParser()
            first: list[Event] = []
            while not (first or parser.done):
                first += await self._read(response, parser)
            return _Begun(response, parser, first, stack.pop_all())

    async def _end_unheard(self, beginning_job: asyncio.Task[_Begun | None]) -> None:
        """End a job that was asked for by somebody who has left since."""
        try:
            async with asyncio.timeout(_LEFT_SECONDS):
                begun = await beginning_job
                if begun is not None:
                    begun.stack.close()
                    if begun.parser.job is not None:
                        await self.cancel(begun.parser.job)
        except (ModelError, TimeoutError) as error:
            logger.warning("A job that nobody waits for may go on at the provider: %s", error)
