"""The text and the reasoning of one answer, as pieces that can be stored. No I/O."""

from __future__ import annotations

from durable_llm_streams.source import Event, LateThought, ReasoningDelta, TextDelta

from .characters import Characters
from .think_tags import ThinkTags


class AnswerText:
    """Joins cut characters and takes thoughts out of the text.

    Args:
        late_thoughts, begins_thinking: see `ThinkTags`.

    Attributes:
        spoke: whether the answer has a text that is not blank.
        thought: whether it has reasoning.
        was_late: whether a `LateThought` came.
        recent: see `ThinkTags`.
    """

    def __init__(self, *, late_thoughts: bool = False, begins_thinking: bool = False) -> None:
        self.spoke = False
        self.thought = False
        self.was_late = False
        self._text = Characters()
        self._reasoning = Characters()
        self._tags = ThinkTags(late_thoughts=late_thoughts, begins_thinking=begins_thinking)
        self.recent = self._tags.recent

    @property
    def passes(self) -> bool:
        """Whether a text without "<" can be passed on unchanged."""
        return self._tags.passes and not self._text.held

    @property
    def thinks(self) -> bool:
        """Whether reasoning can be passed on unchanged."""
        return self._tags.has_reasoning and not self._reasoning.held

    def text(self, piece: str, events: list[Event]) -> None:
        """Read the next piece of the text."""
        if text := self._text.join(piece):
            before = len(events)
            self._tags.read(text, events)
            self._note(events[before:])

    def reasoning(self, piece: str, events: list[Event]) -> None:
        """Read the next piece of the reasoning that comes beside the text."""
        self.thought = self._tags.has_reasoning = True
        if text := self._reasoning.join(piece):
            events.append(ReasoningDelta(text))

    def end(self, events: list[Event]) -> None:
        """Nothing more is expected: pass on what was held back."""
        if rest := self._reasoning.end():
            events.append(ReasoningDelta(rest))
        before = len(events)
        if rest := self._text.end():
            self._tags.read(rest, events)
        self._tags.end(events)
        self._note(events[before:])

    def whole(self, events: list[Event]) -> None:
        """The answer ended in order; see `ThinkTags.whole`."""
        before = len(events)
        self._tags.whole(events)
        self._note(events[before:])

    def _note(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, TextDelta):
                self.spoke = self.spoke or not event.text.isspace()
            elif isinstance(event, LateThought):
                self.spoke, self.thought, self.was_late = False, True, True
            else:
                self.thought = True
