"""Asking a source over real HTTP, for tests of how providers are asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from durable_llm_streams.errors import ModelError
from durable_llm_streams.providers.openai_compatible import OpenAICompatible
from durable_llm_streams.runs.source import Event, Prompt, TextDelta, Turn

SECONDS = 20.0


def prompt(*turns: Turn, model: str = "fake:tokens=3", **more: Any) -> Prompt:
    """What is asked; by default a system's text and one question."""
    asked = turns or (Turn("system", "Be brief."), Turn("user", "Count."))
    return Prompt(model=model, turns=asked, **more)


async def ask(source: OpenAICompatible, asked: Prompt | None = None) -> list[Event]:
    """All events of an answer."""
    async with asyncio.timeout(SECONDS):
        return [event async for event in source.stream(asked or prompt())]


async def fail(source: OpenAICompatible, asked: Prompt | None = None) -> ModelError:
    """The failure that an answer ends with, before its first word."""
    with pytest.raises(ModelError) as caught:
        await ask(source, asked)
    return caught.value


def text_of(events: list[Event]) -> str:
    """What was said."""
    return "".join(event.text for event in events if isinstance(event, TextDelta))


@asynccontextmanager
async def opened(**options: Any) -> AsyncIterator[OpenAICompatible]:
    """A source that is closed at the end."""
    source = OpenAICompatible(**{"usage_wait": 0.05, **options})
    try:
        yield source
    finally:
        await source.close()
