"""Chooses the model provider by the settings."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final, NamedTuple

import msgspec

from durable_llm_streams.errors import InvalidSetting, ModelError
from durable_llm_streams.providers.demo import DEMO_MODEL, Demo
from durable_llm_streams.providers.jobs.background import BackgroundModels
from durable_llm_streams.providers.jobs.combined import CombinedJobs
from durable_llm_streams.providers.openai_compatible import OpenAICompatible
from durable_llm_streams.providers.requests.dialect import Dialects, Row
from durable_llm_streams.providers.requests.dialect_file import read_rows
from durable_llm_streams.providers.requests.listing import AUTO
from durable_llm_streams.providers.requests.prefill import PrefillTable
from durable_llm_streams.providers.requests.request import base_address
from durable_llm_streams.redaction import without_secrets
from durable_llm_streams.server import OfferedModel
from durable_llm_streams.source import Source

from .settings import Settings

logger = logging.getLogger(__name__)

OPENROUTER_URL = "https://openrouter.ai/api/v1"
OPENAI_URL = "https://api.openai.com/v1"

LIST_SECONDS: Final = 2.0
_MOST_MODELS: Final = 50


class Provider(NamedTuple):
    """The source of answers.

    Attributes:
        name: for the line at the start.
        models: the ids offered, the default first.
    """

    name: str
    source: Source
    models: tuple[OfferedModel, ...]


class Endpoint(NamedTuple):
    """An endpoint that the settings name.

    Attributes:
        name: for people.
        options: the arguments of `OpenAICompatible`.
    """

    name: str
    options: dict[str, Any]


def endpoint(settings: Settings) -> Endpoint | None:
    """The endpoint, by the keys and the address that are set; None for the demo.

    Raises:
        InvalidSetting: a value that no request could be made with.
    """
    if settings.openrouter_api_key:
        _no_background(settings, "OpenRouter keeps no answers. Unset one of them.")
        options = _options(settings)
        attribution = {"X-OpenRouter-Title": settings.app_title}
        if settings.app_url:
            attribution["HTTP-Referer"] = settings.app_url
        options |= {
            "base_url": OPENROUTER_URL,
            "api_key": settings.openrouter_api_key,
            "fallback_models": settings.fallback_models,
            "headers": attribution | options["headers"],
        }
        return Endpoint("OpenRouter", options)
    if settings.openai_api_key or settings.openai_base_url:
        url = settings.openai_base_url or OPENAI_URL
        if Dialects(base_address(url)).of().fallbacks:
            _no_background(settings, "OpenRouter keeps no answers. Unset it.")
        options = _options(settings) | {"base_url": url, "api_key": settings.openai_api_key}
        return Endpoint(without_secrets(str(base_address(url))), options)
    return None


def provider(settings: Settings) -> Provider:
    """Choose the provider by the keys that are set, without a request.

    If no model is set and the provider has no default, a placeholder is offered; see
    `with_models`.

    Raises:
        InvalidSetting: a value that no request could be made with.
    """
    found = endpoint(settings)
    if found is not None:
        background = BackgroundModels.parse(settings.background)
        source = (
            CombinedJobs(background=background, **found.options)
            if background.rules
            else OpenAICompatible(**found.options)
        )
        return Provider(found.name, source, offered(settings, source))
    _no_background(settings, "The demo needs none. Set OPENAI_API_KEY, or unset it.")
    demo = OfferedModel(DEMO_MODEL, "Demo (not a real model)", demo=True)
    name = "the built-in demo; set OPENROUTER_API_KEY or OPENAI_API_KEY for real answers"
    model = Demo(settings.demo_tokens_per_second, goes_on=settings.demo_goes_on)
    return Provider(name, model, (demo,))


async def with_models(chosen: Provider) -> Provider:
    """The choice with the models that the provider lists, if none is set.

    A provider that does not answer soon is asked again before the first question.

    Args:
        chosen: the choice of `provider`.
    """
    source = chosen.source
    if chosen.models[0].id != AUTO or not isinstance(source, OpenAICompatible):
        return chosen
    try:
        async with asyncio.timeout(LIST_SECONDS):
            ids = await source.models()
    except (ModelError, TimeoutError) as error:
        logger.warning("The models of %s are not known yet: %s", chosen.name, error)
        return chosen
    return chosen._replace(models=tuple(OfferedModel(id_, id_) for id_ in ids[:_MOST_MODELS]))


def offered(settings: Settings, source: OpenAICompatible) -> tuple[OfferedModel, ...]:
    """The models that the settings name, the default first, or the provider's default.

    Args:
        settings: which may name models.
        source: that knows the provider's default.
    """
    first = settings.model or (None if settings.models else source.default_model)
    ids = dict.fromkeys((*([first] if first else []), *settings.models))
    if tuple(ids) == (AUTO,) and not settings.model:
        return (OfferedModel(AUTO, "A model of the provider's server"),)
    return tuple(OfferedModel(id_, id_) for id_ in ids)


def _options(settings: Settings) -> dict[str, Any]:
    """The options for every provider."""
    rows = [] if settings.provider_config is None else _rows(settings.provider_config)
    if settings.provider_stream == "off":
        rows.append(Row({"stream": False}))
    proxy = settings.provider_proxy
    return {
        "prefill": PrefillTable.parse(settings.prefill),
        "continues": settings.continue_ != "off",
        "reasoning_effort": settings.reasoning_effort,
        "max_tokens": settings.max_tokens,
        "temperature": settings.temperature,
        "headers": _headers(settings.provider_headers),
        "extra_body": _body(settings.provider_body),
        "rows": rows,
        "proxy": "" if proxy is not None and proxy.lower() == "off" else proxy,
        "ca_file": settings.provider_ca,
    }


def _rows(path: str) -> list[Row]:
    try:
        return read_rows(path)
    except InvalidSetting as error:
        raise InvalidSetting(f"DLS_PROVIDER_CONFIG: {error}") from None


def _headers(setting: str) -> dict[str, str]:
    """Read `name: value; name: value`."""
    headers = {}
    for entry in filter(None, map(str.strip, setting.replace("\n", ";").split(";"))):
        name, colon, value = map(str.strip, entry.partition(":"))
        if not (name and colon):
            raise InvalidSetting(
                "DLS_PROVIDER_HEADERS holds an invalid header. "
                "Write NAME: VALUE, separated by semicolons, such as `api-key: {key}`."
            )
        headers[name] = value
    return headers


def _body(setting: str) -> dict[str, Any]:
    if not setting:
        return {}
    try:
        return msgspec.json.decode(setting, type=dict[str, Any])
    except msgspec.DecodeError:
        raise InvalidSetting(
            "DLS_PROVIDER_BODY is not a JSON object. "
            'Write the fields in braces, such as {"top_p": 0.9}.'
        ) from None


def _no_background(settings: Settings, why: str) -> None:
    if settings.background:
        raise InvalidSetting(f"DLS_BACKGROUND is for OpenAI and llama.cpp. {why}")
