"""Response streams (OpenAI's Responses API); see `_answer_parser` for what goes for every stream.

1. Every event has a `sequence_number`, and a stream can be asked for from behind any of them. An
   event that was read already is passed over, so that nothing is said twice.
2. The job is told as soon as its id is known, and again after every `MARK_EVERY` events, at the end
   of a read: that costs nothing per event, and whoever listens again hears little twice.
3. Only the path from a line to `delta` is hot. Events that are unknown are passed over.
4. What a whole text holds beyond its deltas is said as well; see `_told`.
5. Citations wait for the end of their item: they must not break a part of the message in two.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from durable_llm_streams.providers import _failures
from durable_llm_streams.providers._answer_parser import DONE, MAX_LINE, AnswerParser
from durable_llm_streams.providers._chat_chunk import UNREADABLE, decode_slowly
from durable_llm_streams.providers._response_event import ResponseEvent, decode
from durable_llm_streams.providers._response_output import (
    citation,
    events_of,
    item_events,
    part_text,
)
from durable_llm_streams.providers._told import Level, Told
from durable_llm_streams.runs.source import Citation, Event, File, Job, ReasoningDelta, TextDelta

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
        told: (kind, text) of what the job said before; None if that is not known. Only for a job
            that is listened to again.
        max_line: the longest line accepted, in bytes; a longer one fails the answer.

    Attributes:
        job: the job, with the last mark that was told; None while its id is unknown.
        begun: an event was read.
        ended: the provider said that its work on the answer is over.
    """

    def __init__(
        self,
        job: Job | None = None,
        *,
        told: Iterable[tuple[str, str]] | None = None,
        max_line: int = MAX_LINE,
    ) -> None:
        super().__init__(max_line=max_line)
        self.job = job
        self.begun = self.ended = False
        at_mark = job is not None and starting_after(job) > 0  # before it something may be said
        self._told = Told(told if told is not None or at_mark else ())
        self._waiting: list[Citation] = []
        self._given: set[str] = set()  # the addresses of citations and files
        self._polled = False
        self._again = job is not None
        self._marked = self._sequence = starting_after(job) if job is not None else -1
        self._id = job.id if job is not None else None

    def feed(self, data: bytes) -> list[Event]:
        """Read the next bytes; see `AnswerParser.feed`. A mark may follow the deltas."""
        events = super().feed(data)
        if self.job is not None and self._sequence - self._marked >= MARK_EVERY and not self.done:
            self._mark(self.job.id, events)
        return events

    def whole(self, response: dict[str, Any], *, polled: bool = False) -> list[Event]:
        """Read a response that came in one piece, instead of a stream.

        Args:
            response: the JSON object.
            polled: whether it is the one that was listened to before. An answer that is not the
                one that was said fails then.

        Returns:
            What it says beyond what was told. The parser is `done` unless it is still being made.
        """
        self._polled = polled
        self._seen = True
        events: list[Event] = []
        status = response.get("status")
        kind = f"response.{status}" if isinstance(status, str) else "response.completed"
        if response.get("error") is not None and status not in ("failed", "cancelled"):
            kind = "error"
        if kind in _HANDLERS:
            event = ResponseEvent(type=kind, response=response, error=response.get("error"))
            _HANDLERS[kind](self, event, events)
        else:
            self._fail(_failures.unreadable(f"the status {status!r}".encode()))
        return events

    def _data(self, payload: bytes, events: list[Event]) -> None:
        try:
            event: ResponseEvent | None = decode(payload)
        except UNREADABLE:
            event = self._odd(payload)
        if event is None:
            return
        self._seen = self.begun = True
        number, kind = event.sequence_number, event.type
        if type(number) is int:
            if number <= self._sequence:
                return
            self._sequence = number
        if kind in _TEXTS:
            if type(event.delta) is str and event.delta:
                events.append(TextDelta(event.delta))
                self._told.texts.append(event.delta)
                self._spoke = True
        else:
            self._other(kind, event, events)

    def _other(self, kind: Any, event: ResponseEvent, events: list[Event]) -> None:
        """What is no text of the answer."""
        if kind in _REASONINGS:
            if type(event.delta) is str and event.delta:
                self._think(event.delta, events)
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

    def _think(self, text: str, events: list[Event]) -> None:
        events.append(ReasoningDelta(text))
        self._told.thoughts.append(text)
        self._spoke = True

    def _next_summary(self, event: ResponseEvent, events: list[Event]) -> None:
        if type(event.summary_index) is int and event.summary_index > 0:
            self._think("\n\n", events)

    def _text_done(self, event: ResponseEvent, events: list[Event]) -> None:
        text = event.text if type(event.text) is str else event.refusal
        self._catch_up(text if type(text) is str else "", "part", events)

    def _part_done(self, event: ResponseEvent, events: list[Event]) -> None:
        self._catch_up(part_text(event.part), "part", events)

    def _item_done(self, event: ResponseEvent, events: list[Event]) -> None:
        said = item_events(event.item)
        text = "".join(each.text for each in said if isinstance(each, TextDelta))
        reasoning = "".join(each.text for each in said if isinstance(each, ReasoningDelta))
        if reasoning and self._told.known and not (self._told.thoughts or self._told.texts):
            self._think(reasoning, events)
        self._catch_up(text, "item", events)
        self._give([each for each in said if isinstance(each, Citation | File)], events)

    def _catch_up(self, text: str, level: Level, events: list[Event]) -> None:
        """Say what a whole text holds beyond its deltas."""
        if text and (rest := self._told.rest(text, level)):
            events.append(TextDelta(rest))
            self._spoke = True

    def _annotated(self, event: ResponseEvent, _: list[Event]) -> None:
        found = citation(event.annotation)
        if found is not None:
            self._waiting.append(found)

    def _give(self, more: Sequence[Citation | File], events: list[Event]) -> None:
        """Give the citations that wait, and more."""
        for each in (*self._waiting, *more):
            if each.url not in self._given:
                self._given.add(each.url)
                events.append(each)
                self._spoke = True
        self._waiting.clear()

    def _whole(self, response: dict[str, Any], events: list[Event]) -> None:
        """The answer is whole: say what was not said yet."""
        self.ended = True
        whole = events_of(response.get("output"))
        rest = self._told.beyond(whole) if whole or self._polled else []
        if rest is None and self._polled:
            self._fail(_failures.job_gone("The finished answer is not the one that was said."))
            return
        if rest is None:
            rest = [each for each in whole if isinstance(each, Citation | File)]
        for each in rest:
            if isinstance(each, Citation | File):
                self._give([each], events)
            else:
                events.append(each)
                self._spoke = True
        self._give((), events)

    def _completed(self, event: ResponseEvent, events: list[Event]) -> None:
        self._whole(self._response(event), events)
        if not self.done:
            self._reason, self.done = "stop", True

    def _incomplete(self, event: ResponseEvent, events: list[Event]) -> None:
        response = self._response(event)
        details = response.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, dict) else None
        if isinstance(reason, str) and reason in _REASONS:
            self._whole(response, events)
            self._reason, self.done = _REASONS[reason], True
        else:
            self.ended = True
            self._fail(_failures.job_ended(f"incomplete: {reason}"))

    def _failed(self, event: ResponseEvent, _: list[Event]) -> None:
        self.ended = True
        self._fail(_failures.reported(self._response(event).get("error"), job_over=True))

    def _cancelled(self, event: ResponseEvent, _: list[Event]) -> None:
        self.ended = True
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
