"""Thoughts that a model writes into its text between tags, such as `<think>`. No I/O.

1. A tag opens a thought if it begins the answer or a line, outside of code. Anywhere else it is
   text, because models also write about tags.
2. The thought ends at its closing tag, wherever that is. White space after tags is dropped.
3. A closing tag without an opening one makes everything before it a thought, once. The conditions:
   no tag and no reasoning came before it, and it is neither in code nor in mid-sentence.
   `LateThought` takes back what was emitted as text.
4. If a text is known to begin inside a thought, it is one until `</think>`. If that never comes and
   the answer is complete, the thought was the answer and is repeated as text.
5. A tag may be cut anywhere: only what may become one is held back.
6. A text without "<" is emitted unread. It is kept for a while, for rule 1.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Final, Literal

from durable_llm_streams.source import Event, LateThought, ReasoningDelta, TextDelta

from .code_marks import CodeMarks

#: What opens a thought and what closes it. The last two only begin an answer.
TAGS: Final = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<thoughts>": "</thoughts>",
    "<reasoning>": "</reasoning>",
    "<seed:think>": "</seed:think>",
    "<|begin_of_thought|>": "<|end_of_thought|>",
    "[think]": "[/think]",
    "\u25c1think\u25b7": "\u25c1/think\u25b7",
}
_LONGEST = max(len(tag) for pair in TAGS.items() for tag in pair)
_MARKED = [tag for pair in TAGS.items() for tag in pair if tag[0] == "<"]
_TAG = re.compile("|".join(map(re.escape, _MARKED)), re.IGNORECASE)
_REMEMBERED = 4096  # pieces of text between two that hold a "<"
_QUOTES = "`'\"\u201c\u201d\u2018\u2019\u00ab\u00bb"


class ThinkTags:
    """Separates the thoughts and the text of one answer.

    Args:
        late_thoughts: whether the caller handles `LateThought` (rule 3); if not, the tag is
            dropped.
        begins_thinking: whether the text begins inside a thought (rule 4).

    Attributes:
        recent: pieces of text that were emitted unread; the caller appends each of them.
        has_reasoning: whether reasoning came beside the text.
    """

    def __init__(self, *, late_thoughts: bool = False, begins_thinking: bool = False) -> None:
        self.recent: deque[str] = deque(maxlen=_REMEMBERED)
        self.has_reasoning = False
        self._late_thoughts = late_thoughts
        self._begins_thinking = begins_thinking
        self._presumed: list[str] = []  # a thought without an opening tag, while it is open
        self._place: Literal["begin", "text", "thought"] = "begin"
        self._closing = ""  # the tag that ends the thought
        self._is_blank = False  # the thought has no word yet
        self._held = ""
        self._saw_tag = False
        self._code = CodeMarks()

    @property
    def passes(self) -> bool:
        """Whether a text without "<" can be emitted unread."""
        return self._place == "text" and not self._held

    def read(self, text: str, events: list[Event]) -> None:
        """Read the next piece of the text."""
        text, self._held = self._held + text, ""
        while text:
            if self._place == "begin":
                text = self._begin(text)
            elif self._place == "thought":
                text = self._thought(text, events)
            else:
                text = self._text(text, events)

    def end(self, events: list[Event]) -> None:
        """The end: what was held back is text, or a thought."""
        text, self._held = self._held, ""
        if self._place == "thought":
            self._emit_reasoning(text, events)
        elif self._place == "begin":
            self._emit_text(text.lstrip() if self._saw_tag else text, events)
        elif text:
            self._look_at_code()
            if _TAG.fullmatch(text) is None or not self._closes("\n"):
                self._emit_text(text, events)

    def whole(self, events: list[Event]) -> None:
        """The answer is complete (rule 4)."""
        text, self._presumed = "".join(self._presumed), []
        if text and self._place == "thought":
            self._place = "text"
            self._emit_text(text, events)

    def _begin(self, text: str) -> str:
        """The beginning of the answer, or what follows a thought: a tag, or text."""
        bare = text.lstrip()
        beginning = bare[:_LONGEST].lower()
        for opening, closing in TAGS.items():
            if beginning.startswith(opening):
                self._open(closing)
                return bare[len(opening) :]
            if beginning.startswith(closing):
                self._saw_tag = True
                return bare[len(closing) :]
        if any(tag.startswith(beginning) for pair in TAGS.items() for tag in pair):
            self._held = text  # also where there is only white space
            return ""
        if self._begins_thinking and not (self._saw_tag or self.has_reasoning):
            self._begins_thinking = False
            self._place, self._closing, self._presumed = "thought", "</think>", [""]
            return text
        self._place = "text"
        return bare if self._saw_tag else text

    def _thought(self, text: str, events: list[Event]) -> str:
        if self._is_blank:
            text = text.lstrip()
            self._is_blank = not text
        lowered = text.lower() if len(text.lower()) == len(text) else text
        at = lowered.find(self._closing)
        while at > 0 and text[at - 1] == "`":
            at = lowered.find(self._closing, at + 1)
        end = at if at >= 0 else len(text) - _cut_tag([self._closing], lowered)
        self._emit_reasoning(text[:end], events)
        if at < 0:
            self._held = text[end:]
            return ""
        self._place, self._presumed, self._saw_tag = "begin", [], True
        return text[at + len(self._closing) :]

    def _text(self, text: str, events: list[Event]) -> str:
        tag = _TAG.search(text) if "<" in text else None
        if tag is None:
            end = len(text) - (_cut_tag(_MARKED, text.lower()) if "<" in text else 0)
            self._emit_text(text[:end], events)
            self._held = text[end:]
            return ""
        word, rest = tag[0].lower(), text[tag.end() :]
        self._emit_text(text[: tag.start()], events)
        if word not in TAGS and not rest:  # what follows it decides
            self._held = tag[0]
            return ""
        self._look_at_code()
        if word in TAGS and self._opens():
            self._open(TAGS[word])
        elif word not in TAGS and self._closes(rest):
            self._close(events)
        else:
            self._saw_tag = True
            self._emit_text(tag[0], events)
        return rest

    def _opens(self) -> bool:
        return self._code.begins_line and not self._code.is_code and not self.has_reasoning

    def _closes(self, rest: str) -> bool:
        """Whether a closing tag without an opening one is the end of a thought."""
        line = self._code.line
        if self._saw_tag or self.has_reasoning or self._code.is_code:
            return False
        before = line[-1:]
        if (before and before in _QUOTES) or rest[0] in _QUOTES:
            return False
        stands_alone = not line.strip() or rest[0] in "\r\n"
        return stands_alone or (not before.isspace() and rest[0].isalnum())

    def _open(self, closing: str) -> None:
        self._saw_tag = self._is_blank = True
        self._place, self._closing = "thought", closing

    def _close(self, events: list[Event]) -> None:
        self._saw_tag = True
        if self._late_thoughts:
            events.append(LateThought())
            self._place = "begin"

    def _emit_reasoning(self, text: str, events: list[Event]) -> None:
        if text:
            events.append(ReasoningDelta(text))
            if self._presumed:
                self._presumed.append(text)

    def _emit_text(self, text: str, events: list[Event]) -> None:
        if text:
            events.append(TextDelta(text))
            self.recent.append(text)

    def _look_at_code(self) -> None:
        self._code.follow("".join(self.recent))
        self.recent.clear()


def _cut_tag(tags: list[str], text: str) -> int:
    """How many characters at a text's end may be the beginning of one of the tags."""
    for begin in range(max(0, len(text) - _LONGEST + 1), len(text)):
        if any(tag.startswith(text[begin:]) for tag in tags):
            return len(text) - begin
    return 0
