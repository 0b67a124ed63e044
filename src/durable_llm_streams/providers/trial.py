"""Asks a provider one short question, for `dls doctor`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from durable_llm_streams.source import Prompt, ReasoningDelta, TextDelta, Turn

from .openai_compatible import OpenAICompatible
from .requests.connection import held
from .streams.chat_sse import ChatParser

_QUESTION: Final = Turn("user", "Count from one to ten, in words.")
_ENOUGH: Final = 30  # pieces: enough to see that it streams; more would only cost money


class Answered(NamedTuple):
    """How the question was answered.

    Attributes:
        model: the model that was asked.
        pieces: the number of pieces in which the answer came.
        media_type: the response's media type.
        changes: what was learned from the provider's refusals, in words.
    """

    model: str
    pieces: int
    media_type: str
    changes: Sequence[str]


class Trial(OpenAICompatible):
    """Asks exactly as the server does."""

    async def ask(self, model: str) -> Answered:
        """Ask one short question.

        Args:
            model: the model's id.

        Raises:
            ModelError: there is no answer; the sentence says why.
        """
        with self._redacted():
            prompt = await self._named(Prompt(model=model, turns=[_QUESTION]))
            dialect = self._lessons.dialect(prompt.model)
            while (response := await self._asked(prompt, dialect, None)) is None:
                dialect = self._lessons.dialect(prompt.model)
            with held(response):
                parser = ChatParser(begins_thinking=dialect.begins_thinking)
                pieces = 0
                while not parser.done and pieces < _ENOUGH:
                    for event in await self._read(response, parser):
                        pieces += isinstance(event, TextDelta | ReasoningDelta)
                if parser.done:
                    parser.finish()
            changes = self._lessons.changes(prompt.model)
            return Answered(prompt.model, pieces, response.content_type, changes)
