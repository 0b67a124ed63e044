"""Emits the content of one response once, in whichever form the provider sends it.

1. A text comes as deltas, complete at its end, or as both; see `emitted`.
2. Citations wait for the end of their item: they must not break a part of the message in two.
3. A file or a page is emitted once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from durable_llm_streams.source import Citation, Event, File, ReasoningDelta, TextDelta

from .characters import Characters
from .emitted import Emitted, Level
from .response_output import citations, events_of, item_events


class ResponseEmitter:
    """Follows one response.

    Args:
        before: (kind, text) of what was emitted before; None if that is not known.

    Attributes:
        has_output: whether a text that is not blank, or a file, was emitted.
        has_reasoning: whether reasoning was emitted.
        texts: the pieces of the text; the reader of plain deltas appends to them.
        characters: the first half of a character that was cut.
    """

    def __init__(self, before: Iterable[tuple[str, str]] | None) -> None:
        self.has_output = False
        self.has_reasoning = False
        self.characters = Characters()
        self._emitted = Emitted(before)
        self.texts = self._emitted.texts
        self._held_back: list[Event] = []
        self._emitted_urls: set[str] = set()  # addresses

    def text(self, piece: str, events: list[Event]) -> None:
        """Read a delta of the text."""
        if text := self.characters.join(piece):
            self._emit_text(text, events)

    def reasoning(self, piece: str, events: list[Event]) -> None:
        """Read a delta of the reasoning."""
        events.append(ReasoningDelta(piece))
        self._emitted.thoughts.append(piece)
        self.has_reasoning = True

    def text_done(self, text: str, level: Level, events: list[Event]) -> None:
        """Read the complete text after its last delta."""
        if text:
            self.characters.end()  # the whole text has the other half
            if rest := self._emitted.rest(text, level):
                self._append_text(rest, events)

    def item_done(self, item: Any, events: list[Event]) -> None:
        """Read a complete item."""
        found = item_events(item)
        text = "".join(each.text for each in found if isinstance(each, TextDelta))
        reasoning = "".join(each.text for each in found if isinstance(each, ReasoningDelta))
        if (
            reasoning
            and self._emitted.known
            and not (self._emitted.thoughts or self._emitted.texts)
        ):
            self.reasoning(reasoning, events)
        self.text_done(text, "item", events)
        self._emit_parts(found, events)

    def annotation(self, annotation: Any) -> None:
        """Read a citation."""
        self._held_back += citations([annotation])

    def whole(self, output: Any, events: list[Event]) -> bool:
        """Read all items of a complete response, and emit what was not emitted yet.

        Returns:
            Whether it continues what was emitted; if not, only files and pages are emitted.
        """
        items = events_of(output)
        if items:
            self.characters.end()
        rest = self._emitted.beyond(items)
        for each in items if rest is None else rest:
            if isinstance(each, File | Citation):
                self._emit_parts([each], events)
            elif rest is not None and isinstance(each, TextDelta):
                self._append_text(each.text, events)
            elif rest is not None:
                events.append(each)
                self.has_reasoning = True
        if held := self.characters.end():
            self._emit_text(held, events)
        self._emit_parts((), events)
        return rest is not None

    def _emit_text(self, text: str, events: list[Event]) -> None:
        self._emitted.texts.append(text)
        self._append_text(text, events)

    def _append_text(self, text: str, events: list[Event]) -> None:
        events.append(TextDelta(text))
        self.has_output = self.has_output or not text.isspace()

    def _emit_parts(self, more: Iterable[Event], events: list[Event]) -> None:
        """Emit the citations that were held back, and more."""
        for each in (*self._held_back, *more):
            if isinstance(each, File | Citation) and each.url not in self._emitted_urls:
                self._emitted_urls.add(each.url)
                events.append(each)
                self.has_output = self.has_output or isinstance(each, File)
        self._held_back.clear()
