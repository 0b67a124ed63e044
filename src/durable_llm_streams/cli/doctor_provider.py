"""The part of `dls doctor` about the model provider: it asks one short question."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final

from durable_llm_streams.errors import InvalidSetting, ModelError
from durable_llm_streams.providers.jobs.background import BackgroundModels
from durable_llm_streams.providers.trial import Answered, Trial
from durable_llm_streams.stores.finding import Finding

from .provider import endpoint, offered
from .settings import Settings

SECONDS: Final = 15.0

DEMO: Final = Finding(
    "note",
    "No model provider is set, so the built-in demo answers. "
    "Set OPENROUTER_API_KEY, OPENAI_API_KEY or OPENAI_BASE_URL for real answers.",
)


async def examine_provider(settings: Settings) -> list[Finding]:
    """Ask the configured provider, for at most 15 seconds.

    Args:
        settings: the provider and the model.

    Returns:
        The findings; after a `fatal` one, no answer can come from this provider.
    """
    try:
        found = endpoint(settings)
        if found is None:
            return [DEMO]
        BackgroundModels.parse(settings.background)
        trial = Trial(**found.options)
    except InvalidSetting as error:
        return [Finding("fatal", str(error))]
    try:
        model = offered(settings, trial)[0].id
        async with asyncio.timeout(SECONDS):
            answered = await trial.ask(model)
    except ModelError as error:
        detail = f" The provider's error: {error.detail}" if error.detail else ""
        return [Finding("fatal", f"{found.name}: {error}{detail}")]
    except TimeoutError:
        text = f"{found.name} gave no answer within {SECONDS:g} seconds."
        return [Finding("fatal", f"{text} Check its address, or choose a model that is faster.")]
    finally:
        await trial.close()
    return list(_findings(found.name, model, answered, settings))


def _findings(name: str, model: str, answered: Answered, settings: Settings) -> Iterator[Finding]:
    yield Finding("note", f"{name} answers with the model {answered.model}.")
    if answered.model != model:
        yield Finding(
            "note", "No DLS_MODEL is set, so the server's first model was asked. Set it to be sure."
        )
    for change in answered.changes:
        yield Finding("note", f"The provider wants to be asked {change}. That is done by itself.")
    if settings.provider_stream == "off" or "without streaming" in answered.changes:
        yield Finding(
            "note", "Answers come whole, at their end: they are not asked for as streams."
        )
    elif answered.media_type != "text/event-stream" and answered.pieces <= 1:
        yield Finding(
            "note",
            f"The provider did not stream ({answered.media_type}): its answers come whole, at "
            "their end.",
        )
    elif answered.pieces <= 1:
        yield Finding(
            "note",
            "The answer came in one piece. If it always does, something on the way holds the "
            "stream back, such as a proxy that buffers.",
        )
