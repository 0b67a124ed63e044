"""Where answers come from, by the settings."""

from __future__ import annotations

from typing import NamedTuple

from durable_llm_streams.errors import InvalidSetting
from durable_llm_streams.providers._request import detect_dialect, endpoint_url
from durable_llm_streams.providers.background import BackgroundModels
from durable_llm_streams.providers.demo import DEMO_MODEL, Demo
from durable_llm_streams.providers.openai_compatible import OpenAICompatible
from durable_llm_streams.providers.openai_responses import OpenAIResponses
from durable_llm_streams.providers.prefill import PrefillTable
from durable_llm_streams.runs import Source
from durable_llm_streams.server import OfferedModel

from .settings import Settings

OPENROUTER_URL = "https://openrouter.ai/api/v1"
OPENAI_URL = "https://api.openai.com/v1"


class Provider(NamedTuple):
    """Where answers come from.

    Attributes:
        name: for the line at the start.
        models: the ids offered, the default first.
    """

    name: str
    source: Source
    models: tuple[OfferedModel, ...]


def provider(settings: Settings) -> Provider:
    """Choose the provider by the keys that are set.

    Raises:
        InvalidSetting: a value that no request could be made with.
    """
    prefill = PrefillTable.parse(settings.prefill)
    if settings.openrouter_api_key:
        _no_background(settings, "OpenRouter keeps no answers. Unset one of them.")
        headers = {"X-OpenRouter-Title": settings.app_title}
        if settings.app_url:
            headers["HTTP-Referer"] = settings.app_url
        source = OpenAICompatible(
            base_url=OPENROUTER_URL,
            api_key=settings.openrouter_api_key,
            headers=headers,
            fallback_models=settings.fallback_models,
            prefill=prefill,
            reasoning_effort=settings.reasoning_effort,
        )
        return Provider("OpenRouter", source, _models(settings, "openrouter/auto"))
    if settings.openai_api_key or settings.openai_base_url:
        url = settings.openai_base_url or OPENAI_URL
        return Provider(url, _openai(settings, url, prefill), _models(settings, "gpt-5-mini"))
    _no_background(settings, "The demo needs none. Set OPENAI_API_KEY, or unset it.")
    demo = OfferedModel(DEMO_MODEL, "Demo (not a real model)", demo=True)
    name = "the built-in demo; set OPENROUTER_API_KEY or OPENAI_API_KEY for real answers"
    return Provider(name, Demo(settings.demo_tokens_per_second), (demo,))


def _openai(settings: Settings, url: str, prefill: PrefillTable) -> Source:
    background = BackgroundModels.parse(settings.background)
    if not background.rules:
        return OpenAICompatible(
            base_url=url,
            api_key=settings.openai_api_key,
            prefill=prefill,
            reasoning_effort=settings.reasoning_effort,
        )
    if detect_dialect(endpoint_url(url, "responses")) == "openrouter":
        _no_background(settings, "OpenRouter keeps no answers. Unset it.")
    return OpenAIResponses(
        background=background,
        base_url=url,
        api_key=settings.openai_api_key,
        prefill=prefill,
        reasoning_effort=settings.reasoning_effort,
    )


def _no_background(settings: Settings, why: str) -> None:
    if settings.background:
        raise InvalidSetting(f"DLS_BACKGROUND is for OpenAI's own models. {why}")


def _models(settings: Settings, default: str) -> tuple[OfferedModel, ...]:
    ids = dict.fromkeys((settings.model or default, *settings.models))
    return tuple(OfferedModel(id_, id_) for id_ in ids)
