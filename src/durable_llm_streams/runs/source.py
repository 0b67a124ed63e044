"""What a run needs of a model: the Source protocol and the events that one yields.

Sources are stateless towards the run: everything that they must know is in the `Prompt`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Literal, Protocol

from msgspec import Struct


class Turn(Struct, frozen=True):
    """One message of the conversation, as plain text."""

    role: Literal["system", "user", "assistant"]
    text: str


class Prompt(Struct, frozen=True, kw_only=True):
    """What is asked of a model.

    Attributes:
        model: the model's id, as offered.
        turns: the conversation, oldest first; the last turn is the user's.
        said: the beginning of the answer that stands already and is to be continued (the rung
            `prefill`), or "" for an answer from the start. Only for models that can.
    """

    model: str
    turns: Sequence[Turn]
    said: str = ""


class TextDelta(Struct, frozen=True, gc=False):
    """A piece of the answer."""

    text: str


class ReasoningDelta(Struct, frozen=True, gc=False):
    """A piece of the model's reasoning."""

    text: str


class Finish(Struct, frozen=True, kw_only=True):
    """The model is done. An answer without one was cut.

    Attributes:
        reason: an AI SDK finish reason: `stop`, `length`, `content-filter`, `tool-calls`, `other`.
        metadata: what is known of the answer, for the message's metadata: `model` (the one that
            answered), `usage` (inputTokens, outputTokens, totalTokens, reasoningTokens,
            cachedInputTokens), `cost` (US dollars), `generationId`.
    """

    reason: str
    metadata: Mapping[str, Any]


Event = TextDelta | ReasoningDelta | Finish


class Source(Protocol):
    """Models behind one interface."""

    def stream(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        """Produce the answer. The last event is a `Finish`.

        Closing the generator, or cancelling the task that iterates it, must end the provider's
        work at once (close the connection).

        Raises:
            ModelError: the provider failed or its answer was cut; `retryable` says whether trying
                again may help. No other error for what a provider may do.
        """
        ...

    def can_prefill(self, model: str) -> bool:
        """Whether the model continues an answer whose beginning it is given."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
