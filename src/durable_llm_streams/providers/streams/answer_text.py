"""The text and the reasoning of one answer, as pieces that can be stored. No I/O."""

from __future__ import annotations

from durable_llm_streams.source import Event, LateThought, ReasoningDelta, TextDelta

from .characters import Characters
from .think_tags import ThinkTags


class AnswerText:
    """Joins cut characters and separates thoughts from the text.

    Args:
        late_thoughts, begins_thinking: see `ThinkTags`.

    Attributes:
        has_text: whether the answer has a text that is not blank.
        has_reasoning: whether it has reasoning.
        saw_late_thought: whether a `LateThought` was emitted.
        recent: see `ThinkTags`.
    """

    def __init__(self, *, late_thoughts: bool = False, begins_thinking: bool = False) -> None:
        self.has_text = False
        self.has_reasoning = False
        self.saw_late_thought = False
        self._text = Characters()
        self._reasoning = Characters()
        self._tags = ThinkTags(late_thoughts=late_thoughts, begins_thinking=begins_thinking)
        self.recent = self._tags.recent

    @property
    def passes_text(self) -> bool:
        """Whether a text without "<" can be emitted unchanged."""
        return self._tags.passes and not self._text.held

    @property
    def passes_reasoning(self) -> bool:
        """Whether reasoning can be emitted unchanged."""
        return self._tags.has_reasoning and not self._reasoning.held

    def text(self, piece: str, events: list[Event]) -> None:
        """Read the next piece of the text."""
        if text := self._text.join(piece):
            before = len(events)
            self._tags.read(text, events)
            self._note_events(events[before:])

    def reasoning(self, piece: str, events: list[Event]) -> None:
        """Read the next piece of the reasoning that comes beside the text."""
        self.has_reasoning = self._tags.has_reasoning = True
        if text := self._reasoning.join(piece):
            events.append(ReasoningDelta(text))

    def end(self, events: list[Event]) -> None:
        """The end: emit what was held back."""
        if rest := self._reasoning.end():
            events.append(ReasoningDelta(rest))
        before = len(events)
        if rest := self._text.end():
            self._tags.read(rest, events)
        self._tags.end(events)
        self._note_events(events[before:])

    def whole(self, events: list[Event]) -> None:
        """The answer is complete; see `ThinkTags.whole`."""
        before = len(events)
        self._tags.whole(events)
        self._note_events(events[before:])

    def _note_events(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, TextDelta):
                self.has_text = self.has_text or not event.text.isspace()
            elif isinstance(event, LateThought):
                self.has_text, self.has_reasoning, self.saw_late_thought = False, True, True
            else:
                self.has_reasoning = True
