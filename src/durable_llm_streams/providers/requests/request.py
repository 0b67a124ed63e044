"""The requests to a provider: addresses, headers and bodies."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct
from yarl import URL

from durable_llm_streams.errors import InvalidSetting
from durable_llm_streams.source import Prompt

from .dialect import Dialect
from .prefill import PrefillStyle, request_fields, trimmed
from .turns import encodable, messages

#: Replaced by the key in the value of a header.
KEY_MARK: Final = "{key}"

_OURS = ("messages", "stream", "input", "background", "store")
_ENDPOINTS = ("chat/completions", "completions", "responses", "models")
#: A host that lacks its scheme. A key may be put here by mistake: it has no dot, or is longer.
_SOME_HOST = re.compile(
    r"(localhost|[\w-]+\.[\w.-]+|\[[0-9a-f:]+\]|[\w-]+(?=:\d))(:\d+)?(/[\w./-]*)?"
)
_LONGEST_HOST = 60
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e\u00a0-\U0010ffff]*")


def base_address(base_url: str) -> URL:
    """The base address, without the path of an endpoint.

    Args:
        base_url: as the operator wrote it; the path of an endpoint at its end is cut off.

    Raises:
        InvalidSetting: it is not an address of a web server.
    """
    text = base_url.strip()
    try:
        base = URL(text)
        usable = base.scheme in ("http", "https") and bool(base.host) and base.port is not None
    except ValueError:
        usable = False
        base = URL()
    if not usable:
        raise InvalidSetting(f"The model provider's address cannot be used. {_written(text)}")
    path = base.path.rstrip("/")
    for endpoint in _ENDPOINTS:
        if path.endswith(f"/{endpoint}"):
            path = path[: -len(endpoint)].rstrip("/")
            break
    return base.with_path(path).with_query(base.query)


def _written(text: str) -> str:
    """What to write instead."""
    if _SOME_HOST.fullmatch(text) and len(text) <= _LONGEST_HOST:
        local = re.match(r"(localhost|127\.|\[::1\]|10\.|192\.168\.)|[^/]*:\d", text)
        return f"Write it in full: {'http' if local else 'https'}://{text}"
    return "Write it in full, such as https://openrouter.ai/api/v1."


def endpoint_url(base_url: str, path: str) -> URL:
    """An endpoint below a base address.

    Args:
        base_url: the base; its query is kept.
        path: of the endpoint, such as `chat/completions`.

    Raises:
        InvalidSetting: it is not an address of a web server.
    """
    base = base_address(base_url)
    return base.with_path(f"{base.path.rstrip('/')}/{path}").with_query(base.query)


def validated_headers(
    url: URL, api_key: str | None, extra: Mapping[str, str], dialect: Dialect | None = None
) -> dict[str, str]:
    """The headers of the operator, of the dialect, and of the key.

    Args:
        url: the base address.
        api_key: None for a server that wants none.
        extra: the operator's headers; `{key}` in a value is replaced by the key, which is then
            sent in no other header.
        dialect: says how the key is sent if `extra` does not.

    Raises:
        InvalidSetting: a header is invalid in HTTP, or a key is missing.
    """
    dialect = dialect or Dialect()
    named = {**dialect.headers, **extra}
    check_headers(named)
    if api_key is None:
        for name, value in named.items():
            if KEY_MARK in value:
                raise InvalidSetting(
                    f"The header {name!r} for the model provider holds the key, and none is set."
                )
        return named
    if not re.fullmatch(r"[\x21-\x7e]+", api_key):
        raise InvalidSetting(
            "The key for the model provider has white space or other characters that no key has. "
            "Copy it again, on one line."
        )
    filled = {name: value.replace(KEY_MARK, api_key) for name, value in named.items()}
    if filled != named or dialect.key == "none":
        return filled
    if "authorization" in map(str.lower, named):
        return filled
    if dialect.key != "bearer":
        return {dialect.key: api_key, **filled}
    if url.user or url.password:
        raise InvalidSetting(
            "The model provider's address holds a user name, and there is a key as well. "
            "Leave one of them out."
        )
    return {"Authorization": f"Bearer {api_key}", **filled}


def check_headers(headers: Mapping[str, str]) -> None:
    """Raises InvalidSetting for a header that is invalid in HTTP."""
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise InvalidSetting(f"The header {name!r} for the model provider cannot be sent.")


class RequestOptions(Struct, frozen=True, kw_only=True):
    """The operator's options for every request.

    Args:
        fallback_models: OpenRouter's `models`.
        reasoning_effort: how much to think; None leaves it to the provider.
        max_tokens: the longest answer, in tokens; None leaves it to the provider.
        temperature: None leaves it to the provider.
        extra_body: fields that override the ones made here.

    Raises:
        InvalidSetting: a body field must not be set, or is not JSON.
    """

    fallback_models: Sequence[str] = ()
    reasoning_effort: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    extra_body: Mapping[str, Any] = {}

    def __post_init__(self) -> None:
        check_body(self.extra_body)


def check_body(fields: Mapping[str, Any]) -> None:
    """Raises InvalidSetting for body fields that must not be set, or that are not JSON."""
    for name in _OURS:
        if name in fields:
            raise InvalidSetting(f"The request's field `{name}` cannot be set.")
    try:
        msgspec.json.encode(fields)
    except (TypeError, ValueError):
        raise InvalidSetting("The extra fields of the request are not JSON.") from None


def request_body(
    prompt: Prompt, options: RequestOptions, dialect: Dialect, style: PrefillStyle | None
) -> bytes:
    """A chat-completions request as JSON.

    Args:
        prompt: what is asked.
        options: what the operator wants in every request.
        dialect: how this model is asked.
        style: how the model is asked to continue `prompt.prefill`; None to ask from the start.
    """
    turns = messages(prompt.turns, system=dialect.system)
    body: dict[str, Any] = {"model": encodable(prompt.model), "messages": turns}
    if style is not None:
        message, fields = request_fields(style, trimmed(encodable(prompt.prefill)))
        turns.append(message)
        body |= fields
    elif options.fallback_models:
        body["models"] = list(options.fallback_models)
    fields = optional_fields(options, dialect, thinks=style is None)
    return msgspec.json.encode(
        body | {"stream": dialect.stream} | fields | {**dialect.body, **options.extra_body}
    )


def optional_fields(options: RequestOptions, dialect: Dialect, *, thinks: bool) -> dict[str, Any]:
    """The fields that settings add, and that a provider may not know.

    Args:
        options: what the operator wants in every request.
        dialect: how this model is asked.
        thinks: whether the model may think first; False for a continuation.
    """
    fields: dict[str, Any] = {}
    if dialect.stream and dialect.stream_options:
        fields["stream_options"] = {"include_usage": True}
    if options.max_tokens and dialect.max_tokens:
        fields[dialect.max_tokens] = options.max_tokens
    if options.temperature is not None and dialect.temperature:
        fields["temperature"] = options.temperature
    if options.reasoning_effort and thinks:
        if dialect.effort == "reasoning":
            fields["reasoning"] = {"effort": options.reasoning_effort}
        elif dialect.effort == "reasoning_effort":
            fields["reasoning_effort"] = options.reasoning_effort
    return fields


def background_body(prompt: Prompt, options: RequestOptions) -> bytes:
    """The request for a job, as JSON (Responses API).

    Args:
        prompt: what is asked, from the start.
        options: what the operator wants in every request.
    """
    body: dict[str, Any] = {"model": encodable(prompt.model), "input": messages(prompt.turns)}
    body |= {"background": True, "stream": True, "store": True}
    if options.max_tokens:
        body["max_output_tokens"] = options.max_tokens
    if options.temperature is not None:
        body["temperature"] = options.temperature
    if options.reasoning_effort:
        body["reasoning"] = {"effort": options.reasoning_effort}
    return msgspec.json.encode(body | dict(options.extra_body))
