"""A source that follows a script, one scene for each attempt, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any

from durable_llm_streams.errors import ModelError
from durable_llm_streams.source import Event, Finish, Prompt, ReasoningDelta, TextDelta

#: What a provider writes into its errors. Only the operator may see it.
PROVIDER_TEXT = "<provider said: sk-secret>"


class Do:
    """Call something between two events; await what it returns, if that can be awaited."""

    def __init__(self, call: Callable[[], object]) -> None:
        self.call = call

    async def play(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        result = self.call()
        if inspect.isawaitable(result):
            await result
        return
        yield


class Say(Do):
    """Say pieces of text, one after the other, so many seconds apart."""

    def __init__(self, *pieces: str, every: float = 0.0) -> None:
        self.pieces, self.every = pieces, every

    async def play(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        for piece in self.pieces:
            if self.every:
                await asyncio.sleep(self.every)
            yield TextDelta(piece)


class Tell(Do):
    """Stream a text in small pieces, from the prompt's place up to another."""

    def __init__(
        self, text: str, upto: int | None = None, piece: int = 3, every: float = 0.0
    ) -> None:
        self.text, self.piece, self.every = text[:upto], piece, every

    async def play(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        begin, piece = len(prompt.prefill), self.piece
        assert self.text[:begin] == prompt.prefill, f"asked to go on from {prompt.prefill!r}"
        pieces = [self.text[at : at + piece] for at in range(begin, len(self.text), piece)]
        async for event in Say(*pieces, every=self.every).play(prompt):
            yield event


class Show(Do):
    """Yield any event."""

    def __init__(self, event: Event) -> None:
        self.event = event

    async def play(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        yield self.event


class Reason(Show):
    """Reason so."""

    def __init__(self, text: str) -> None:
        super().__init__(ReasoningDelta(text))


class Done(Show):
    """Finish."""

    def __init__(self, reason: str = "stop", metadata: Mapping[str, Any] | None = None) -> None:
        super().__init__(Finish(reason=reason, metadata=metadata or {}))


class Wait(Do):
    """Stay silent for so many seconds; default: for ever."""

    def __init__(self, seconds: float | None = None) -> None:
        if seconds is None:
            super().__init__(lambda: asyncio.get_running_loop().create_future())
        else:
            super().__init__(lambda: asyncio.sleep(seconds))


class Until(Do):
    """Say nothing until the event is set, and clear it."""

    def __init__(self, gate: asyncio.Event) -> None:
        async def passed() -> None:
            await gate.wait()
            gate.clear()

        super().__init__(passed)


class Bug(Do):
    """Raise what no source should raise."""

    def __init__(self, error: BaseException) -> None:
        def fail() -> None:
            raise error

        super().__init__(fail)


class Fail(Do):
    """Fail as a provider does. Takes what `ModelError` takes."""

    def __init__(
        self, sentence: str = "The model is overloaded.", *, retryable: bool = True, **more: Any
    ) -> None:
        def fail() -> None:
            raise ModelError(sentence, retryable=retryable, detail=PROVIDER_TEXT, **more)

        super().__init__(fail)


class Stubborn(Do):
    """Ignore every cancellation until the event is set."""

    def __init__(self, free: asyncio.Event) -> None:
        async def stay() -> None:
            while not free.is_set():
                with suppress(asyncio.CancelledError):
                    await free.wait()

        super().__init__(stay)


Scene = Sequence[Do]


class ScriptedSource:
    """A Source that plays one scene for each attempt; a scene that ends without `Done` is cut.

    Args:
        scenes: what the attempts do, in their order. The last one is played again if need be.
        can_prefill: whether it declares that it continues.
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
        self._by_prompt = by_prompt or (
            lambda _: scenes[min(len(self.prompts), len(scenes)) - 1]  # it is counted already
        )
        self._can_prefill = can_prefill
        self._when_ended = when_ended
        self.prompts: list[Prompt] = []
        self.open = 0

    def can_prefill(self, model: str) -> bool:
        return self._can_prefill

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        """Play the next scene."""
        self.prompts.append(prompt)
        self.open += 1
        try:
            for step in self._by_prompt(prompt):
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
        """Nothing to close."""


class ContinuingScriptedSource(ScriptedSource):
    """The same for models that can be asked in words to continue."""

    def can_continue(self, model: str) -> bool:
        return True
