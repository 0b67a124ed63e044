"""A `Source` whose text and pace are set by the question."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from itertools import islice
from typing import Final, Literal

import msgspec
from msgspec import Struct

from durable_llm_streams.source import Event, Finish, Prompt, TextDelta

from .content import MARK, pieces, stamp

#: The question that resumes every paused answer.
GO: Final = "go"
MODEL: Final = "bench"

_AT_ONCE = 100


class Script(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A question: what to answer.

    Attributes:
        kind: one of `content.KINDS`.
        ready: tokens that are sent at once.
        more: tokens that are sent afterwards.
        rate: how many of these per second.
        held: whether the rest, be it only the end, waits for `GO`.
    """

    kind: Literal["prose", "list", "code", "mixed"]
    ready: int = 0
    more: int = 0
    rate: float = 100.0
    held: bool = False

    @property
    def text(self) -> str:
        """The script as a question's text."""
        return msgspec.json.encode(self).decode()


class ScriptedSource:
    """Answers as the last question's `Script` describes."""

    def __init__(self) -> None:
        self._go = asyncio.Event()

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        """See `Source.stream`."""
        question = prompt.turns[-1].text
        if question == GO:
            self._go.set()
            yield TextDelta(GO)
        else:
            script = msgspec.json.decode(question, type=Script)
            async for text in self._say(script):
                yield TextDelta(text)
        yield Finish(reason="stop", metadata={})

    async def _say(self, script: Script) -> AsyncGenerator[str, None]:
        number = 0
        begun = 0.0
        if script.held:
            self._go.clear()
        for at, piece in enumerate(islice(pieces(script.kind), script.ready + script.more)):
            if at == script.ready:
                if script.held:
                    await self._go.wait()
                begun = time.monotonic()
            if at >= script.ready:
                due = begun + (at - script.ready) / script.rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))
            elif at % _AT_ONCE == 0:
                await asyncio.sleep(0)  # as reading from a socket would
            if MARK in piece:
                number += 1
                yield piece.replace(MARK, stamp(number, int(time.time() * 1000)))
            else:
                yield piece
        if script.held and not script.more:
            await self._go.wait()

    def can_prefill(self, model: str) -> bool:
        """See `Source.can_prefill`."""
        return False

    async def close(self) -> None:
        """See `Source.close`."""
