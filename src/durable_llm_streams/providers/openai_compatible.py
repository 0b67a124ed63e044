"""Models behind any OpenAI-compatible chat-completions endpoint, over streaming HTTP.

OpenRouter, OpenAI, vLLM, llama.cpp, Ollama and others. In which dialect each is asked is in
`dialect`, what a refusal teaches in `learning`, what they send is read by `chat_sse`, what their
failures mean is in `failures`, which models can continue an answer is in `prefill`.
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
from durable_llm_streams.source import Alive, Event, Finish, Prompt, TextDelta

from . import failures
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
_NO_CHANCE = 16  # characters; so long a beginning is not written twice by chance
_JSON_FORMATS = ("json_object", "json_schema")
_THINKING: Final = Alive("thinking")


class OpenAICompatible:
    """A `Source` that asks one endpoint.

    The time that an answer may take is not limited here, nor are pauses in it: both are the
    caller's, who cancels. A `ModelError` says whether asking again may help. Only a refusal of
    something that this class added by itself (see `learning`) is answered by asking once more.

    Args:
        base_url: what stands before `/chat/completions`, such as `https://openrouter.ai/api/v1`. A
            query is kept.
        api_key: how it travels is in the dialect, by default as a bearer token; None for servers
            that want none.
        headers: more headers, such as OpenRouter's `HTTP-Referer` and `X-OpenRouter-Title`; `{key}`
            in a value stands for the key.
        fallback_models: OpenRouter's `models`: asked in turn when the model fails. They do not
            stand in for a model that continues an answer.
        prefill: which models can continue an answer.
        continues: whether models may be asked in words to go on from a partial answer.
        reasoning_effort: how much a model shall think: `minimal`, `low`, `medium`, `high`, ...;
            None leaves it to the provider. Not sent with a continuation, which is past thinking.
        max_tokens: the longest answer, in tokens; None leaves it to the provider.
        temperature: None leaves it to the provider.
        extra_body: more fields of every request's body; they win over the ones made here.
        connect_timeout: seconds until a connection must stand, name look-up and TLS included.
        usage_wait: seconds that the usage may come after the answer's last word.
        dialect: whose dialect the endpoint speaks; found from the host if not given.
        rows: more rows of the table of dialects; they win over the built-in ones.
        proxy: the address of a proxy; None for what the environment says, "" for none.
        ca_file: certificates (PEM) that are trusted as well as the system's.

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
            raise InvalidSetting("Fallback models are OpenRouter's; this provider knows none.")
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
        secrets = [value.rpartition(" ")[2] for value in made.values()]
        self._redact = failures.Redactor([api_key, address.password, *secrets, self._route.secret])
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
        """Whether the model may be asked to go on; see `Prompt.continues`. Not where it says JSON.

        A JSON answer that was cut is of use only as a whole.
        """
        body = {**self._lessons.dialect(model).body, **self._options.extra_body}
        format_ = body.get("response_format")
        kind = format_.get("type") if isinstance(format_, dict) else None
        return self._continues and kind not in _JSON_FORMATS

    def changes(self, model: str) -> Sequence[str]:
        """What the provider's refusals taught about how a model is asked, in words."""
        return self._lessons.changes(self._listing.chosen(model))

    async def models(self) -> Sequence[str]:
        """The models that the server lists, those for chats first.

        Raises:
            ModelError: it cannot be reached, or it lists none.
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
                    spoke = False
                    while not parser.done:
                        events = await self._read(response, parser)
                        if not spoke:
                            spoke = any(type(event) is not Alive for event in events)
                        for event in _joined(events, seam) if seam.open else events:
                            yield event
                    if parser.saw_late_thought:
                        self._lessons.begins_thinking(prompt.model)
                    finish = self._finish(response, parser, prompt, spoke=spoke)
            if rest := seam.end():
                yield TextDelta(rest)
            yield finish

    async def close(self) -> None:
        """Let go of connections. Streams that are read now are cut; none can begin any more."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _point_to(self, base_url: str) -> None:
        self._base_url = base_url
        self._url = endpoint_url(base_url, "chat/completions")

    def _style(self, prompt: Prompt) -> PrefillStyle | None:
        """How to continue; None where nothing was said yet."""
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
        """With a model that the server lists, where none was set."""
        if prompt.model != AUTO:
            return prompt
        if not self._listing.known:
            await self.models()
        return replace(prompt, model=self._listing.chosen(prompt.model))

    async def _asked(
        self, prompt: Prompt, dialect: Dialect, style: PrefillStyle | None
    ) -> aiohttp.ClientResponse | None:
        """The answer to a question; None if the dialect is another one now."""
        body = request_body(prompt, self._options, dialect, style)
        response = await self._post(self._url, body)
        if is_success(response):
            return response
        with held(response):
            said = await beginning(response)
        if response.status == 404:
            self._listing.forget()
        continuing = style is not None or prompt.continues
        refusal = refused_by(response, said, continuing=continuing)
        if self._lessons.learn(prompt, refusal, response.status, said):
            return None
        raise refusal

    def _finish(
        self, response: aiohttp.ClientResponse, parser: ChatParser, prompt: Prompt, *, spoke: bool
    ) -> Finish | None:
        """The end of an answer; None if it was a refusal that taught something."""
        goes_on = prompt.continues or bool(trimmed(prompt.prefill))
        generation_id = response.headers.get("X-Generation-Id", "")
        try:
            return parser.finish(generation_id=generation_id, may_be_empty=goes_on)
        except ModelError as error:
            if spoke:
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
        if data:
            return parser.feed(data)
        reset = broke(response)
        if reset is not None:
            parser.cut(reset)
            return []
        return parser.end()

    async def _post(self, url: URL, body: bytes) -> aiohttp.ClientResponse:
        """Raises ModelError where there is no answer at all."""
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
    """The table, with what the host documents for all of its models behind it."""
    if dialect.prefill is None or prefill.rules[-len(DEFAULT_RULES) :] != DEFAULT_RULES:
        return prefill
    return PrefillTable((*prefill.rules, PrefillRule("*", dialect.prefill)))


def _parser(dialect: Dialect, style: PrefillStyle | None) -> ChatParser:
    """A reader of one answer. A model that is prefilled is past its thoughts."""
    begins = dialect.begins_thinking and style is None
    return ChatParser(late_thoughts=style is None, begins_thinking=begins)


def _joined(events: Sequence[Event], seam: Seam) -> list[Event]:
    joined: list[Event] = []
    for event in events:
        if not isinstance(event, TextDelta):
            joined.append(event)
        elif text := seam.join(event.text) if seam.open else event.text:
            joined.append(TextDelta(text))
    # A repetition is not shown, but the model is at work on it.
    return joined or ([Alive("chunk")] if events else [])
