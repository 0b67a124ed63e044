"""llama.cpp's resumable streams: the server keeps the bytes of an answer while it is made.

Theory of operation
===================
1. A request with an `X-Conversation-Id` is answered as usual, and the answer goes on when the
   connection ends. Its bytes can be read again from any offset: up to 4 MiB, until five minutes
   after the end.
2. The id is made here, and yielded before the request is sent. So the log knows every job that can
   exist. A local server often answers one request at a time: an unknown job would block it.
3. The answer does not show whether the server keeps it. A server that does not keep it stops with
   the connection, and answers a later request for the stream with an error. Then the next rung is
   taken.
4. Only the request to cancel a job ends it. It is sent before a failure is raised as `job_over`.
5. Servers until the summer of 2026 have the id in the path, later ones in the query. Both are
   tried.
Source: tools/server/README-dev.md of llama.cpp, "Resumable streaming", and server-stream.cpp.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final

import aiohttp
from typing_extensions import override
from yarl import URL

from durable_llm_streams.errors import ModelError
from durable_llm_streams.providers import failures
from durable_llm_streams.providers.requests.connection import held
from durable_llm_streams.providers.requests.dialect import Dialect
from durable_llm_streams.providers.requests.outcome import NETWORK, beginning
from durable_llm_streams.providers.requests.request import endpoint_url, request_body
from durable_llm_streams.source import Alive, Event, Job, Prompt

from .base import BackgroundSource
from .resumable_chat import MARK_EVERY, ResumableChatParser, offset

HEADER: Final = "X-Conversation-Id"
PREFIX: Final = "dls-"

_BUSY = (408, 409, 425, 429)
_ELSEWHERE = (404, 405, 501)  # no such address, or no such job
_OVER = (400, 404, 405, 410, 501)  # nothing is left to cancel
_NO_REPLAYS = ("application/json", "text/html")
_OFFSET_LOST = re.compile(r"offset.?lost", re.IGNORECASE)
_NOT_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


def new_id() -> str:
    """An id for a job that cannot be guessed."""
    return PREFIX + secrets.token_hex(16)


def is_ours(job: Job) -> bool:
    """Whether a job is of this kind."""
    return job.id.startswith(PREFIX) and job.id[len(PREFIX) :].isalnum() and job.id.isascii()


class LlamaCppStreams(BackgroundSource):
    """A `JobSource` that asks some models for streams that can be resumed, all others as usual.

    Args:
        new_id: makes the ids of jobs.
        mark_every: see `ResumableChatParser`.
        options: see `BackgroundSource` and `OpenAICompatible`.
    """

    def __init__(
        self,
        *,
        new_id: Callable[[], str] = new_id,
        mark_every: int = MARK_EVERY,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._new_id = new_id
        self._mark_every = mark_every

    @override
    def stream(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        if prompt.job is not None:
            return self._replay(prompt.job)
        if self._wants_job(prompt, "llama.cpp") and self._lessons.dialect(prompt.model).stream:
            return self._stream_resumable(prompt)
        return super().stream(prompt)

    @override
    async def cancel(self, job: Job) -> None:
        with self._redacted():
            response = await self._request("DELETE", job)
            with held(response):
                if response.status >= 300 and response.status not in _OVER:
                    raise failures.refused(response.status, await beginning(response))

    async def _stream_resumable(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        """Ask for a job, and yield its events."""
        with self._redacted():
            prompt = await self._named(prompt)
            job = Job(self._new_id())
            yield job
            finish = None
            while finish is None:
                dialect = self._lessons.dialect(prompt.model)
                response = await self._ask_resumable(prompt, dialect, job)
                if response is None:
                    continue  # in another dialect
                parser = ResumableChatParser(job, mark_every=self._mark_every)
                has_output = False
                with held(response):
                    if self._thinks(dialect, None):
                        yield Alive("thinking")
                    while not parser.done:
                        events = await self._read(response, parser)
                        has_output = has_output or any(
                            not isinstance(event, Alive) for event in events
                        )
                        for event in events:
                            yield event
                    finish = self._finish(response, parser, prompt, has_output=has_output)
            yield finish

    async def _ask_resumable(
        self, prompt: Prompt, dialect: Dialect, job: Job
    ) -> aiohttp.ClientResponse | None:
        """Send the request. None if the dialect has changed and the request must be sent again."""
        body = request_body(prompt, self._options, dialect, None)
        headers = {**self._headers, HEADER: job.id}
        session = self._opened()
        try:
            response = await session.post(
                self._url, data=body, headers=headers, allow_redirects=False
            )
        except NETWORK as why:
            error = failures.unreachable(why)
            error.job_over = isinstance(why, _NOT_SENT)
            raise error from None
        status = response.status
        if 200 <= status < 300:
            return response
        with held(response):
            detail = await beginning(response)
        error = failures.refused(status, detail, headers=response.headers)
        if self._lessons.learn(prompt, error, status, detail):
            return None
        error.job_over = status < 500  # it may be a gateway's timeout
        raise error

    async def _replay(self, job: Job) -> AsyncGenerator[Event, None]:
        """Yield the events of a job after its mark."""
        if not is_ours(job):
            raise failures.job_gone("no id of this kind")
        parser = ResumableChatParser(job, mark_every=self._mark_every)
        with self._redacted():
            try:
                response = await self._replayed(job)
                with held(response):
                    while not parser.done:
                        for event in await self._read(response, parser):
                            yield event
                finish = parser.finish(may_be_empty=bool(job.mark))
            except ModelError as error:
                if _OFFSET_LOST.search(error.detail):
                    error = failures.job_gone(error.detail)
                # the kept bytes would lead to the same failure again
                error.job_over = error.job_over or parser.ended
                if error.job_over:
                    await self._end(job)
                raise error from None
            yield finish

    async def _replayed(self, job: Job) -> aiohttp.ClientResponse:
        """Read the bytes of a job again, from its mark on."""
        response = await self._request("GET", job, {"from": str(offset(job))})
        status = response.status
        if 200 <= status < 300 and response.content_type not in _NO_REPLAYS:
            return response
        with held(response):
            detail = await beginning(response)
        error = failures.refused(status, detail, headers=response.headers)
        is_refused = (status < 500 and status not in _BUSY) or status == 501
        if is_refused or not error.retryable:
            raise failures.job_gone(error.detail)
        raise error

    async def _request(
        self, method: str, job: Job, query: dict[str, str] | None = None
    ) -> aiohttp.ClientResponse:
        """Send a request about a job to the address that the server has; see rule 5."""
        base = "stream" if URL(self._base_url).path.rstrip("/").endswith("/v1") else "v1/stream"
        by_path = endpoint_url(self._base_url, f"{base}/{job.id}").update_query(query or {})
        response = await self._send(method, by_path)
        if response.status not in _ELSEWHERE and response.content_type != "text/html":
            return response
        response.close()
        by_query = endpoint_url(self._base_url, base).update_query(conv_id=job.id, **query or {})
        return await self._send(method, by_query)

    async def _send(self, method: str, url: URL) -> aiohttp.ClientResponse:
        session = self._opened()
        try:
            return await session.request(method, url, headers=self._headers, allow_redirects=False)
        except NETWORK as why:
            raise failures.unreachable(why) from None
