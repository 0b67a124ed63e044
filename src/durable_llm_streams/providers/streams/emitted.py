"""What an answer has said so far, to find what a whole piece of it holds beyond that.

Some servers send texts without their deltas, or lose the last ones: the whole text comes at the end
of a part, of an item, of the answer, or of all three. What was said already is not said again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from durable_llm_streams.source import Event, ReasoningDelta, TextDelta

Level = Literal["part", "item"]


class Told:
    """The text and the reasoning of one answer.

    Args:
        before: (kind, text) of what was said before; None if that is not known.

    Attributes:
        texts, thoughts: the pieces; whoever reads deltas appends to them.
        known: whether this is the whole answer up to now.
    """

    def __init__(self, before: Iterable[tuple[str, str]] | None = ()) -> None:
        self.known = before is not None
        pieces = list(before or ())
        self.texts = [text for kind, text in pieces if kind == "text"]
        self.thoughts = [text for kind, text in pieces if kind == "reasoning"]
        self._begin: dict[Level, int] = {"part": 0, "item": 0}

    def rest(self, text: str, level: Level) -> str:
        """What a text that ends now holds beyond its deltas; "" for nothing, or for another text.

        Args:
            text: the whole text of a part or an item.
            level: which of them it is.
        """
        said = "".join(self.texts)
        begun = said[self._begin[level] :]
        is_new = self.known and not said.endswith(text) and text.startswith(begun)
        rest = text[len(begun) :] if is_new else ""
        if rest:
            self.texts.append(rest)
        self._begin["part"] = len(said) + len(rest)
        if level == "item":
            self._begin["item"] = self._begin["part"]
        return rest

    def beyond(self, whole: Sequence[Event]) -> list[Event] | None:
        """What the whole answer holds beyond what was said.

        Reasoning that was not said, or not so, is left out where text was said after it: readers
        have passed that place.

        Args:
            whole: the answer: each text and each piece of reasoning in one piece, and the rest.

        Returns:
            The rest, in order; None if the answer is not the one that was said.
        """
        said, thought = "".join(self.texts), "".join(self.thoughts)
        text = "".join(each.text for each in whole if isinstance(each, TextDelta))
        reasoning = "".join(each.text for each in whole if isinstance(each, ReasoningDelta))
        if not self.known or not text.startswith(said):
            return None
        said_left = len(said)
        thought_left = len(thought) if reasoning.startswith(thought) else len(reasoning)
        rest: list[Event] = []
        for each in whole:
            if isinstance(each, TextDelta):
                new = each.text[said_left:]
                said_left = max(0, said_left - len(each.text))
                if new:
                    rest.append(TextDelta(new))
            elif isinstance(each, ReasoningDelta):
                new = "" if said_left else each.text[thought_left:]
                thought_left = max(0, thought_left - len(each.text))
                if new:
                    rest.append(ReasoningDelta(new))
            else:
                rest.append(each)
        return rest
