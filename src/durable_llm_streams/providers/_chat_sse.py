r"""Chat-completion streams: bytes in, events out. No I/O.

1. Lines end at b"\n" and nowhere else: U+2028, U+0085 and a UTF-8 character cut between two reads
   are ordinary bytes here. A b"\r" before the line feed is white space to the JSON decoder.
2. One `data` line is one event (no server of this kind spreads JSON over several). Comments and
   other fields are dropped. `[DONE]` counts only as a whole line.
3. However the bytes are split, the events are the same: `feed` never raises, so that what came
   before a broken line is delivered first. The failure waits in `done` and comes out of `finish`.
4. An end without a finish reason is a cut. After a finish reason nothing can fail any more: what
   follows (usage) is welcome and not needed.
5. Only the path from a line to `choices[0].delta.content` is hot: typed, without dictionaries.
"""

from __future__ import annotations

from typing import Any, Final

from durable_llm_streams.errors import ModelError
from durable_llm_streams.providers import _failures
from durable_llm_streams.providers._chat_chunk import (
    UNREADABLE,
    Choice,
    Chunk,
    Delta,
    decode,
    decode_slowly,
    parts,
)
from durable_llm_streams.providers._usage import answer_metadata
from durable_llm_streams.runs.source import Event, Finish, ReasoningDelta, TextDelta

MAX_LINE: Final = 8 * 1024 * 1024

_BOM = b"\xef\xbb\xbf"
_REASONS = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content-filter",
    "tool_calls": "tool-calls",
    "function_call": "tool-calls",
}


class ChatParser:
    """Reads one answer.

    Args:
        max_line: the longest line accepted, in bytes; a longer one fails the answer.

    Attributes:
        done: nothing more is expected: `[DONE]`, a failure or the connection's end was read.
    """

    def __init__(self, *, max_line: int = MAX_LINE) -> None:
        self.done = False
        self._max_line = max_line
        self._tail = bytearray()
        self._failure: ModelError | None = None
        self._reason = ""
        self._spoke = False
        self._seen = False
        self._usage: Any = None
        self._id: Any = None
        self._model: Any = None

    @property
    def has_reason(self) -> bool:
        """Whether the answer's text is complete; only the usage may be missing."""
        return bool(self._reason)

    def feed(self, data: bytes) -> list[Event]:
        """Read the next bytes.

        Returns:
            The deltas that they complete, one for each piece that the provider sent; empty after
            the end.
        """
        events: list[Event] = []
        if self.done:
            return events
        if self._tail:
            self._tail += data
            if b"\n" not in data:
                self._bound(len(self._tail))
                return events
            data = bytes(self._tail)
            self._tail.clear()
        lines = data.split(b"\n")
        self._tail += lines.pop()
        is_long = len(data) > self._max_line
        for line in lines:
            if is_long:
                self._bound(len(line))
            if self.done:
                return events
            if line.startswith(b"data:"):
                self._data(line[5:], events)
            elif line.startswith(_BOM + b"data:"):
                self._data(line[8:], events)
        if is_long:
            self._bound(len(self._tail))
        return events

    def end(self) -> list[Event]:
        """The connection ended. A last line without its line feed counts if it is whole."""
        line, self._tail = bytes(self._tail).removeprefix(_BOM), bytearray()
        events: list[Event] = []
        payload = line[5:] if line.startswith(b"data:") and not self.done else b""
        if payload.strip() == b"[DONE]" or decode_slowly(payload) is not None:
            self._data(payload, events)
        self.done = True
        return events

    def cut(self, why: BaseException) -> None:
        """The connection broke.

        Args:
            why: for the operator's log.
        """
        self._fail(_failures.cut(why))

    def finish(self, *, generation_id: str = "", may_be_empty: bool = False) -> Finish:
        """Judge the answer after its last byte.

        Args:
            generation_id: the provider's id of the answer, where a header gave it.
            may_be_empty: whether an answer without any text is one (the end of a continuation).

        Raises:
            ModelError: the provider reported a failure, or the answer is cut, empty or unreadable.
        """
        if self._failure is not None:
            raise self._failure
        if not self._reason:
            raise _failures.cut() if self._seen else _failures.nothing()
        if self._reason == "stop" and not self._spoke and not may_be_empty:
            raise _failures.empty()
        metadata = answer_metadata(self._model, self._usage, generation_id or self._id)
        return Finish(reason=self._reason, metadata=metadata)

    def _data(self, payload: bytes, events: list[Event]) -> None:
        try:
            chunk: Chunk | None = decode(payload)
        except UNREADABLE:
            chunk = self._odd(payload)
        if chunk is None:
            return
        self._seen = True
        if not self._id:
            self._id, self._model = chunk.id, chunk.model
        if chunk.usage is not None:
            self._usage = chunk.usage
        if chunk.error is not None:
            self._fail(_failures.reported(chunk.error))
            return
        if not chunk.choices:
            return
        choice = chunk.choices[0]
        if choice.delta is not None:
            self._delta(choice.delta, events)
        if choice.finish_reason is not None:
            self._finish_reason(choice)

    def _odd(self, payload: bytes) -> Chunk | None:
        """What is no chunk at first sight: the end, nothing, one to repair, or a failure."""
        word = payload.strip()
        if word == b"[DONE]":
            self.done = True
            return None
        chunk = decode_slowly(payload)
        if chunk is None and word:
            self._fail(_failures.unreadable(payload))
        return chunk

    def _delta(self, delta: Delta, events: list[Event]) -> None:
        before = len(events)
        reasoning = delta.reasoning or delta.reasoning_content
        if reasoning and type(reasoning) is str:
            events.append(ReasoningDelta(reasoning))
        text = delta.content or delta.refusal
        if text:
            if type(text) is str:
                events.append(TextDelta(text))
            elif type(text) is list:
                events.extend(parts(text))
        self._spoke = self._spoke or len(events) > before

    def _finish_reason(self, choice: Choice) -> None:
        reason = choice.finish_reason
        if reason == "error" or choice.error is not None:
            self._fail(_failures.reported(choice.error))
        elif type(reason) is str and reason and not self._reason:
            self._reason = _REASONS.get(reason, "other")

    def _bound(self, size: int) -> None:
        if size > self._max_line:
            self._fail(_failures.too_much())

    def _fail(self, failure: ModelError) -> None:
        if not self.done:
            self.done = True
            self._tail.clear()
            if not self._reason:
                self._failure = failure
