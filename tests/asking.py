"""Asking a source over real HTTP, for tests of how providers are asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from durable_llm_streams.errors import ModelError
from durable_llm_streams.providers.openai_compatible import OpenAICompatible
from durable_llm_streams.source import Event, Prompt, Source, TextDelta, Turn
from tests.fake_provider import KEY, SECRET_WORDS
from tests.waiting import within

#: What no sentence of a failure may hold.
_HIDDEN: Final = (*SECRET_WORDS.split(), KEY, "127.0.0.1")


def prompt(*turns: Turn, model: str = "fake:tokens=3", **more: Any) -> Prompt:
    """What is asked; by default a system's text and one question."""
    asked = turns or (Turn("system", "Be brief."), Turn("user", "Count."))
    return Prompt(model=model, turns=asked, **more)


async def outcome(
    source: Source, asked: Prompt | None = None
) -> tuple[list[Event], ModelError | None]:
    """All events of an answer, and the failure that it ended with, if any."""
    events: list[Event] = []
    failure = None
    try:
        async with within("the end of an answer", lambda: events):
            async for event in source.stream(asked or prompt()):
                events.append(event)  # noqa: PERF401
    except ModelError as error:
        failure = error
    shown = [word for word in _HIDDEN if failure is not None and word in str(failure)]
    assert not shown, f"a reader would see {shown} in {str(failure)!r}"
    logged = failure.detail if failure is not None else ""
    assert KEY not in logged, f"the log would hold the key: {logged!r}"
    return events, failure


async def ask(source: Source, asked: Prompt | None = None) -> list[Event]:
    """All events of an answer."""
    events, error = await outcome(source, asked)
    assert error is None, f"expected a whole answer, got {events!r} and {error!r}"
    return events


async def broken_off(source: Source, asked: Prompt | None = None) -> tuple[list[Event], ModelError]:
    """What came before the failure, and the failure."""
    events, error = await outcome(source, asked)
    assert error is not None, f"expected a failure, got {events!r}"
    return events, error


async def fail(source: Source, asked: Prompt | None = None) -> ModelError:
    """The failure that an answer ends with."""
    return (await broken_off(source, asked))[1]


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
