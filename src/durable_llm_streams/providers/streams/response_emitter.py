"""What one response has said so far, and what comes next of it, in whichever form it comes.

1. A text comes as deltas, as a whole at its end, or as both; see `told`.
2. Citations wait for the end of their item: they must not break a part of the message in two.
3. A file or a page is given once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from durable_llm_streams.source import Citation, Event, File, ReasoningDelta, TextDelta

from .characters import Characters
from .response_output import citations, events_of, item_events
from .told import Level, Told


class ResponseSaid:
    """Follows one response.

    Args:
        before: (kind, text) of what was said before; None if that is not known.

    Attributes:
        spoke: whether there is a text that is not blank, or a file.
        thought: whether there is reasoning.
        texts: the pieces of the text; the reader of plain deltas appends to them.
        characters: the first half of a character that was cut.
    """

    def __init__(self, before: Iterable[tuple[str, str]] | None) -> None:
        self.spoke = False
        self.thought = False
        self.characters = Characters()
        self._told = Told(before)
        self.texts = self._told.texts
        self._waiting: list[Event] = []
        self._given: set[str] = set()  # addresses

    def text(self, piece: str, events: list[Event]) -> None:
        """Read a delta of the text."""
        if text := self.characters.join(piece):
            self._say(text, events)

    def reasoning(self, piece: str, events: list[Event]) -> None:
        """Read a delta of the reasoning."""
        events.append(ReasoningDelta(piece))
        self._told.thoughts.append(piece)
        self.thought = True

    def text_done(self, text: str, level: Level, events: list[Event]) -> None:
        """Read the whole of a text whose deltas are over."""
        if text:
            self.characters.end()  # the whole text has the other half
            if rest := self._told.rest(text, level):
                self._note(rest, events)

    def item_done(self, item: Any, events: list[Event]) -> None:
        """Read an item that is whole."""
        said = item_events(item)
        text = "".join(each.text for each in said if isinstance(each, TextDelta))
        reasoning = "".join(each.text for each in said if isinstance(each, ReasoningDelta))
        if reasoning and self._told.known and not (self._told.thoughts or self._told.texts):
            self.reasoning(reasoning, events)
        self.text_done(text, "item", events)
        self._give(said, events)

    def annotation(self, annotation: Any) -> None:
        """Read a citation."""
        self._waiting += citations([annotation])

    def whole(self, output: Any, events: list[Event]) -> bool:
        """Read all items of a response that is over, and give what was not given yet.

        Returns:
            Whether it is the response that was said so far; otherwise only files and pages are
            given.
        """
        items = events_of(output)
        if items:
            self.characters.end()
        rest = self._told.beyond(items)
        for each in items if rest is None else rest:
            if isinstance(each, File | Citation):
                self._give([each], events)
            elif rest is not None and isinstance(each, TextDelta):
                self._note(each.text, events)
            elif rest is not None:
                events.append(each)
                self.thought = True
        if held := self.characters.end():
            self._say(held, events)
        self._give((), events)
        return rest is not None

    def _say(self, text: str, events: list[Event]) -> None:
        self._told.texts.append(text)
        self._note(text, events)

    def _note(self, text: str, events: list[Event]) -> None:
        events.append(TextDelta(text))
        self.spoke = self.spoke or not text.isspace()

    def _give(self, more: Iterable[Event], events: list[Event]) -> None:
        """Give the citations that wait, and more."""
        for each in (*self._waiting, *more):
            if isinstance(each, File | Citation) and each.url not in self._given:
                self._given.add(each.url)
                events.append(each)
                self.spoke = self.spoke or isinstance(each, File)
        self._waiting.clear()
