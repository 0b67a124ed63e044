"""A model with verifiable answers: `restart-75` writes 75 numbered tokens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import Final

from durable_llm_streams.source import Event, Finish, Prompt, TextDelta

from ..tokens import token

#: What the models do with an answer that was cut: start over, or continue after the received text.
RUNGS: Final = ("restart", "prefill")


def model(rung: str, tokens: int) -> str:
    """The id of the model that writes so many tokens."""
    return f"{rung}-{tokens}"


def models(sizes: Iterable[int]) -> list[str]:
    """All models of these sizes."""
    return [model(rung, size) for rung in RUNGS for size in sizes]


def answer(name: str) -> str:
    """The text of a model's answer."""
    return "".join(token(number) for number in range(1, _tokens(name) + 1))


class RollingSource:
    """Answers at a pace.

    Args:
        rate: tokens a second.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        """See `Source.stream`."""
        loop = asyncio.get_running_loop()
        said, begun = prompt.prefill.count("~"), loop.time()
        for number in range(said + 1, _tokens(prompt.model) + 1):
            await asyncio.sleep(begun + (number - said - 1) / self._rate - loop.time())
            yield TextDelta(token(number))
        yield Finish(reason="stop", metadata={})

    def can_prefill(self, model: str) -> bool:
        """See `Source.can_prefill`."""
        return model.startswith("prefill")

    async def close(self) -> None:
        """See `Source.close`."""


def _tokens(name: str) -> int:
    return int(name.rpartition("-")[2])
