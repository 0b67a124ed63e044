"""OpenAI's Responses API in background mode: the provider keeps the answer while it is made.

Theory of operation
===================
1. Such an answer is a job. It goes on when the connection ends, and whoever knows its id can listen
   to it again, from behind any event. OpenAI keeps what it said for about ten minutes.
2. Until the job's id is known, nobody can end it. So what asks for it is not cancelled: it goes on
   by itself for a moment, learns the id and ends the job.
3. A refusal to stream a job again is not its end: OpenAI streams one for five minutes only. The job
   is then polled until it has ended, and what the log does not have yet is yielded.
4. A job that cannot be polled either, or that says something else, is ended before the failure is
   raised as `job_over`. The next attempt asks anew, and two jobs are never paid at once. A provider
   that is busy or cannot be reached has refused nothing.
Source: https://developers.openai.com/api/docs/guides/background and the API reference.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import ExitStack, aclosing
from typing import Any, NamedTuple

import aiohttp
from yarl import URL

from durable_llm_streams.errors import ModelError
from durable_llm_streams.providers import failures
from durable_llm_streams.providers.requests.connection import held
from durable_llm_streams.providers.requests.outcome import NETWORK, beginning, check
from durable_llm_streams.providers.requests.request import background_body, endpoint_url
from durable_llm_streams.providers.streams.responses_sse import (
    ResponsesParser,
    is_id,
    starting_after,
)
from durable_llm_streams.source import Alive, Event, Job, Prompt

from .keeping import Keeping
from .polling import log_of_job, pauses
from .response_body import read_response

logger = logging.getLogger(__name__)

_NO_BACKGROUND = (400, 404, 405, 422, 501)  # the model or the server knows no such thing
_BUSY = (408, 409, 425, 429)
_UNKNOWN = (401, 404, 410)  # a poll would be refused as well
_OVER = (400, 404, 409, 410)  # nothing is left to be cancelled
_LEFT_SECONDS = 15.0
_CLOSE_SECONDS = 3.0
_POLL_SECONDS = 30.0
_POLL_FAILURES = 5  # in a row


class _Begun(NamedTuple):
    """A response that is being read.

    Attributes:
        response: the HTTP response.
        parser: reads it.
        events: what was read already.
        stack: lets go of the response.
    """

    response: aiohttp.ClientResponse
    parser: ResponsesParser
    events: list[Event]
    stack: ExitStack


class OpenAIResponses(Keeping):
    """A `JobSource` that asks some models in background mode, and all others as usual.

    A continuation (`Prompt.prefill`, `Prompt.continues`) is asked as usual, and so is a model that the
    endpoint does not take in background mode; the operator's log names it.

    Args:
        sleep: waits for so many seconds between two polls.
        options: see `Keeping` and `OpenAICompatible`.
    """

    def __init__(
        self, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep, **options: Any
    ) -> None:
        super().__init__(**options)
        self._sleep = sleep
        self._left: set[asyncio.Task[None]] = set()

    def stream(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        """Produce the answer; see `Source.stream`.

        Raises:
            ModelError: the provider failed, or its answer was cut, empty or no stream.
        """
        if prompt.job is not None:
            return self._stream_again(prompt, prompt.job)
        if self._keeps(prompt, "responses"):
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
                    raise failures.refused(response.status, await beginning(response))

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
            prompt = await self._named(prompt)
            begun = await self._ask(prompt)
            if begun is not None:
                async with aclosing(self._read_all(begun, may_be_empty=False)) as events:
                    async for event in events:
                        yield event
                job = begun.parser.job
                if begun.parser.is_unfinished and job is not None:
                    async with aclosing(self._poll(ResponsesParser(job), job, ())) as events:
                        async for event in events:
                            yield event
                return
        async with aclosing(super().stream(prompt)) as events:
            async for event in events:
                yield event

    async def _stream_again(self, prompt: Prompt, job: Job) -> AsyncGenerator[Event, None]:
        """Everything that a job says after its mark."""
        if not is_id(job.id):
            raise failures.job_gone("no id that OpenAI gives")
        log = log_of_job(prompt)
        parser = ResponsesParser(job, told=log.before if log else None)
        with self._redacted():
            try:
                async with aclosing(self._streamed(job, parser)) as events:
                    async for event in events:
                        yield event
                if parser.is_unfinished:
                    if log is None:
                        raise failures.job_gone("It is not streamed any more.")
                    parser = ResponsesParser(job, told=[*log.before, *log.since])
                    async with aclosing(self._poll(parser, job, log.events())) as events:
                        async for event in events:
                            yield event
            except ModelError as error:
                if error.job_over and not parser.ended:
                    await self._end(job)
                raise

    async def _streamed(self, job: Job, parser: ResponsesParser) -> AsyncGenerator[Event, None]:
        """The same as far as it is streamed; the parser `is_unfinished` if it is to be polled."""
        begun = await self._listen(job, parser)
        if begun is None:
            parser.is_unfinished = True
            return
        spoke = False
        try:
            async with aclosing(self._read_all(begun, may_be_empty=True)) as events:
                async for event in events:
                    spoke = spoke or type(event) is not Alive
                    yield event
        except ModelError as error:
            if spoke or parser.ended or not error.job_over:
                raise
            parser.is_unfinished = True  # the failure may be the stream's alone

    async def _read_all(self, begun: _Begun, *, may_be_empty: bool) -> AsyncGenerator[Event, None]:
        """What a response says, up to its end."""
        response, parser, first, stack = begun
        with stack:
            for event in first:
                yield event
            while not parser.done:
                for event in await self._read(response, parser):
                    yield event
        if not parser.is_unfinished:
            yield parser.finish(may_be_empty=may_be_empty)

    async def _listen(self, job: Job, parser: ResponsesParser) -> _Begun | None:
        """Go on reading what a job says. None if it is not streamed (any more)."""
        after = starting_after(job)
        url = self._job_url(job).update_query(stream="true")
        response = await self._requested(
            url if after < 0 else url.update_query(starting_after=after)
        )
        with ExitStack() as stack:
            stack.enter_context(held(response))
            try:
                await check(response, continuing=False)
            except ModelError as error:
                if not _has_refused(response.status) or response.status in _UNKNOWN:
                    raise _judged(error, response.status) from None
                logger.info("The job %s is polled. %s", job.id, self._redact(error.detail))
                return None
            return _Begun(response, parser, [], stack.pop_all())

    async def _poll(
        self, parser: ResponsesParser, job: Job, heard: Sequence[Event]
    ) -> AsyncGenerator[Event, None]:
        """Wait for the end of a job that is not streamed, and yield what it says.

        Args:
            parser: knows what was said.
            job: the job.
            heard: what the log has of it from its mark on.
        """
        for event in heard:
            yield event
        failures = 0
        for pause in pauses():
            try:
                response = await self._look(job)
            except ModelError as error:
                failures += 1
                if error.job_over or failures >= _POLL_FAILURES:
                    raise
            else:
                failures = 0
                for event in parser.whole(response, polled=True):
                    yield event
                if parser.done:
                    break
                yield Alive("chunk")
            await self._sleep(pause)
        yield parser.finish(may_be_empty=True)

    async def _look(self, job: Job) -> dict[str, Any]:
        """The job as it is now.

        Raises:
            ModelError: with `job_over` if the provider refuses, otherwise it is to be repeated.
        """
        try:
            async with asyncio.timeout(_POLL_SECONDS):
                response = await self._requested(self._job_url(job))
                with held(response):
                    if 200 <= response.status < 300:
                        return await read_response(response)
                    error = failures.refused(response.status, await beginning(response))
                    raise _judged(error, response.status)
        except TimeoutError as why:
            raise failures.unreachable(why) from None

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
            while not (parser.begun or parser.done):
                first += await self._read(response, parser)
            return _Begun(response, parser, first, stack.pop_all())

    async def _end_unheard(self, beginning_job: asyncio.Task[_Begun | None]) -> None:
        """End a job that was asked for by somebody who has left since."""
        try:
            async with asyncio.timeout(_LEFT_SECONDS):
                begun = await beginning_job
                if begun is not None:
                    begun.stack.close()
                    if begun.parser.job is not None and not begun.parser.ended:
                        await self.cancel(begun.parser.job)
        except (ModelError, TimeoutError) as error:
            logger.warning("A job that nobody waits for may go on at the provider: %s", error)

    async def _requested(self, url: URL) -> aiohttp.ClientResponse:
        """Raises ModelError where there is no answer at all."""
        session = self._opened()
        try:
            return await session.get(url, headers=self._headers, allow_redirects=False)
        except NETWORK as why:
            raise failures.unreachable(why) from None

    def _job_url(self, job: Job) -> URL:
        return endpoint_url(self._base_url, f"responses/{job.id}")


def _has_refused(status: int) -> bool:
    """Whether a status says that the job is not to be had, and not that the provider is busy."""
    return status < 500 and status not in _BUSY


def _judged(error: ModelError, status: int) -> ModelError:
    """What a failure to reach a job means."""
    is_busy = error.retryable and not _has_refused(status)
    return error if is_busy else failures.job_gone(error.detail)
