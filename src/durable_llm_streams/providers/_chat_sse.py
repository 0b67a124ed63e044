"""Chat-completion streams; see `_answer_parser` for what goes for every stream.

Only the path from a line to `choices[0].delta.content` is hot: typed, without dictionaries.
"""

from __future__ import annotations

from durable_llm_streams.providers import _failures
from durable_llm_streams.providers._answer_parser import DONE, AnswerParser
from durable_llm_streams.providers._chat_chunk import (
    UNREADABLE,
    Choice,
    Chunk,
    Delta,
    decode,
    decode_slowly,
    parts,
)
from durable_llm_streams.runs.source import Event, ReasoningDelta, TextDelta

_REASONS = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content-filter",
    "tool_calls": "tool-calls",
    "function_call": "tool-calls",
}


class ChatParser(AnswerParser):
    """Reads one answer."""

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
        if word == DONE:
            self.done = True
            return None
        chunk = decode_slowly(payload, Chunk)
        if chunk is None and word:
            self._fail(_failures.unreadable(payload))
        return chunk

    def _is_event(self, payload: bytes) -> bool:
        return decode_slowly(payload, Chunk) is not None

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
