"""Models behind any OpenAI-compatible chat-completions endpoint, over streaming HTTP.

For OpenRouter, OpenAI, vLLM, llama.cpp, Ollama and others. `dialect` says how each is asked, and
`learning` adapts that to refusals. `chat_sse` reads the answers, `failures` interprets failures,
and `prefill` says which models can continue an answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import aiohttp
from msgspec.structs import replace
from yarl import URL

from durable_llm_streams._version import __version__
from durable_llm_streams.errors import InvalidSetting, ModelError
from durable_llm_streams.redaction import secrets_of
from durable_llm_streams.source import Alive, Event, Finish, Prompt, TextDelta

from . import failures
from .failures.redactor import long_texts
from .requests.connection import Route, broke, held
from .requests.dialect import Dialect, DialectName, Dialects, Row
from .requests.learning import Lessons
from .requests.listing import AUTO, Listing
from .requests.outcome import NETWORK, beginning, is_success, refused_by
from .requests.prefill import DEFAULT_RULES, PrefillRule, PrefillStyle, PrefillTable, Seam, trimmed
from .requests.request import (
    RequestOptions,
    base_address,
    endpoint_url,
    request_body,
    validated_headers,
)
from .streams.answer_parser import AnswerParser
from .streams.chat_sse import ChatParser

_LIST_BODY = 4 * 1024 * 1024  # bytes
_NO_CHANCE = 16  # characters; a beginning this long is not repeated by chance
_JSON_FORMATS = ("json_object", "json_schema")
_THINKING: Final = Alive("thinking")


class OpenAICompatible:
    """A `Source` that asks one endpoint.

    This class has no timeout for an answer or for pauses in it: the caller cancels. A `ModelError`
    says whether a retry may help. Only a refusal of something that this class added by itself is
    retried here (see `learning`).

    Args:
        base_url: the part before `/chat/completions`, such as `https://openrouter.ai/api/v1`. A
            query is kept.
        api_key: sent as the dialect says, by default as a bearer token; None for servers without
            keys.
        headers: more headers, such as OpenRouter's `HTTP-Referer` and `X-OpenRouter-Title`; `{key}`
            in a value is replaced by the key.
        fallback_models: OpenRouter's `models`: tried in turn when the model fails. They are not
            used to continue an answer.
        prefill: which models can continue an answer.
        continues: whether models may be asked in words to go on from a partial answer.
        reasoning_effort: how much the model should think: `minimal`, `low`, `medium`, `high`, ...;
            None leaves it to the provider. Not sent with a continuation.
        max_tokens: the longest answer, in tokens; None leaves it to the provider.
        temperature: None leaves it to the provider.
        extra_body: more fields of every request's body; they override the ones made here.
        connect_timeout: seconds to connect, including name resolution and TLS.
        usage_wait: seconds to wait for the usage after the answer's last text.
        dialect: the provider whose dialect is used; found from the host if not given.
        rows: more rows of the table of dialects; they override the built-in ones.
        proxy: the address of a proxy; None for the environment's, "" for none.
        ca_file: certificates (PEM) that are trusted in addition to the system's.

    Raises:
        InvalidSetting: an argument is invalid.
    """

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        fallback_models: Sequence[str] = (),
        prefill: PrefillTable | None = None,
        continues: bool = True,
        reasoning_effort: str | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        extra_body: Mapping[str, Any] | None = None,
        connect_timeout: float = 10.0,
        usage_wait: float = 5.0,
        dialect: DialectName | None = None,
        rows: Iterable[Row] = (),
        proxy: str | None = None,
        ca_file: str | None = None,
    ) -> None:
        address = base_address(base_url)
        dialects = Dialects(address, rows, name=dialect)
        self.default_model = dialects.of().default_model or AUTO
        if fallback_models and not dialects.of().fallbacks:
            raise InvalidSetting("Only OpenRouter has fallback models; this provider has none.")
        self._options = RequestOptions(
            fallback_models=tuple(fallback_models),
            reasoning_effort=reasoning_effort,
            max_tokens=max_tokens,
            temperature=temperature,
            extra_body=dict(extra_body or {}),
        )
        self._lessons = Lessons(dialects, self._options)
        own = {
            "Accept": "text/event-stream",
            "Accept-Encoding": "identity",  # a compressor would hold tokens back
            "Content-Type": "application/json",
            "User-Agent": f"durable-llm-streams/{__version__}",
        }
        made = validated_headers(address, api_key, headers or {}, dialects.of())
        self._headers = own | made
        self._prefill = _with_host(prefill or PrefillTable(), dialects.of())
        self._continues = continues
        self._route = Route.to(address, proxy=proxy, ca_file=ca_file)
        secrets = [value.rpartition(" ")[2] for value in made.values()] + secrets_of(base_url)
        secrets += [*self._route.secrets, *long_texts(extra_body or {})]
        self._redact = failures.Redactor([api_key, *secrets])
        self._timeout = aiohttp.ClientTimeout(
            total=None, connect=connect_timeout, sock_connect=connect_timeout
        )
        self._usage_wait = usage_wait
        self._session: aiohttp.ClientSession | None = None
        self._closed = False
        self._listing = Listing()
        self._point_to(str(address))

    def can_prefill(self, model: str) -> bool:
        """Whether the model continues an answer whose beginning it is given."""
        return self._prefill.style(self._listing.chosen(model)) is not None

    def can_continue(self, model: str) -> bool:
        """Whether the model may be asked to go on; see `Prompt.continues`. Never for JSON answers.

        A JSON answer that was cut is useful only as a whole.
        """
        body = {**self._lessons.dialect(model).body, **self._options.extra_body}
        format_ = body.get("response_format")
        kind = format_.get("type") if isinstance(format_, dict) else None
        return self._continues and kind not in _JSON_FORMATS

    def changes(self, model: str) -> Sequence[str]:
        """What was learned from the provider's refusals about a model, in words."""
        return self._lessons.changes(self._listing.chosen(model))

    async def models(self) -> Sequence[str]:
        """The models that the server lists, those for chats first.

        Raises:
            ModelError: the server is unreachable, or lists no models.
        """
        with self._redacted():
            found, base_url = await self._listing.read(self._base_url, self._get)
            self._point_to(base_url)
            return found

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        """Produce the answer; see `Source.stream`.

        Raises:
            ModelError: the provider failed, or its answer was cut, empty or no stream.
        """
        with self._redacted():
            prompt = await self._named(prompt)
            style = self._style(prompt)
            echoes = style == "mistral" or len(prompt.prefill) >= _NO_CHANCE
            seam = Seam(prompt.prefill, echoes=echoes)
            finish: Finish | None = None
            while finish is None:
                dialect = self._lessons.dialect(prompt.model)
                if not dialect.stream:
                    yield _THINKING  # the head comes with the whole answer
                response = await self._asked(prompt, dialect, style)
                if response is None:
                    continue  # in another dialect
                with held(response):
                    if dialect.stream and self._thinks(dialect, style):
                        yield _THINKING
                    parser = _parser(dialect, style)
                    has_output = False
                    while not parser.done:
                        events = await self._read(response, parser)
                        if not has_output:
                            has_output = any(type(event) is not Alive for event in events)
                        for event in _joined(events, seam) if seam.open else events:
                            yield event
                    if parser.saw_late_thought:
                        self._lessons.begins_thinking(prompt.model)
                    finish = self._finish(response, parser, prompt, has_output=has_output)
            if rest := seam.end():
                yield TextDelta(rest)
            yield finish

    async def close(self) -> None:
        """Close the connections. Open streams are cut, and no new one can begin."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _point_to(self, base_url: str) -> None:
        self._base_url = base_url
        self._url = endpoint_url(base_url, "chat/completions")

    def _style(self, prompt: Prompt) -> PrefillStyle | None:
        """How to continue; None if there is no partial answer."""
        if not trimmed(prompt.prefill):
            return None
        style = self._prefill.style(prompt.model)
        if style is None:
            raise ModelError("This model cannot continue an answer.", refused_rung=True)
        return style

    def _thinks(self, dialect: Dialect, style: PrefillStyle | None) -> bool:
        effort = self._options.reasoning_effort
        return dialect.thinks or (style is None and effort not in (None, "none"))

    async def _named(self, prompt: Prompt) -> Prompt:
        """The prompt, with a model that the server lists if none was set."""
        if self._listing.is_missing(prompt.model):
            await self.models()
        model = self._listing.chosen(prompt.model)
        return prompt if model == prompt.model else replace(prompt, model=model)

    async def _asked(
        self, prompt: Prompt, dialect: Dialect, style: PrefillStyle | None
    ) -> aiohttp.ClientResponse | None:
        """Send the request. None if the dialect has changed and the request must be sent again."""
        body = request_body(prompt, self._options, dialect, style)
        response = await self._post(self._url, body)
        if is_success(response):
            return response
        with held(response):
            detail = await beginning(response)
        if response.status == 404:
            self._listing.forget()
        continuing = style is not None or prompt.continues
        refusal = refused_by(response, detail, continuing=continuing)
        if self._lessons.learn(prompt, refusal, response.status, detail):
            return None
        raise refusal

    def _finish(
        self,
        response: aiohttp.ClientResponse,
        parser: ChatParser,
        prompt: Prompt,
        *,
        has_output: bool,
    ) -> Finish | None:
        """The end of an answer; None if it was a refusal and the dialect has changed."""
        goes_on = prompt.continues or bool(trimmed(prompt.prefill))
        generation_id = response.headers.get("X-Generation-Id", "")
        try:
            return parser.finish(generation_id=generation_id, may_be_empty=goes_on)
        except ModelError as error:
            if has_output:
                raise
            if self._lessons.learn(prompt, error, 200, error.detail):
                return None
            raise (failures.as_refused_rung(error) if goes_on else error) from None

    @contextmanager
    def _redacted(self) -> Iterator[None]:
        """Keep secrets out of the operator's log."""
        try:
            yield
        except ModelError as error:
            error.detail = self._redact(error.detail)
            raise

    async def _read(self, response: aiohttp.ClientResponse, parser: AnswerParser) -> list[Event]:
        """The events of the next read; none, and `parser.done`, if the connection broke."""
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
        if data:
            return parser.feed(data)
        reset = broke(response)
        if reset is not None:
            parser.cut(reset)
            return []
        return parser.end()

    async def _post(self, url: URL, body: bytes) -> aiohttp.ClientResponse:
        """Raises ModelError if there is no response at all."""
        session = self._opened()
        try:
            return await session.post(url, data=body, headers=self._headers, allow_redirects=False)
        except NETWORK as why:
            raise failures.unreachable(why) from None

    async def _get(self, url: URL) -> tuple[int, str]:
        """The status and the body of a small document."""
        session = self._opened()
        headers = self._headers | {"Accept": "application/json"}
        try:
            response = await session.get(url, headers=headers, allow_redirects=False)
        except NETWORK as why:
            raise failures.unreachable(why) from None
        with held(response):
            body = await beginning(response, most=_LIST_BODY)
            if response.status in (401, 403):
                raise refused_by(response, body, continuing=False)
            return response.status, body

    def _opened(self) -> aiohttp.ClientSession:
        if self._closed:
            raise ModelError("The server is shutting down. Try again.", retryable=True)
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ssl=self._route.context or True),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=self._timeout,
                proxy=self._route.proxy,
            )
        return self._session


def _with_host(prefill: PrefillTable, dialect: Dialect) -> PrefillTable:
    """The table, followed by the host's own rule for all of its models."""
    if dialect.prefill is None or prefill.rules[-len(DEFAULT_RULES) :] != DEFAULT_RULES:
        return prefill
    return PrefillTable((*prefill.rules, PrefillRule("*", dialect.prefill)))


def _parser(dialect: Dialect, style: PrefillStyle | None) -> ChatParser:
    """A parser of one answer. A prefilled model does not think first."""
    begins = dialect.begins_thinking and style is None
    return ChatParser(late_thoughts=style is None, begins_thinking=begins)


def _joined(events: Sequence[Event], seam: Seam) -> list[Event]:
    joined: list[Event] = []
    for event in events:
        if not isinstance(event, TextDelta):
            joined.append(event)
        elif text := seam.join(event.text) if seam.open else event.text:
            joined.append(TextDelta(text))
    # A repetition is not shown, but it is a sign of life.
    return joined or ([Alive("chunk")] if events else [])
