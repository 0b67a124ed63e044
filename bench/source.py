"""A `Source` that costs little: what is measured is what comes after it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from durable_llm_streams.source import Event, Finish, Prompt, TextDelta

from .tokens import PLAIN, TIMED, Wheel, token

SILENT: Final = "silent"
#: The length of an answer that is caught up with.
LONG: Final = 20_000
#: That many tokens at once; then the end, or nothing more.
ENDED: Final = "ended"
HELD: Final = "held"
#: One token at once, then the end.
BRIEF: Final = "brief"

MODELS: Final = (PLAIN, TIMED, SILENT, ENDED, HELD, BRIEF)


class BenchSource:
    """Tokens at a rate, none at all, or many at once: the model says which.

    Args:
        rate: tokens per second for each run.
    """

    def __init__(self, rate: float) -> None:
        self._wheel = Wheel(rate)

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        """See `Source.stream`."""
        if prompt.model in (PLAIN, TIMED):
            feed = _Feed(asyncio.get_running_loop(), timed=prompt.model == TIMED)
            leave = self._wheel.join(feed.tick)
            try:
                while True:
                    for text in await feed.take():
                        yield TextDelta(text)
            finally:
                leave()
        if prompt.model != SILENT:
            for number in range(1, 2 if prompt.model == BRIEF else LONG + 1):
                yield TextDelta(token(number))
                if number % 100 == 0:
                    await asyncio.sleep(0)  # as reading from a socket would
        if prompt.model in (ENDED, BRIEF):
            yield Finish(reason="stop", metadata={})
        await asyncio.Event().wait()

    def can_prefill(self, model: str) -> bool:
        """See `Source.can_prefill`."""
        return False

    async def close(self) -> None:
        """See `Source.close`."""


class _Feed:
    """One run's tokens, on their way from the wheel to the generator."""

    __slots__ = ("_loop", "_made", "_number", "_timed", "_waiter")

    def __init__(self, loop: asyncio.AbstractEventLoop, *, timed: bool) -> None:
        self._loop = loop
        self._timed = timed
        self._number = 0
        self._made: list[str] = []
        self._waiter: asyncio.Future[None] | None = None

    def tick(self, micros: int) -> None:
        self._number += 1
        self._made.append(token(self._number, micros if self._timed else None))
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    async def take(self) -> list[str]:
        if not self._made:
            self._waiter = self._loop.create_future()
            await self._waiter
        made, self._made = self._made, []
        return made
