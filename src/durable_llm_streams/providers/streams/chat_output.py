"""The output in a chat-completion object: a chunk, or a complete answer.

1. A chunk has `delta`, a whole answer `message`, a text completion `text`. Of several choices only
   one is read. Ollama's own objects have `message` without choices.
2. Reasoning comes before text, text before files, and pages last.
3. A `message` beside deltas, or after them, repeats their text; only its files and pages count.
4. Tool calls, log-probabilities and all other fields are ignored.
"""

from __future__ import annotations

import re
from typing import Any

from durable_llm_streams.source import Event

from .answer_text import AnswerText
from .chat_chunk import MAX_PLAIN
from .long_lines import CUT
from .other_parts import OtherParts, is_file

_URL = r"data:[a-z]+/[^)\s]{200,}+"
_PICTURE = re.compile(rf"!\[[^\]\n]{{0,200}}\]\(({_URL})(?:\)|\Z)|\A\s*({_URL})\s*\Z")
_REASONINGS = ("reasoning", "reasoning_content", "thinking")
_SOUND = "\n\n[The model sent sound. It cannot be kept here.]\n\n"


class ChatOutput:
    """Reads the objects of one answer.

    Args:
        words: reads the text and the reasoning.

    Attributes:
        has_file: whether the answer has a file, or a sentence about one.
        has_choice: whether there was any choice, with output or without.
    """

    def __init__(self, words: AnswerText) -> None:
        self.words = words
        self.has_file = False
        self.has_choice = False
        self._index: Any = None
        self._parts = OtherParts()
        self._has_sound = False
        self._has_deltas = False

    def choice(self, value: dict[str, Any]) -> dict[str, Any] | None:
        """The choice of an object that belongs to the answer; None if there is none.

        If several answers are streamed, it is the one that began first.
        """
        choices = value.get("choices")
        for item in choices if isinstance(choices, list) else ():
            if isinstance(item, dict):
                index = item.get("index") or 0
                self._index = index if self._index is None else self._index
                if index == self._index:
                    self.has_choice = True
                    return item
        return None

    def read(self, value: dict[str, Any], choice: dict[str, Any], events: list[Event]) -> bool:
        """Read one object.

        Args:
            value: the object.
            choice: its first choice, or the object itself.
            events: where the output goes; some of it may be held back.

        Returns:
            Whether there is any output.
        """
        delta, message = choice.get("delta"), choice.get("message")
        has_output = isinstance(delta, dict) and self._turn(delta, events)
        self._has_deltas = self._has_deltas or has_output
        if isinstance(message, dict):
            repeats = isinstance(delta, dict) or (self._has_deltas and choice is not value)
            turn = None if repeats else message
            has_output = self._turn(turn or _without_words(message), events) or has_output
        if not has_output:
            has_output = self._content(choice.get("text"), events)
        for about in (choice, value):
            self._parts.citations(about.get("citations"), events)
            self._parts.citations(about.get("search_results"), events)
        return has_output

    def _turn(self, turn: dict[str, Any], events: list[Event]) -> bool:
        has_output = self._reasoning(turn, events)
        has_output = self._content(turn.get("content"), events) or has_output
        has_output = self._content(turn.get("refusal"), events) or has_output
        has_output = self._files(turn.get("images"), events) or has_output
        has_output = self._audio(turn.get("audio"), events) or has_output
        for name in ("annotations", "citations"):
            self._parts.citations(turn.get(name), events)
        return has_output

    def _reasoning(self, turn: dict[str, Any], events: list[Event]) -> bool:
        for name in _REASONINGS:
            reasoning = turn.get(name)
            if isinstance(reasoning, str) and reasoning:
                self.words.reasoning(reasoning, events)
                return True
        details = turn.get("reasoning_details")
        has_output = False
        for detail in details if isinstance(details, list) else ():
            if isinstance(detail, dict):
                text = detail.get("text") or detail.get("summary")
                has_output = self._thinking(text, events) or has_output
        return has_output

    def _thinking(self, thinking: Any, events: list[Event]) -> bool:
        """Thinking that is a text, or made of texts (Mistral)."""
        if isinstance(thinking, list):
            texts = [piece.get("text") for piece in thinking if isinstance(piece, dict)]
            thinking = "".join(piece for piece in texts if isinstance(piece, str))
        if not isinstance(thinking, str) or not thinking:
            return False
        self.words.reasoning(thinking, events)
        return True

    def _content(self, content: Any, events: list[Event]) -> bool:
        if isinstance(content, str):
            return self._string(content, events)
        has_output = False
        parts = [content] if isinstance(content, dict) else content
        for part in parts if isinstance(parts, list) else ():
            has_output = self._part(part, events) or has_output
        return has_output

    def _string(self, content: str, events: list[Event]) -> bool:
        """A text, and the pictures that some gateways write into it as Markdown."""
        has_output, at = False, 0
        if CUT in content and "data:" not in content:
            return self._files([{"data": content}], events)
        for found in _PICTURE.finditer(content) if len(content) > MAX_PLAIN else ():
            has_output = self._words(content[at : found.start()], events) or has_output
            has_output = self._files([found[1] or found[2]], events) or has_output
            at = found.end()
        return self._words(content[at:], events) or has_output

    def _words(self, text: str, events: list[Event]) -> bool:
        if text:
            self.words.text(text, events)
        return bool(text) and not text.isspace()

    def _part(self, part: Any, events: list[Event]) -> bool:
        if isinstance(part, str):
            return self._content(part, events)
        if not isinstance(part, dict):
            return False
        self._parts.citations(part.get("annotations"), events)
        has_output = self._thinking(part.get("thinking"), events)
        text = part.get("text")
        if isinstance(text, str) and text:
            return self._content(text, events)
        return has_output or self._files([part], events)

    def _files(self, parts: Any, events: list[Event]) -> bool:
        before = len(events)
        if parts:
            self._parts.files(parts, events)
        has_output = len(events) > before
        self.has_file = self.has_file or has_output
        return has_output

    def _audio(self, audio: Any, events: list[Event]) -> bool:
        """A transcript is text. The sound itself may come in pieces, which make no file."""
        if not isinstance(audio, dict):
            return False
        if self._content(audio.get("transcript"), events):
            return True
        if not audio.get("data") or self._has_sound:
            return False
        self._has_sound = True
        return self._content(_SOUND, events)


def _without_words(turn: dict[str, Any]) -> dict[str, Any]:
    content = turn.get("content")
    parts = [part for part in content if is_file(part)] if isinstance(content, list) else None
    return {name: turn.get(name) for name in ("images", "annotations", "citations")} | {
        "content": parts
    }
