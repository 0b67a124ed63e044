"""OpenAI's Responses API in background mode: the provider keeps the answer while it is made.

Theory of operation
===================
1. Such an answer is a job. It goes on when the connection ends, and can be resumed by its id after
   any event. OpenAI keeps its events for about ten minutes.
2. A job cannot be cancelled until its id is known. So the request for a job is not cancelled with
   its caller: it goes on for a moment, reads the id and cancels the job.
3. A refusal to stream a job again is not its end: OpenAI streams a job for five minutes only. The
   job is then polled until it has ended, and what the log does not have yet is yielded.
4. A job that cannot be polled either, or whose text differs, is cancelled before the failure is
   raised as `job_over`. The next attempt asks anew, so two jobs never cost money at once. A
   provider that is busy or unreachable has not refused the job.
5. Background mode needs `store: true`, and OpenAI keeps what it stores for 30 days. So a job is
   deleted when it is no longer needed.
Source: https://developers.openai.com/api/docs/guides/background and the API reference.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import ExitStack, aclosing
from itertools import count
from typing import Any, NamedTuple

import aiohttp
from typing_extensions import override
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

from .base import BackgroundSource
from .polling import POLL_DELAY, log_of_job
from .response_body import read_response

logger = logging.getLogger(__name__)

_NO_BACKGROUND = (400, 404, 405, 422, 501)  # not offered by the model or the server
_BUSY = (408, 409, 425, 429)
_UNKNOWN = (401, 404, 410)  # a poll would be refused as well
_OVER = (400, 404, 409, 410)  # nothing is left to cancel
_DELETED = (404, 405, 410)  # gone, or never stored
_ABANDONED_SECONDS = 15.0
_CLOSE_SECONDS = 3.0
_POLL_SECONDS = 30.0
_POLL_FAILURES = 5  # in a row


class _Begun(NamedTuple):
    """A response that is being read.

    Attributes:
        response: the HTTP response.
        parser: reads it.
        events: what was read already.
        stack: closes the response.
    """

    response: aiohttp.ClientResponse
    parser: ResponsesParser
    events: list[Event]
    stack: ExitStack


class OpenAIResponses(BackgroundSource):
    """A `JobSource` that asks some models in background mode, and all others as usual.

    A continuation (`Prompt.prefill`, `Prompt.continues`) is asked as usual. So is a model that the
    endpoint does not accept in background mode; a warning names it.

    Args:
        sleep: waits for so many seconds between two polls.
        options: see `BackgroundSource` and `OpenAICompatible`.
    """

    def __init__(
        self, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep, **options: Any
    ) -> None:
        super().__init__(**options)
        self._sleep = sleep
        self._abandoned: set[asyncio.Task[None]] = set()

    @override
    def stream(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        if prompt.job is not None:
            return self._stream_again(prompt, prompt.job)
        if self._wants_job(prompt, "responses"):
            return self._stream_job(prompt)
        return super().stream(prompt)

    @override
    async def cancel(self, job: Job) -> None:
        with self._redacted():
            if not is_id(job.id):
                return
            url = endpoint_url(self._base_url, f"responses/{job.id}/cancel")
            response = await self._post(url, b"")
            with held(response):
                if response.status != 200 and response.status not in _OVER:
                    raise failures.refused(response.status, await beginning(response))

    async def delete_job(self, job: Job) -> None:
        """Delete what OpenAI stores of a job; see `StoringSource.delete_job`."""
        with self._redacted():
            if not is_id(job.id):
                return
            session = self._opened()
            try:
                response = await session.delete(
                    self._job_url(job), headers=self._headers, allow_redirects=False
                )
            except NETWORK as why:
                raise failures.unreachable(why) from None
            with held(response):
                if not 200 <= response.status < 300 and response.status not in _DELETED:
                    raise failures.refused(response.status, await beginning(response))

    @override
    async def _end(self, job: Job) -> None:
        await super()._end(job)
        try:
            async with asyncio.timeout(_ABANDONED_SECONDS):
                await self.delete_job(job)
        except (ModelError, TimeoutError) as error:
            logger.warning("The job %s may be stored at the provider: %s", job.id, error)

    @override
    async def close(self) -> None:
        """Close the connections. Cancel jobs without an id, if it becomes known soon."""
        if self._abandoned:
            _, late = await asyncio.wait(self._abandoned, timeout=_CLOSE_SECONDS)
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
        """Yield the events of a job after its mark."""
        if not is_id(job.id):
            raise failures.job_gone("not an OpenAI id")
        log = log_of_job(prompt)
        parser = ResponsesParser(job, emitted=log.before if log else None)
        with self._redacted():
            try:
                async with aclosing(self._streamed(job, parser)) as events:
                    async for event in events:
                        yield event
                if parser.is_unfinished:
                    if log is None:
                        raise failures.job_gone("It is no longer streamed.")
                    parser = ResponsesParser(job, emitted=[*log.before, *log.since])
                    async with aclosing(self._poll(parser, job, log.events())) as events:
                        async for event in events:
                            yield event
            except ModelError as error:
                if error.job_over and not parser.ended:
                    await self._end(job)
                raise

    async def _streamed(self, job: Job, parser: ResponsesParser) -> AsyncGenerator[Event, None]:
        """The streamed part of it. The parser `is_unfinished` if the job must be polled."""
        begun = await self._listen(job, parser)
        if begun is None:
            parser.is_unfinished = True
            return
        has_output = False
        try:
            async with aclosing(self._read_all(begun, may_be_empty=True)) as events:
                async for event in events:
                    has_output = has_output or type(event) is not Alive
                    yield event
        except ModelError as error:
            if has_output or parser.ended or not error.job_over:
                raise
            parser.is_unfinished = True  # it may be a failure of the stream alone

    async def _read_all(self, begun: _Begun, *, may_be_empty: bool) -> AsyncGenerator[Event, None]:
        """Yield the events of a response up to its end."""
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
        """Resume the stream of a job. None if it is not streamed now."""
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
        self, parser: ResponsesParser, job: Job, logged: Sequence[Event]
    ) -> AsyncGenerator[Event, None]:
        """Wait for the end of a job that is not streamed, and yield its events.

        Args:
            parser: knows what was emitted.
            job: the job.
            logged: what the log has of it after its mark.
        """
        for event in logged:
            yield event
        failures = 0
        for polls in count(1):
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
            await self._sleep(POLL_DELAY.delay(polls))
        yield parser.finish(may_be_empty=True)

    async def _look(self, job: Job) -> dict[str, Any]:
        """The job as it is now.

        Raises:
            ModelError: with `job_over` if the provider refuses; otherwise try again.
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
        """Ask for a job; see rule 2. None if background mode is not offered."""
        beginning_job = asyncio.create_task(self._begin(prompt))
        try:
            return await asyncio.shield(beginning_job)
        except asyncio.CancelledError:
            ending = asyncio.create_task(self._cancel_abandoned(beginning_job))
            self._abandoned.add(ending)
            ending.add_done_callback(self._abandoned.discard)
            raise

    async def _begin(self, prompt: Prompt) -> _Begun | None:
        url = endpoint_url(self._base_url, "responses")
        response = await self._post(url, background_body(prompt, self._options))
        with ExitStack() as stack:
            stack.enter_context(held(response))
            if response.status in _NO_BACKGROUND:
                detail = self._redact(f"HTTP {response.status}: {await beginning(response)}")
                logger.warning("%s is not answered in background mode: %s", prompt.model, detail)
                return None
            await check(response, continuing=False)
            parser = ResponsesParser()
            first: list[Event] = []
            while not (parser.begun or parser.done):
                first += await self._read(response, parser)
            return _Begun(response, parser, first, stack.pop_all())

    async def _cancel_abandoned(self, beginning_job: asyncio.Task[_Begun | None]) -> None:
        """Cancel a job whose caller was cancelled before its id was known."""
        try:
            async with asyncio.timeout(_ABANDONED_SECONDS):
                begun = await beginning_job
                if begun is not None:
                    begun.stack.close()
                    if begun.parser.job is not None and not begun.parser.ended:
                        await self.cancel(begun.parser.job)
                        await self.delete_job(begun.parser.job)
        except (ModelError, TimeoutError) as error:
            logger.warning("An abandoned job may go on at the provider: %s", error)

    async def _requested(self, url: URL) -> aiohttp.ClientResponse:
        """Raises ModelError if there is no response at all."""
        session = self._opened()
        try:
            return await session.get(url, headers=self._headers, allow_redirects=False)
        except NETWORK as why:
            raise failures.unreachable(why) from None

    def _job_url(self, job: Job) -> URL:
        return endpoint_url(self._base_url, f"responses/{job.id}")


def _has_refused(status: int) -> bool:
    """Whether a status refuses the job for good, and not because the provider is busy."""
    return status < 500 and status not in _BUSY


def _judged(error: ModelError, status: int) -> ModelError:
    """The failure to reach a job, as `job_over` unless the provider is busy."""
    is_busy = error.retryable and not _has_refused(status)
    return error if is_busy else failures.job_gone(error.detail)
