"""Chat-completion streams; see `answer_parser` for the rules of every stream.

1. Only the path from a line to `choices[0].delta.content` is hot: typed, without dictionaries. The
   rest is read leniently: unknown fields and invalid values of known fields are ignored.
2. A payload that is not a JSON object is noise (`ping`, `null`, a time). The exceptions are
   `[DONE]`, an array of objects, and the content of an event named `error`.
3. An event that begins as an object and cannot be read is skipped, at most `MAX_BROKEN` times: a
   lost piece is better than a lost answer. If there is no other output, it is the failure.
4. A line that begins with `{` or `[` counts without `data:` too: one JSON answer, an error, or one
   object a line. Any other text without a single chunk is not a stream.
5. An error fails the answer, also after text; not after a firm finish reason (see `chat_end`).
6. A line that is too long (see `long_lines`) is skipped like a broken event.
"""

from __future__ import annotations

from typing import Any, Final

from typing_extensions import override

from durable_llm_streams.errors import ModelError
from durable_llm_streams.providers import failures
from durable_llm_streams.source import Event, ReasoningDelta, TextDelta

from .answer_parser import DONE, MAX_LINE, AnswerParser
from .answer_text import AnswerText
from .chat_chunk import UNREADABLE, decode_all, decode_any, decode_lines, decode_plain
from .chat_end import ChatEnd, empty
from .chat_output import ChatOutput
from .error_objects import error_in
from .finish_reasons import BREAK, finish_reason
from .unreadable import Unreadable
from .usage import usage_in

_DONE_WORDS: Final = (DONE, b'"[DONE]"', b"[done]")
_CHUNK = frozenset(("choices", "usage", "object", "id"))
_REASONS = ("finish_reason", "finishReason", "done_reason", "stop_reason")


