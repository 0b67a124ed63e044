"""A source that follows a script, one scene for each attempt, and remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any

from durable_llm_streams.errors import ModelError
from durable_llm_streams.source import Event, Finish, Prompt, ReasoningDelta, TextDelta

#: What a provider writes into its errors. Nobody but the operator may ever see it.
PROVIDER_TEXT = "<provider said: sk-secret>"


@dataclass(frozen=True)
class Say:
    """Say pieces of text, one after the other, so many seconds apart."""

    pieces: tuple[str, ...]
    every: float = 0.0

    def __init__(self, *pieces: str, every: float = 0.0) -> None:
        object.__setattr__(self, "pieces", pieces)
        object.__setattr__(self, "every", every)

    async def play(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        for piece in self.pieces:
            await _rest(self.every)
            yield TextDelta(piece)


@dataclass(frozen=True)
class Tell:
    """Tell a text in small pieces, from where the prompt says that it stands, up to a place."""

    text: str
    upto: int | None = None
    piece: int = 3
    every: float = 0.0

    async def play(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        assert self.text.startswith(prompt.said)
        end = len(self.text) if self.upto is None else self.upto
        for at in range(len(prompt.said), end, self.piece):
            await _rest(self.every)
            yield TextDelta(self.text[at : min(at + self.piece, end)])


@dataclass(frozen=True)
class Reason:
    """Reason so."""

    text: str

    async def play(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        yield ReasoningDelta(self.text)


@dataclass(frozen=True)
class Show:
    """Yield any event."""

    event: Event

    async def play(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        yield self.event


@dataclass(frozen=True)
class Wait:
    """Say nothing for so many seconds; for ever, unless it is said how many."""

    seconds: float | None = None

    async def play(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        if self.seconds is None:
            await asyncio.get_running_loop().create_future()
        else:
            await asyncio.sleep(self.seconds)
        return
        yield


@dataclass(frozen=True)
class Until:
    """Say nothing until the event is set, and clear it."""

    gate: asyncio.Event

    async def play(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        await self.gate.wait()
        self.gate.clear()
        return
        yield


@dataclass(frozen=True)
class Fail:
    """Fail as a provider does."""

    retryable: bool = True
    retry_after: float | None = None
    refused_rung: bool = False
    sentence: str = "The model is overloaded."
    metadata: Mapping[str, Any] = field(default_factory=dict)

    async def play(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        raise ModelError(
            self.sentence,
            retryable=self.retryable,
            retry_after=self.retry_after,
            refused_rung=self.refused_rung,
            metadata=self.metadata,
            detail=PROVIDER_TEXT,
        )
        yield


@dataclass(frozen=True)
class Bug:
    """Raise what no source should raise."""

    error: BaseException

    async def play(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        raise self.error
        yield


@dataclass(frozen=True)
class Do:
    """Call something, between two events."""

    call: Callable[[], object]

    async def play(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        self.call()
        return
        yield


@dataclass(frozen=True)
class Stubborn:
    """Ignore every cancellation until the event is set."""

    free: asyncio.Event

    async def play(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        while not self.free.is_set():
            with suppress(asyncio.CancelledError):
                await self.free.wait()
        return
        yield


@dataclass(frozen=True)
class Done:
    """Finish."""

    reason: str = "stop"
    metadata: Mapping[str, Any] = field(default_factory=dict)

    async def play(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        yield Finish(reason=self.reason, metadata=self.metadata)


Step = Say | Tell | Reason | Show | Wait | Until | Fail | Bug | Do | Stubborn | Done
Scene = Sequence[Step]


class ScriptedSource:
    """A Source that plays one scene for each attempt; a scene that ends without `Done` is cut.

    Args:
        scenes: what the attempts do, in their order. The last one is played again if need be.
        can_prefill: whether it says that it continues.
        by_prompt: chooses the scene instead, when several runs play at once.
        when_ended: what to raise instead, when the generator is cancelled or closed early.

    Attributes:
        prompts: what was asked, in order.
        open: how many generators are open now.
    """

    def __init__(
        self,
        *scenes: Scene,
        can_prefill: bool = False,
        by_prompt: Callable[[Prompt], Scene] | None = None,
        when_ended: Exception | None = None,
    ) -> None:
        self._scenes = scenes
        self._can_prefill = can_prefill
        self._by_prompt = by_prompt
        self._when_ended = when_ended
        self.prompts: list[Prompt] = []
        self.open = 0

    def can_prefill(self, model: str) -> bool:
        """Whether it was said so."""
        return self._can_prefill

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        """Play the next scene."""
        if self._by_prompt is not None:
            scene = self._by_prompt(prompt)
        else:
            scene = self._scenes[min(len(self.prompts), len(self._scenes) - 1)]
        self.prompts.append(prompt)
        self.open += 1
        try:
            for step in scene:
                async with aclosing(step.play(prompt)) as events:
                    async for event in events:
                        yield event
        except (asyncio.CancelledError, GeneratorExit):
            if self._when_ended is not None:
                raise self._when_ended from None
            raise
        finally:
            self.open -= 1

    async def close(self) -> None:
        """Nothing to let go of."""


class ContinuingScriptedSource(ScriptedSource):
    """The same for models that can be asked in words to go on."""

    def can_continue(self, model: str) -> bool:
        """Always."""
        return True


async def _rest(seconds: float) -> None:
    if seconds:
        await asyncio.sleep(seconds)
