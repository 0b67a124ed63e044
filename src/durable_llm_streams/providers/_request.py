"""What is sent to a provider: addresses, headers and bodies."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct
from yarl import URL

from durable_llm_streams.errors import InvalidSetting
from durable_llm_streams.providers.prefill import PrefillStyle, request_fields, trimmed
from durable_llm_streams.runs.source import Prompt

Dialect = Literal["openrouter", "openai", "generic"]

_OURS = ("messages", "stream", "input", "background", "store")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e\u00a0-\U0010ffff]*")


def endpoint_url(base_url: str, path: str) -> URL:
    """An endpoint below a base address.

    Args:
        base_url: the base; its query is kept.
        path: of the endpoint, such as `chat/completions`.

    Raises:
        InvalidSetting: it is not an address of a web server.
    """
    try:
        base = URL(base_url.strip())
        usable = base.scheme in ("http", "https") and bool(base.host)
    except ValueError:
        usable = False
        base = URL()
    if not usable:
        raise InvalidSetting(
            "The model provider's address cannot be used. "
            "Write it in full, such as https://openrouter.ai/api/v1."
        )
    return base.with_path(f"{base.path.rstrip('/')}/{path}").with_query(base.query)


def detect_dialect(url: URL) -> Dialect:
    """Which extensions a host is known to speak."""
    host = f".{url.host}"
    if host.endswith(".openrouter.ai"):
        return "openrouter"
    if host.endswith(".api.openai.com"):
        return "openai"
    return "generic"


def validated_headers(url: URL, api_key: str | None, extra: Mapping[str, str]) -> dict[str, str]:
    """The operator's headers and the key's.

    Raises:
        InvalidSetting: a header that HTTP cannot carry.
    """
    for name, value in extra.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise InvalidSetting(f"The header {name!r} for the model provider cannot be sent.")
    if api_key is None:
        return dict(extra)
    if not re.fullmatch(r"[\x21-\x7e]+", api_key):
        raise InvalidSetting(
            "The key for the model provider has white space or other marks that no key has. "
            "Copy it again, on one line."
        )
    if url.user or url.password:
        raise InvalidSetting(
            "The model provider's address holds a user name, and there is a key as well. "
            "Leave one of them out."
        )
    return {"Authorization": f"Bearer {api_key}", **extra}


class RequestOptions(Struct, frozen=True, kw_only=True):
    """What is the same in every request.

    Args:
        dialect: which extensions the endpoint speaks.
        fallback_models: OpenRouter's `models`.
        reasoning_effort: how much to think; None leaves it to the provider.
        extra_body: fields that win over the ones made here.

    Raises:
        InvalidSetting: fallback models without OpenRouter, or a body field that is not to be set.
    """

    dialect: Dialect
    fallback_models: Sequence[str]
    reasoning_effort: str | None
    extra_body: Mapping[str, Any]

    def __post_init__(self) -> None:
        if self.fallback_models and self.dialect != "openrouter":
            raise InvalidSetting("Fallback models are OpenRouter's; this provider knows none.")
        for name in _OURS:
            if name in self.extra_body:
                raise InvalidSetting(f"The request's field `{name}` cannot be set.")
        try:
            msgspec.json.encode(self.extra_body)
        except (TypeError, ValueError):
            raise InvalidSetting("The extra fields of the request are not JSON.") from None


def request_body(prompt: Prompt, options: RequestOptions, style: PrefillStyle | None) -> bytes:
    """A chat-completions request as JSON.

    Args:
        prompt: what is asked.
        options: what is the same in every request.
        style: how the model is asked to continue `prompt.said`; None to ask from the start.
    """
    messages: list[dict[str, Any]] = [
        {"role": turn.role, "content": turn.text} for turn in prompt.turns
    ]
    body: dict[str, Any] = {"model": prompt.model, "messages": messages, "stream": True}
    if options.dialect != "openrouter":  # which sends the usage always
        body["stream_options"] = {"include_usage": True}
    if style is not None:
        message, fields = request_fields(style, trimmed(prompt.said))
        messages.append(message)
        body |= fields
    else:
        if options.fallback_models:
            body["models"] = list(options.fallback_models)
        if options.reasoning_effort and options.dialect == "openrouter":
            body["reasoning"] = {"effort": options.reasoning_effort}
        elif options.reasoning_effort:
            body["reasoning_effort"] = options.reasoning_effort
    return msgspec.json.encode(body | dict(options.extra_body))


def background_body(prompt: Prompt, options: RequestOptions) -> bytes:
    """A request for an answer that the provider makes as a job, as JSON.

    Args:
        prompt: what is asked, from the start.
        options: what is the same in every request.
    """
    turns = [{"role": turn.role, "content": turn.text} for turn in prompt.turns]
    body: dict[str, Any] = {"model": prompt.model, "input": turns}
    body |= {"background": True, "stream": True, "store": True}
    if options.reasoning_effort:
        body["reasoning"] = {"effort": options.reasoning_effort}
    return msgspec.json.encode(body | dict(options.extra_body))