class ChatParser(AnswerParser):
    """Reads one answer.

    Args:
        max_line: see `AnswerParser`.
        late_thoughts: whether the caller handles `LateThought`.
        begins_thinking: whether the model's text begins inside a thought, without an opening tag.
    """

    _reports_alive = True

    def __init__(
        self,
        *,
        max_line: int = MAX_LINE,
        late_thoughts: bool = False,
        begins_thinking: bool = False,
    ) -> None:
        super().__init__(max_line=max_line)
        self._words = AnswerText(late_thoughts=late_thoughts, begins_thinking=begins_thinking)
        self._output = ChatOutput(self._words)
        self._recent = self._words.recent
        self._plain = False  # a text without "<" can be emitted unchanged
        self._plain_reasoning = False  # so can reasoning
        self._ending = ChatEnd()
        self._unreadable = Unreadable()

    @property
    @override
    def has_reason(self) -> bool:
        """Whether the answer's text is complete; only the usage may be missing.

        It may become False again: a reason followed by text is void.
        """
        return bool(self._reason) or self._ending.is_broken

    @property
    def saw_late_thought(self) -> bool:
        """Whether a thought ended that had no opening tag."""
        return self._words.saw_late_thought

    @override
    def _data(self, payload: bytes, events: list[Event]) -> None:
        try:
            delta = decode_plain(payload).choices[0].delta
        except UNREADABLE:
            self._any(payload, events)
            return
        text = delta.content
        reasoning = delta.reasoning or delta.reasoning_content
        if reasoning:
            if self._plain_reasoning and not text:
                events.append(ReasoningDelta(reasoning))
                return
        elif text and self._plain:
            if "<" not in text:
                events.append(TextDelta(text))
                self._recent.append(text)
            else:
                self._words.text(text, events)
                self._plain = self._words.passes_text
                self._got_chunk = True
            return
        self._any(payload, events)

    def _any(self, payload: bytes, events: list[Event]) -> None:
        """Read an event the slow way."""
        try:
            value = decode_any(payload)
        except UNREADABLE:
            self._no_chunk(payload, events)
        else:
            self._value(value, payload, events)

    def _no_chunk(self, payload: bytes, events: list[Event]) -> None:
        """Read a payload that is not one JSON value: the end, noise, or chunks in another form."""
        word = payload.strip()
        if word in _DONE_WORDS:
            self._end_word(events)
        elif word[:1] in (b"{", b"["):
            values = decode_all(word)
            if values is None:
                self._hold(payload)
            for value in values or ():
                self._value(value, payload, events)
        elif self._pending:
            self._hold(payload)
        elif word and self._is_error:
            self._fail(failures.reported(word.decode(errors="replace")))

    def _value(self, value: Any, payload: bytes, events: list[Event]) -> None:
        if self.done:
            return
        if isinstance(value, list) and not self._pending:
            for item in value:
                if isinstance(item, dict):
                    self._object(item, payload, events)
        elif isinstance(value, dict):
            self._object(value, payload, events)
        elif self._pending:
            self._hold(payload)
        elif value == DONE.decode():
            self._end_word(events)
        elif self._is_error:
            self._fail(failures.reported(value))

    def _object(self, value: dict[str, Any], payload: bytes, events: list[Event]) -> None:
        if self.done:
            return
        self._got_chunk = True
        choice = self._output.choice(value)
        error = error_in(value, is_error=self._is_error)
        if error is None and choice is not None:
            error = choice.get("error") or None
        if choice is None and error is None and not _is_chunk(value):
            if self._pending:
                self._hold(payload)
            return
        self._saw_event = True
        choice = value if choice is None else choice
        self._about(value, choice)
        has_output = self._output.read(value, choice, events)
        if has_output and (self._reason or self._ending.loose or self._ending.is_broken):
            self._reason = ""
            self._ending.void()
        self._end_of(value, choice, events, has_output=has_output, failed=error is not None)
        if error is not None:
            self._error(error)
        self._plain = self._words.passes_text and not (self._reason or self._ending.is_near)
        self._plain_reasoning = self._words.passes_reasoning and not (
            self._reason or self._ending.is_near
        )

    def _about(self, value: dict[str, Any], choice: dict[str, Any]) -> None:
        self._id = self._id or value.get("id")
        self._model = self._model or value.get("model")
        self._usage = usage_in(value, choice) or self._usage

    def _end_of(
        self,
        value: dict[str, Any],
        choice: dict[str, Any],
        events: list[Event],
        *,
        has_output: bool,
        failed: bool,
    ) -> None:
        """Read the finish reason of an object, if it has one."""
        reason = next(filter(None, (finish_reason(choice.get(name)) for name in _REASONS)), "")
        is_whole = "delta" not in choice and isinstance(choice.get("message"), dict)
        self._unreadable.is_whole = self._unreadable.is_whole or (is_whole and choice is not value)
        firm = ""
        if reason and not (failed and reason == BREAK):
            is_early = reason == "stop" and not self._has_output
            firm = self._ending.reason(reason, is_loose=(has_output or is_early) and not is_whole)
        elif choice is value and value.get("usage"):
            firm = self._ending.usage()
        if firm:
            self._ended(firm, events)

    def _error(self, error: Any) -> None:
        failure = failures.reported(error)
        if self._reason:
            self._ending.error = failure
        self._fail(failure)

    def _ended(self, reason: str, events: list[Event]) -> None:
        """The output is complete: emit what was held back."""
        self._words.end(events)
        self._reason = reason
        if reason == "stop":
            self._words.whole(events)

    def _end_word(self, events: list[Event]) -> None:
        self._words.end(events)
        reason = self._ending.at(is_done=True, has_output=self._has_output)
        self._ended(self._reason or reason, events)
        self.done = True

    @override
    def end(self) -> list[Event]:
        events = super().end()
        if self._failure is None:
            self._words.end(events)
            reason = self._ending.at(is_done=self._unreadable.is_whole, has_output=self._has_output)
            self._ended(self._reason or reason, events)
        return events

    @property
    def _has_output(self) -> bool:
        """Whether there was any output."""
        return self._words.has_text or self._words.has_reasoning or self._output.has_file

    @override
    def _last(self, line: bytes, events: list[Event]) -> None:
        self._any_line(line, events)

    @override
    def _is_event(self, payload: bytes) -> bool:
        return decode_all(payload) is not None

    @override
    def _no_field(self, line: bytes, events: list[Event]) -> None:
        failure = None if self._saw_event else self._unreadable.add(line)
        if failure is not None:
            self._fail(failure)
        elif self._pending:
            self._hold(line)
        elif line.lstrip()[:1] in (b"{", b"["):
            self._unreadable.is_document = self._unreadable.is_document or not self._saw_event
            self._data(line, events)

    @override
    def _blank(self, events: list[Event]) -> None:
        if not (self._unreadable.is_document and self._pending):
            super()._blank(events)

    @override
    def _joined(self, payload: bytes, events: list[Event]) -> None:
        values = decode_all(payload.strip())
        if values is None and self._unreadable.is_document:
            values = decode_lines(payload)
        for value in values or ():
            self._value(value, payload, events)
        if values is None and self._is_error:
            self._fail(failures.reported(payload.decode(errors="replace")))
        is_noise = payload.lstrip()[:1] == b"["
        if (
            values is None
            and not is_noise
            and (failure := self._unreadable.broken(payload)) is not None
        ):
            self._fail(failure)

    @override
    def _too_long(self) -> None:
        self._unreadable.is_too_long = self._unreadable.is_too_long or not self.done

    @override
    def _cut_line(self, line: bytes, events: list[Event]) -> None:
        self._plain = False  # a text may be a data string that was cut
        super()._cut_line(line, events)

    @override
    def _judge(self, *, may_be_empty: bool) -> ModelError | None:
        if self._reason:
            if self._words.has_text or self._output.has_file or may_be_empty:
                return None
            failure = empty(self._reason, self._usage, thought=self._words.has_reasoning)
            return failure and (self._ending.error or self._unreadable.failure() or failure)
        if self._has_output or self._ending.is_broken:
            return failures.too_much() if self._unreadable.is_too_long else failures.cut()
        if (failure := self._unreadable.failure()) is not None:
            return failures.cut() if self._unreadable.is_document else failure
        if self._unreadable.text and not (self._saw_event and self._output.has_choice):
            return self._unreadable.not_a_stream()
        if self._saw_event and self._ending.is_done:
            return empty("stop", self._usage, thought=False)
        return failures.cut() if self._saw_event else failures.nothing()


def _is_chunk(value: dict[str, Any]) -> bool:
    return not _CHUNK.isdisjoint(value) or isinstance(value.get("message"), dict)
