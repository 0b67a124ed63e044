"""`dls capture`: asks the configured provider one question and writes its raw answer to a file."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from durable_llm_streams.errors import InvalidRequest, InvalidSetting, ModelError
from durable_llm_streams.providers.openai_compatible import OpenAICompatible
from durable_llm_streams.providers.requests.listing import AUTO
from durable_llm_streams.redaction import secrets_of
from durable_llm_streams.source import (
    Citation,
    File,
    Finish,
    LateThought,
    Prompt,
    ReasoningDelta,
    TextDelta,
    Turn,
)

from .captured_case import Masker, case
from .provider import endpoint, provider
from .recording import Exchange, Recorder
from .settings import Settings, load, names

#: The settings that a case must record, because they change the request or the answer.
_KEPT: Final = ("max_tokens", "temperature", "reasoning_effort", "provider_stream", "background")


def capture(console: Console, path: Path, question: str) -> None:
    """Ask one question and write the raw answer.

    Args:
        console: where the summary goes.
        path: of the file, which must not exist yet.
        question: the question.

    Raises:
        InvalidSetting: no provider is set.
        InvalidRequest: the file exists already, or cannot be written.
        ModelError: the provider cannot be reached, so there is nothing to write.
    """
    settings = load()
    if path.exists():
        raise InvalidRequest(f"{path} exists already. Name another file.")
    if not path.absolute().parent.is_dir():
        raise InvalidRequest(f"{path} cannot be written: its folder does not exist.")
    source, model = _source(settings)
    exchanges, expect = asyncio.run(_record(settings, source, model, question))
    if not any(each.status or each.end for each in exchanges):
        raise ModelError(expect["sentence"])
    environment = dict(_environment(settings, model))
    if expect.get("status") == "failed":
        environment["DLS_ATTEMPTS"] = "1"  # the answer is the same each time
    mask = Masker(_secrets(settings))
    text = case(exchanges, question=question, settings=environment, expect=expect, mask=mask)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be written: {error.strerror}.") from None
    size = sum(len(read.data) for each in exchanges for read in each.reads)
    console.print(
        f"{path}: {len(exchanges)} requests, {size} bytes. Result: "
        f"{expect.get('sentence') or 'an answer.'}\n"
        "It holds the question and the answer: read it before you send it to anyone.",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


async def _record(
    settings: Settings, source: OpenAICompatible, model: str, question: str
) -> tuple[list[Exchange], dict[str, Any]]:
    """All requests and responses, and the product's result."""
    recorder = Recorder(settings.first_token_timeout)
    recorder.listen_to(source)
    turns = [Turn("system", settings.system_prompt)] if settings.system_prompt else []
    prompt = Prompt(model=model, turns=[*turns, Turn("user", question)])
    try:
        expect = await _expect(source, prompt)
    finally:
        await source.close()
    exchanges = recorder.exchanges
    # A server whose models cannot be listed is asked for them at its start, and with the question.
    twice = model == AUTO and all(each.method == "GET" for each in exchanges)
    expect["requests"] = len(exchanges) * (2 if twice else 1)
    return exchanges, expect


def _source(settings: Settings) -> tuple[OpenAICompatible, str]:
    """The same source as the server's, and the model."""
    chosen = provider(settings)
    if not isinstance(chosen.source, OpenAICompatible):
        raise InvalidSetting(
            "No model provider is set, so there is nothing to capture. "
            "Set OPENROUTER_API_KEY, OPENAI_API_KEY or OPENAI_BASE_URL."
        )
    return chosen.source, chosen.models[0].id


async def _expect(source: OpenAICompatible, prompt: Prompt) -> dict[str, Any]:
    """The product's result for the answer, by the names of `[expect]`."""
    text, reasoning = "", ""
    files: list[str] = []
    sources: list[Any] = []
    end: dict[str, Any] = {}
    try:
        async for event in source.stream(prompt):
            if isinstance(event, TextDelta):
                text += event.text
            elif isinstance(event, ReasoningDelta):
                reasoning += event.text
            elif isinstance(event, LateThought):
                text, reasoning = "", text
            elif isinstance(event, File):
                files.append(event.media_type)
            elif isinstance(event, Citation):
                sources.append([event.url, event.title])
            elif isinstance(event, Finish):
                end = {"finish": event.reason}
    except ModelError as error:
        end = {"status": "failed", "sentence": str(error)}
        if error.meaning:
            end["meaning"] = error.meaning
    found = {"reasoning": reasoning, "files": files, "sources": sources}
    return {"text": text, **{name: value for name, value in found.items() if value}, **end}


def _environment(settings: Settings, model: str) -> Iterator[tuple[str, str]]:
    yield "DLS_MODEL", "" if model == AUTO else model
    for field in _KEPT:
        value = getattr(settings, field)
        if value and field in settings.model_fields_set:
            yield names(field)[0], str(value)


def _secrets(settings: Settings) -> Iterator[str]:
    """The secrets: keys, values of headers, passwords in addresses."""
    found = endpoint(settings)
    assert found is not None
    options = found.options
    for value in (options["api_key"], *options["headers"].values()):
        if value:
            yield from (value, value.rpartition(" ")[2])
    for address in (options["base_url"], options["proxy"]):
        yield from secrets_of(address or "")
    yield from (value for value in (settings.openai_api_key, settings.openrouter_api_key) if value)
