"""Response streams (OpenAI's Responses API); see `_answer_parser` for what goes for every stream.

1. Every event has a `sequence_number`, and a stream can be asked for from behind any of them. An
   event that was read already is passed over, so that nothing is said twice.
2. The job is told as soon as its id is known, and again after every `MARK_EVERY` events, at the end
   of a read: that costs nothing per event, and whoever listens again hears little twice.
3. Only the path from a line to `delta` is hot. Events that are unknown are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from durable_llm_streams.providers import _failures
from durable_llm_streams.providers._answer_parser import DONE, MAX_LINE, AnswerParser
from durable_llm_streams.providers._chat_chunk import UNREADABLE, decode_slowly
from durable_llm_streams.providers._response_event import ResponseEvent, decode
from durable_llm_streams.runs.source import Event, Job, ReasoningDelta, TextDelta

MARK_EVERY: Final = 1024

_ID = re.compile(r"[A-Za-z0-9_-]{1,200}")  # what is safe in an address
_MARK = re.compile(r"[0-9]{1,15}")
_REASONS = {"max_output_tokens": "length", "content_filter": "content-filter"}
_TEXTS = ("response.output_text.delta", "response.refusal.delta")
_REASONINGS = ("response.reasoning_summary_text.delta", "response.reasoning_text.delta")


class ResponsesParser(AnswerParser):
    """Reads one answer.

    Args:
        job: the job that is listened to again, from behind its mark; None for a new one.
        max_line: the longest line accepted, in bytes; a longer one fails the answer.

    Attributes:
        job: the job, with the last mark that was told; None while its id is unknown.
    """

    def __init__(self, job: Job | None = None, *, max_line: int = MAX_LINE) -> None:
        super().__init__(max_line=max_line)
        self.job = job
        self._again = job is not None
        self._marked = self._sequence = starting_after(job) if job is not None else -1
        self._id = job.id if job is not None else None

    def feed(self, data: bytes) -> list[Event]:
        """Read the next bytes; see `AnswerParser.feed`. A mark may follow the deltas."""
        events = super().feed(data)
        if self.job is not None and self._sequence - self._marked >= MARK_EVERY and not self.done:
            self._mark(self.job.id, events)
        return events

    def _data(self, payload: bytes, events: list[Event]) -> None:
        try:
            event: ResponseEvent | None = decode(payload)
        except UNREADABLE:
            event = self._odd(payload)
        if event is None:
            return
        self._seen = True
        number, kind = event.sequence_number, event.type
        if type(number) is int:
            if number <= self._sequence:
                return
            self._sequence = number
        if kind in _TEXTS:
            if type(event.delta) is str and event.delta:
                events.append(TextDelta(event.delta))
                self._spoke = True
        else:
            self._other(kind, event, events)

    def _other(self, kind: Any, event: ResponseEvent, events: list[Event]) -> None:
        """What is no text of the answer."""
        if kind in _REASONINGS:
            if type(event.delta) is str and event.delta:
                events.append(ReasoningDelta(event.delta))
                self._spoke = True
        elif type(kind) is str:
            handler = _HANDLERS.get(kind)
            if handler is not None:
                handler(self, event, events)
        elif event.error is not None:  # a gateway's own, before any event
            self._error(event, events)

    def _odd(self, payload: bytes) -> ResponseEvent | None:
        """What is no event at first sight: the end, nothing, one to repair, or a failure."""
        word = payload.strip()
        if word == DONE:
            self.done = True
            return None
        event = decode_slowly(payload, ResponseEvent)
        if event is None and word:
            self._fail(_failures.unreadable(payload))
        return event

    def _is_event(self, payload: bytes) -> bool:
        return decode_slowly(payload, ResponseEvent) is not None

    def _begun(self, event: ResponseEvent, events: list[Event]) -> None:
        response = self._response(event)
        job = response.get("id")
        kept = response.get("background") is not False  # a server may have passed over the wish
        if kept and self.job is None and isinstance(job, str) and is_id(job):
            self._mark(job, events)

    def _mark(self, job: str, events: list[Event]) -> None:
        self._marked = self._sequence
        self.job = Job(job, str(self._marked) if self._marked >= 0 else "")
        events.append(self.job)

    def _next_summary(self, event: ResponseEvent, events: list[Event]) -> None:
        if type(event.summary_index) is int and event.summary_index > 0:
            events.append(ReasoningDelta("\n\n"))

    def _completed(self, event: ResponseEvent, _: list[Event]) -> None:
        self._response(event)
        self._reason, self.done = "stop", True

    def _incomplete(self, event: ResponseEvent, _: list[Event]) -> None:
        details = self._response(event).get("incomplete_details")
        reason = details.get("reason") if isinstance(details, dict) else None
        if isinstance(reason, str) and reason in _REASONS:
            self._reason, self.done = _REASONS[reason], True
        else:
            self._fail(_failures.job_ended(f"incomplete: {reason}"))

    def _failed(self, event: ResponseEvent, _: list[Event]) -> None:
        self._fail(_failures.reported(self._response(event).get("error"), job_over=True))

    def _cancelled(self, event: ResponseEvent, _: list[Event]) -> None:
        self._response(event)
        self._fail(_failures.job_ended("cancelled"))

    def _error(self, event: ResponseEvent, _: list[Event]) -> None:
        error = event.error
        if error is None:
            error = {"code": event.code, "message": event.message}
        # It may be the stream's alone; to whoever listens again it is the job's.
        self._fail(_failures.reported(error, job_over=self._again))

    def _response(self, event: ResponseEvent) -> dict[str, Any]:
        """The response as it is now; what is known of the answer is kept."""
        response: dict[str, Any] = event.response if isinstance(event.response, dict) else {}
        self._id, self._model = response.get("id", self._id), response.get("model", self._model)
        self._usage = response.get("usage") or self._usage
        return response


def starting_after(job: Job) -> int:
    """The sequence number that a job's mark stands for; -1 for its beginning."""
    return int(job.mark) if _MARK.fullmatch(job.mark) else -1


def is_id(job: str) -> bool:
    """Whether this can be a job's id, and is safe in an address."""
    return _ID.fullmatch(job) is not None


_HANDLERS: dict[str, Callable[[ResponsesParser, ResponseEvent, list[Event]], None]] = {
    "response.created": ResponsesParser._begun,
    "response.queued": ResponsesParser._begun,
    "response.in_progress": ResponsesParser._begun,
    "response.reasoning_summary_part.added": ResponsesParser._next_summary,
    "response.completed": ResponsesParser._completed,
    "response.incomplete": ResponsesParser._incomplete,
    "response.failed": ResponsesParser._failed,
    "response.cancelled": ResponsesParser._cancelled,
    "error": ResponsesParser._error,
}
