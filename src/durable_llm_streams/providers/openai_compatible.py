"""Models behind any OpenAI-compatible chat-completions endpoint, over streaming HTTP.

OpenRouter, OpenAI, vLLM, llama.cpp, Ollama and others. What they send is read by `_chat_sse`, what
their failures mean is in `_failures`, which models can continue an answer is in `prefill`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from durable_llm_streams._version import __version__
from durable_llm_streams.errors import ModelError
from durable_llm_streams.providers import _failures
from durable_llm_streams.providers._answer_parser import AnswerParser
from durable_llm_streams.providers._chat_sse import ChatParser
from durable_llm_streams.providers._connection import held
from durable_llm_streams.providers._request import (
    Dialect,
    RequestOptions,
    detect_dialect,
    endpoint_url,
    request_body,
    validated_headers,
)
from durable_llm_streams.providers.prefill import PrefillStyle, PrefillTable, Seam, trimmed
from durable_llm_streams.runs.source import Event, Prompt, TextDelta

_ERROR_BODY = 64 * 1024  # bytes of a failure's body that are read
_ERROR_BODY_WAIT = 5.0  # seconds
_NOT_STREAMS = ("text/html", "application/json", "application/problem+json")

# what aiohttp raises for a peer's doing; it lets its parser's own errors and a RuntimeError for a
# connection that is gone through as they are
NETWORK: Final = (aiohttp.ClientError, HttpProcessingError, OSError, ValueError, RuntimeError)


class OpenAICompatible:
    """A `Source` that asks one endpoint.

    The time that an answer may take is not limited here, nor are pauses in it: both are the
    caller's, who cancels. Nothing is retried here either: a `ModelError` says whether to.

    Args:
        base_url: what stands before `/chat/completions`, such as `https://openrouter.ai/api/v1`. A
            query is kept.
        api_key: sent as a bearer token; None for servers that want none.
        headers: more headers, such as OpenRouter's `HTTP-Referer` and `X-OpenRouter-Title`.
        fallback_models: OpenRouter's `models`: asked in turn when the model fails. They do not
            stand in for a model that continues an answer.
        prefill: which models can continue an answer.
        reasoning_effort: how much a model shall think: `minimal`, `low`, `medium`, `high`, ...;
            None leaves it to the provider. Not sent with a continuation, which is past thinking.
        extra_body: more fields of every request's body; they win over the ones made here.
        connect_timeout: seconds until a connection must stand, name look-up and TLS included.
        usage_wait: seconds that the usage may come after the answer's last word.
        dialect: which extensions the endpoint speaks; found from the host if not given.
        trust_env: whether `HTTPS_PROXY` and its kin are followed.

    Raises:
        InvalidSetting: an argument that no request could be made with.
    """

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        fallback_models: Sequence[str] = (),
        prefill: PrefillTable | None = None,
        reasoning_effort: str | None = None,
        extra_body: Mapping[str, Any] | None = None,
        connect_timeout: float = 10.0,
        usage_wait: float = 5.0,
        dialect: Dialect | None = None,
        trust_env: bool = False,
    ) -> None:
        self._base_url = base_url
        self._url = endpoint_url(base_url, "chat/completions")
        own = {
            "Accept": "text/event-stream",
            "Accept-Encoding": "identity",  # a compressor would hold tokens back
            "Content-Type": "application/json",
            "User-Agent": f"durable-llm-streams/{__version__}",
        }
        self._headers = own | validated_headers(self._url, api_key, headers or {})
        self._prefill = prefill or PrefillTable()
        self._options = RequestOptions(
            dialect=dialect or detect_dialect(self._url),
            fallback_models=tuple(fallback_models),
            reasoning_effort=reasoning_effort,
            extra_body=dict(extra_body or {}),
        )
        secrets = [value.rpartition(" ")[2] for value in (headers or {}).values()]
        self._redact = _failures.Redactor([api_key, self._url.password, *secrets])
        self._timeout = aiohttp.ClientTimeout(
            total=None, connect=connect_timeout, sock_connect=connect_timeout
        )
        self._usage_wait = usage_wait
        self._trust_env = trust_env
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    def can_prefill(self, model: str) -> bool:
        """Whether the model continues an answer whose beginning it is given."""
        return self._prefill.style(model) is not None

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        """Produce the answer; see `Source.stream`.

        Raises:
            ModelError: the provider failed, or its answer was cut, empty or no stream.
        """
        with self._redacted():
            style = self._style(prompt)
            response = await self._post(self._url, request_body(prompt, self._options, style))
            with held(response):
                await check(response, continuing=style is not None)
                seam = Seam(prompt.said, echoes=style == "mistral")
                parser = ChatParser()
                while not parser.done:
                    events = await self._read(response, parser)
                    for event in _joined(events, seam) if seam.open else events:
                        yield event
                generation_id = response.headers.get("X-Generation-Id", "")
                finish = parser.finish(generation_id=generation_id, may_be_empty=style is not None)
            if rest := seam.end():
                yield TextDelta(rest)
            yield finish

    async def close(self) -> None:
        """Let go of connections. Streams that are read now are cut; none can begin any more."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _style(self, prompt: Prompt) -> PrefillStyle | None:
        """How to continue; None where nothing was said yet."""
        if not trimmed(prompt.said):
            return None
        style = self._prefill.style(prompt.model)
        if style is None:
            raise ModelError("This model cannot continue an answer.", refused_rung=True)
        return style

    @contextmanager
    def _redacted(self) -> Iterator[None]:
        """Keep secrets out of the operator's log."""
        try:
            yield
        except ModelError as error:
            error.detail = self._redact(error.detail)
            raise

    async def _read(self, response: aiohttp.ClientResponse, parser: AnswerParser) -> list[Event]:
        """The events of the next read; none and `parser.done` when the connection broke."""
        content = response.content
        try:
            if parser.has_reason:
                async with asyncio.timeout(self._usage_wait):
                    data = await content.readany()
            else:
                data = await content.readany()
        except NETWORK as why:
            parser.cut(why)
            return []
        return parser.feed(data) if data else parser.end()

    async def _post(self, url: URL, body: bytes) -> aiohttp.ClientResponse:
        """Raises ModelError where there is no answer at all."""
        session = self._opened()
        try:
            return await session.post(url, data=body, headers=self._headers, allow_redirects=False)
        except NETWORK as why:
            raise _failures.unreachable(why) from None

    def _opened(self) -> aiohttp.ClientSession:
        if self._closed:
            raise ModelError("The server is shutting down. Try again.", retryable=True)
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=self._timeout,
                trust_env=self._trust_env,
            )
        return self._session


def _joined(events: Sequence[Event], seam: Seam) -> list[Event]:
    joined: list[Event] = []
    for event in events:
        if not isinstance(event, TextDelta):
            joined.append(event)
        elif text := seam.join(event.text) if seam.open else event.text:
            joined.append(TextDelta(text))
    return joined


async def check(response: aiohttp.ClientResponse, *, continuing: bool) -> None:
    """Raise for a response that is not a stream of events."""
    kind = response.content_type
    if response.status == 200 and kind not in _NOT_STREAMS:
        return
    body = await beginning(response)
    if response.status == 200:
        raise _failures.not_a_stream(body)
    wait = _failures.wait_asked(response.headers.get("Retry-After"), time.time())
    raise _failures.refused(response.status, body, retry_after=wait, continuing=continuing)


async def beginning(response: aiohttp.ClientResponse) -> str:
    """What a failure's body says, as far as it comes soon."""
    body = bytearray()
    try:
        async with asyncio.timeout(_ERROR_BODY_WAIT):
            while len(body) < _ERROR_BODY and (data := await response.content.readany()):
                body += data
    except NETWORK:
        pass
    return body[:_ERROR_BODY].decode(errors="replace")
