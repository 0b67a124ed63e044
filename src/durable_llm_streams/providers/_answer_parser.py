r"""Event streams of model providers, whatever their events mean: bytes in, events out. No I/O.

1. Lines end at b"\n" and nowhere else: U+2028, U+0085 and a UTF-8 character cut between two reads
   are ordinary bytes here. A b"\r" before the line feed is white space to the JSON decoder.
2. One `data` line is one event (no server of this kind spreads JSON over several). Comments and
   other fields are dropped. `[DONE]` counts only as a whole line.
3. However the bytes are split, the events are the same: `feed` never raises, so that what came
   before a broken line is delivered first. The failure waits in `done` and comes out of `finish`.
4. An end without a finish reason is a cut. After a finish reason nothing can fail any more: what
   follows (usage) is welcome and not needed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Final

from durable_llm_streams.errors import ModelError
from durable_llm_streams.providers import _failures
from durable_llm_streams.providers._usage import answer_metadata
from durable_llm_streams.runs.source import Event, Finish

MAX_LINE: Final = 8 * 1024 * 1024
DONE: Final = b"[DONE]"

_BOM = b"\xef\xbb\xbf"


class AnswerParser(ABC):
    """Reads one answer. What an event means is for the protocol's own class.

    Args:
        max_line: the longest line accepted, in bytes; a longer one fails the answer.

    Attributes:
        done: nothing more is expected: the end, a failure or the connection's end was read.
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

    @abstractmethod
    def _data(self, payload: bytes, events: list[Event]) -> None:
        """Read one event. Never raises."""

    @abstractmethod
    def _is_event(self, payload: bytes) -> bool:
        """Whether this is a whole event, and not the beginning of one that was cut."""

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
        if payload.strip() == DONE or self._is_event(payload):
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
        metadata = answer_metadata(self._model, self._usage, generation_id or self._id)
        failure = self._failure
        if failure is None and not self._reason:
            failure = _failures.cut() if self._seen else _failures.nothing()
        elif failure is None and self._reason == "stop" and not (self._spoke or may_be_empty):
            failure = _failures.empty()
        if failure is not None:
            failure.metadata = metadata
            raise failure
        return Finish(reason=self._reason, metadata=metadata)

    def _bound(self, size: int) -> None:
        if size > self._max_line:
            self._fail(_failures.too_much())

    def _fail(self, failure: ModelError) -> None:
        if not self.done:
            self.done = True
            self._tail.clear()
            if not self._reason:
                self._failure = failure
