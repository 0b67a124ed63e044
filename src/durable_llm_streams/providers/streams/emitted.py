"""The text that an answer has emitted so far, to find what a complete text adds to it.

Some servers send a text without its deltas, or lose the last deltas. The complete text then comes
at the end of a part, an item, the answer, or all three. Nothing is emitted twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from durable_llm_streams.source import Event, ReasoningDelta, TextDelta

Level = Literal["part", "item"]


class Emitted:
    """The text and the reasoning of one answer.

    Args:
        before: (kind, text) of what was emitted before; None if that is not known.

    Attributes:
        texts, thoughts: the pieces; the reader of deltas appends to them.
        known: whether this is the whole answer up to now.
    """

    def __init__(self, before: Iterable[tuple[str, str]] | None = ()) -> None:
        self.known = before is not None
        pieces = list(before or ())
        self.texts = [text for kind, text in pieces if kind == "text"]
        self.thoughts = [text for kind, text in pieces if kind == "reasoning"]
        self._begin: dict[Level, int] = {"part": 0, "item": 0}

    def rest(self, text: str, level: Level) -> str:
        """What a complete text adds to its deltas; "" for nothing, or for a different text.

        Args:
            text: the whole text of a part or an item.
            level: which of them it is.
        """
        emitted = "".join(self.texts)
        begun = emitted[self._begin[level] :]
        is_new = self.known and not emitted.endswith(text) and text.startswith(begun)
        rest = text[len(begun) :] if is_new else ""
        if rest:
            self.texts.append(rest)
        self._begin["part"] = len(emitted) + len(rest)
        if level == "item":
            self._begin["item"] = self._begin["part"]
        return rest

    def beyond(self, whole: Sequence[Event]) -> list[Event] | None:
        """What the whole answer adds to what was emitted.

        Reasoning that was not emitted, or differs, is left out if text was emitted after it:
        readers have passed that place.

        Args:
            whole: the answer: complete texts, complete reasoning, files and citations.

        Returns:
            The rest, in order; None if the answer differs from what was emitted.
        """
        emitted, thought = "".join(self.texts), "".join(self.thoughts)
        text = "".join(each.text for each in whole if isinstance(each, TextDelta))
        reasoning = "".join(each.text for each in whole if isinstance(each, ReasoningDelta))
        if not self.known or not text.startswith(emitted):
            return None
        text_left = len(emitted)
        thought_left = len(thought) if reasoning.startswith(thought) else len(reasoning)
        rest: list[Event] = []
        for each in whole:
            if isinstance(each, TextDelta):
                new = each.text[text_left:]
                text_left = max(0, text_left - len(each.text))
                if new:
                    rest.append(TextDelta(new))
            elif isinstance(each, ReasoningDelta):
                new = "" if text_left else each.text[thought_left:]
                thought_left = max(0, thought_left - len(each.text))
                if new:
                    rest.append(ReasoningDelta(new))
            else:
                rest.append(each)
        return rest
