"""Response streams (OpenAI's Responses API); see `answer_parser` for the rules of every stream.

1. Every event has a `sequence_number`, and a stream can be resumed after any of them. An event
   that was read already is skipped, so no text is emitted twice.
2. The job is yielded as soon as its id is known, and again after every `MARK_EVERY` events, at the
   end of a read. That costs nothing per event, and little is read twice after a break.
3. Only the path from a line to `delta` is hot. The rest is read leniently, as in `chat_sse`. An
   unknown event is a sign of life, a payload that is not an object is noise, and a broken one is
   skipped.
4. One JSON response instead of a stream is read as its last event; see `whole`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from typing_extensions import override

from durable_llm_streams.errors import ModelError
from durable_llm_streams.providers import failures
from durable_llm_streams.source import Event, Job, TextDelta

from .answer_parser import DONE, MAX_LINE, AnswerParser
from .characters import clean, cleaned
from .chat_chunk import UNREADABLE, decode_all
from .chat_end import empty
from .error_objects import error_in
from .response_emitter import ResponseEmitter
from .response_event import ResponseEvent, decode, decode_delta
from .response_output import part_text
from .unreadable import Unreadable

MARK_EVERY: Final = 1024

_ID = re.compile(r"[A-Za-z0-9_-]{1,200}")  # what is safe in an address
_MARK = re.compile(r"[0-9]{1,15}")
_REASONS = {"max_output_tokens": "length", "content_filter": "content-filter"}
_FIELDS = ResponseEvent.__struct_fields__
_NAMES = (b"data", b"event", b"id", b"retry")
_TEXTS = ("response.output_text.delta", "response.refusal.delta")
_REASONINGS = ("response.reasoning_summary_text.delta", "response.reasoning_text.delta")


class ResponsesParser(AnswerParser):
    """Reads one answer.

    Args:
        job: the job to resume after its mark; None for a new one.
        emitted: (kind, text) of what the job emitted before; None if that is not known. Only for
            a job that is resumed.
        max_line: see `AnswerParser`.

    Attributes:
        job: the job, with the last mark that was yielded; None while its id is unknown.
        begun: an event was read.
        ended: the provider reported the end of its work on the answer.
        is_unfinished: nothing more can be read here, and the job may still be running.
    """

    _reports_alive = True

    def __init__(
        self,
        job: Job | None = None,
        *,
        emitted: Iterable[tuple[str, str]] | None = None,
        max_line: int = MAX_LINE,
    ) -> None:
        super().__init__(max_line=max_line)
        self.job = job
        self.begun = self.ended = self.is_unfinished = False
        at_mark = job is not None and starting_after(job) > 0  # text may precede the mark
        self._emitter = ResponseEmitter(emitted if emitted is not None or at_mark else ())
        self._texts, self._characters = self._emitter.texts, self._emitter.characters
        self._unreadable = Unreadable()
        self._again = job is not None
        self._is_ending = self._polled = False
        self._marked = self._sequence = starting_after(job) if job is not None else -1
        self._id = job.id if job is not None else None

    @override
    def feed(self, data: bytes) -> list[Event]:
        events = super().feed(data)
        is_due = self._sequence - self._marked >= MARK_EVERY
        if is_due and self.job is not None and not (self.done or self._characters.held):
            self._mark(self.job.id, events)
        return events

    def whole(self, response: dict[str, Any], *, polled: bool = False) -> list[Event]:
        """Read a response that came in one piece, instead of a stream.

        Args:
            response: the JSON object.
            polled: whether the same response was read before. It then fails if the answer
                differs from what was emitted.

        Returns:
            What it adds to what was emitted. The parser is `done` if the response is complete.
        """
        self._polled = polled
        events: list[Event] = []
        status = response.get("status")
        kind = f"response.{status}" if isinstance(status, str) else "response.completed"
        if response.get("error") is not None and status not in ("failed", "cancelled"):
            kind = "error"
        if kind not in _HANDLERS:
            self._fail(failures.unreadable(f"the status {status!r}".encode()))
            return events
        self._read(ResponseEvent(type=kind, response=response, error=response.get("error")), events)
        self.is_unfinished = not self.done
        return events

    @override
    def _data(self, payload: bytes, events: list[Event]) -> None:
        try:
            event = decode_delta(payload)
        except UNREADABLE:
            self._no_event(payload, events)
            return
        kind, delta = event.type, event.delta
        if kind in _TEXTS and type(delta) is str and not self._characters.held:
            number = event.sequence_number
            if type(number) is int:
                if number <= self._sequence:
                    self._got_chunk = True
                    return
                self._sequence = number
            if delta:
                events.append(TextDelta(delta))
                self._texts.append(delta)
            else:
                self._got_chunk = True
            if not self.begun:
                self.begun = self._saw_event = True
        else:
            self._any(payload, events)

    def _any(self, payload: bytes, events: list[Event]) -> None:
        """Read any event that is not a plain text delta."""
        try:
            event = decode(payload)
        except UNREADABLE:
            event = ResponseEvent()
        if type(event.type) is str and not (self._is_error and event.type != "error"):
            self._read(event, events)
        else:
            self._no_event(payload, events)

    def _no_event(self, payload: bytes, events: list[Event]) -> None:
        """Read a payload that is not a typed event: the end, noise, or an event in another form."""
        word = payload.strip()
        if word == DONE:
            self.done = True
        elif word[:1] in (b"{", b"[") or self._pending:
            values = None if self._pending else decode_all(word)
            if values is None:
                self._hold(payload)
            self._values(values or (), events)
        elif word and self._is_error:
            self._fail(failures.reported(word.decode(errors="replace"), job_over=self._again))

    def _values(self, values: Iterable[Any], events: list[Event]) -> None:
        for value in values:
            if isinstance(value, list):
                self._values((item for item in value if isinstance(item, dict)), events)
            elif value == DONE.decode():
                self.done = True
            elif isinstance(value, dict) and not self.done:
                self._object(value, events)

    def _object(self, value: dict[str, Any], events: list[Event]) -> None:
        """Read one object leniently."""
        # half a character in a delta may find its other half in the next one
        value = {name: each if name == "delta" else cleaned(each) for name, each in value.items()}
        if value.get("object") == "response" or ("output" in value and "status" in value):
            events += self.whole(value)
        elif isinstance(value.get("type"), str) and not self._is_error:
            self._read(ResponseEvent(**{name: value.get(name) for name in _FIELDS}), events)
        elif error := error_in(value, is_error=self._is_error):
            self._saw_event = self._got_chunk = True
            self._fail(failures.reported(error, job_over=self._again))

    def _read(self, event: ResponseEvent, events: list[Event]) -> None:
        """Read any event."""
        self.begun = self._saw_event = self._got_chunk = True
        number, kind = event.sequence_number, event.type
        if type(number) is int:
            if number <= self._sequence:
                return
            self._sequence = number
        if kind in _TEXTS or kind in _REASONINGS:
            if type(event.delta) is not str or not event.delta:
                return
            if kind in _TEXTS:
                self._emitter.text(event.delta, events)
            else:
                self._emitter.reasoning(clean(event.delta), events)
        elif handler := _HANDLERS.get(kind):
            handler(self, event, events)

    @override
    def _is_event(self, payload: bytes) -> bool:
        return decode_all(payload) is not None

    @override
    def _no_field(self, line: bytes, events: list[Event]) -> None:
        if self._pending or line.lstrip()[:1] in (b"{", b"["):
            self._unreadable.is_document = self._unreadable.is_document or not self._saw_event
            self._data(line, events)
        elif not self._saw_event and (failure := self._unreadable.add(line)) is not None:
            self._fail(failure)

    @override
    def _last(self, line: bytes, events: list[Event]) -> None:
        if not any(name.startswith(line) for name in _NAMES):  # of a field that was cut
            self._any_line(line, events)

    @override
    def _blank(self, events: list[Event]) -> None:
        if self._is_ending or not (self._unreadable.is_document and self._pending):
            super()._blank(events)

    @override
    def end(self) -> list[Event]:
        self._is_ending = True
        return super().end()

    @override
    def _joined(self, payload: bytes, events: list[Event]) -> None:
        values = decode_all(payload.strip())
        if values is None and (failure := self._unreadable.broken(payload)) is not None:
            self._fail(failure)
        self._values(values or (), events)

    @override
    def _too_long(self) -> None:
        self._unreadable.is_too_long = self._unreadable.is_too_long or not self.done

    @override
    def _judge(self, *, may_be_empty: bool) -> ModelError | None:
        has_output = self._emitter.has_output or bool("".join(self._texts).strip())
        if self._reason:
            is_one = has_output or may_be_empty
            return (
                None
                if is_one
                else empty(self._reason, self._usage, thought=self._emitter.has_reasoning)
            )
        if not has_output and (failure := self._unreadable.failure()) is not None:
            return failure
        if self._unreadable.text and not self._saw_event:
            return self._unreadable.not_a_stream()
        if self._unreadable.is_too_long:
            return failures.too_much()
        return failures.cut() if self._saw_event else failures.nothing()

    def _begun(self, event: ResponseEvent, events: list[Event]) -> None:
        response = self._response(event)
        job = response.get("id")
        kept = response.get("background") is not False  # a server may ignore the request for it
        if kept and self.job is None and isinstance(job, str) and is_id(job):
            self._mark(job, events)

    def _mark(self, job: str, events: list[Event]) -> None:
        self._marked = self._sequence
        self.job = Job(job, str(self._marked) if self._marked >= 0 else "")
        events.append(self.job)

    def _next_summary(self, event: ResponseEvent, events: list[Event]) -> None:
        if type(event.summary_index) is int and event.summary_index > 0:
            self._emitter.reasoning("\n\n", events)

    def _text_done(self, event: ResponseEvent, events: list[Event]) -> None:
        text = event.text if type(event.text) is str else event.refusal
        if type(text) is str:
            self._emitter.text_done(text, "part", events)

    def _part_done(self, event: ResponseEvent, events: list[Event]) -> None:
        self._emitter.text_done(part_text(event.part), "part", events)

    def _item_done(self, event: ResponseEvent, events: list[Event]) -> None:
        self._emitter.item_done(event.item, events)

    def _annotated(self, event: ResponseEvent, _: list[Event]) -> None:
        self._emitter.annotation(event.annotation)

    def _completed(self, event: ResponseEvent, events: list[Event]) -> None:
        self._over("stop", self._response(event), events)

    def _incomplete(self, event: ResponseEvent, events: list[Event]) -> None:
        response = self._response(event)
        details = response.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, dict) else None
        if isinstance(reason, str) and reason in _REASONS:
            self._over(_REASONS[reason], response, events)
        else:
            self.ended = True
            self._fail(failures.job_ended(f"incomplete: {reason}"))

    def _over(self, reason: str, response: dict[str, Any], events: list[Event]) -> None:
        """The answer is complete: emit what was not emitted yet."""
        self.ended = True
        if self._emitter.whole(response.get("output"), events) or not self._polled:
            self._reason, self.done = reason, True
        else:
            self._fail(failures.job_gone("The finished answer differs from what was streamed."))

    def _failed(self, event: ResponseEvent, _: list[Event]) -> None:
        self.ended = True
        self._fail(failures.reported(self._response(event).get("error"), job_over=True))

    def _cancelled(self, event: ResponseEvent, _: list[Event]) -> None:
        self.ended = True
        self._response(event)
        self._fail(failures.job_ended("cancelled"))

    def _error(self, event: ResponseEvent, _: list[Event]) -> None:
        error = event.error
        if error is None:
            error = {"code": event.code, "message": event.message}
        # It may be a failure of the stream alone; a reader that resumes treats it as the job's.
        self._fail(failures.reported(error, job_over=self._again))

    def _response(self, event: ResponseEvent) -> dict[str, Any]:
        """The event's response. Keeps the answer's id, model and usage."""
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
    "response.output_text.done": ResponsesParser._text_done,
    "response.refusal.done": ResponsesParser._text_done,
    "response.content_part.done": ResponsesParser._part_done,
    "response.output_item.done": ResponsesParser._item_done,
    "response.output_text.annotation.added": ResponsesParser._annotated,
    "response.completed": ResponsesParser._completed,
    "response.incomplete": ResponsesParser._incomplete,
    "response.failed": ResponsesParser._failed,
    "response.cancelled": ResponsesParser._cancelled,
    "error": ResponsesParser._error,
}
