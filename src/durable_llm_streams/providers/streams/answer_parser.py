r"""Event streams of model providers, whatever their events mean: bytes in, events out. No I/O.

1. Lines end at LF, CRLF or a lone CR, and nowhere else: U+2028, U+0085 and a UTF-8 character cut
   between two reads are ordinary bytes here. Source: WHATWG HTML, section 9.2.
2. Every `data` line is read at once, without waiting for the blank line after it. Only one that
   cannot be read alone waits for the other `data` lines of its event, to be joined by LF.
   `[DONE]` counts only as a whole line. An event's name matters only if it is `error`.
3. The reader accepts more than the specification: white space before a field, a byte-order mark,
   a last event without its blank line. Other lines are left to the protocol's own class.
4. The events, except `Alive`, do not depend on how the bytes are split. `feed` never raises, so
   what came before a broken line is delivered first. `finish` raises the failure.
5. An end without a finish reason is a cut. After a finish reason nothing can fail: what follows
   (usage) is read, but not required.
6. A read that gave no event gives one `Alive`: `chunk` for a JSON object without output, or for
   bytes of one that is still being received; `comment` for anything else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Final

from durable_llm_streams.errors import ModelError
from durable_llm_streams.providers import failures
from durable_llm_streams.source import Alive, Event, Finish

from .long_lines import LongLine
from .usage import answer_metadata

MAX_LINE: Final = 8 * 1024 * 1024
DONE: Final = b"[DONE]"

_CR = 13
_BOM = b"\xef\xbb\xbf"
_FIELDS = frozenset((b"event", b"id", b"retry", b"data", b""))  # b"": a comment


class AnswerParser(ABC):
    """Reads one answer. Subclasses interpret the events of their protocol.

    Args:
        max_line: the longest line accepted, in bytes, without long data strings in it.

    Attributes:
        done: nothing more is expected: the end, a failure or the connection's end was read.
    """

    _reports_alive: ClassVar[bool] = False

    def __init__(self, *, max_line: int = MAX_LINE) -> None:
        self.done = False
        self._max_line = max_line
        self._tail = bytearray()
        self._long: LongLine | None = None  # the open line instead of `_tail`
        self._has_cr = False  # the last byte, which may be half a line end
        self._pending: list[bytes] = []  # data of the open event that cannot be read alone
        self._pending_size = 0
        self._is_error = False  # the open event is named `error`
        self._is_open = False  # an event has begun: data are pending, or it is named `error`
        self._got_chunk = False  # in this read
        self._failure: ModelError | None = None
        self._reason = ""
        self._saw_event = False
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

    def _no_field(self, line: bytes, events: list[Event]) -> None:
        """Read a line that is not a field of an event stream. By default it is ignored."""
        del line, events

    def _joined(self, payload: bytes, events: list[Event]) -> None:
        """Read the data of a whole event that could not be read line by line."""
        self._data(payload, events)

    def _too_long(self) -> None:
        """A line was lost because it is too long."""
        self._fail(failures.too_much())

    def feed(self, data: bytes) -> list[Event]:
        """Read the next bytes.

        Returns:
            The events that they complete, one delta for each piece that the provider sent; nothing
            after the end.
        """
        events: list[Event] = []
        if self.done:
            return events
        self._got_chunk = False
        if _CR in data or self._has_cr:
            data = self._with_line_feeds(data)
        if self._tail or self._long is not None:
            data = self._go_on(data, events)
        is_long = len(data) > self._max_line
        lines = self._bounded(data, events) if is_long else data.split(b"\n")
        self._tail += lines.pop()
        for line in lines:
            if line.startswith(b"data:"):
                if self.done:
                    return events
                self._data(line[5:], events)
            elif line:
                self._line(line, events)
            elif self._is_open:
                self._blank(events)
        if not events and self._reports_alive:
            self._add_alive(events)
        return events

    def end(self) -> list[Event]:
        """The connection ended. A last line without its line end counts if it is complete."""
        events: list[Event] = []
        line: bytes | None = bytes(self._tail)
        if self._long is not None:
            line, self._long = self._long.end(), None
        self._tail.clear()
        if line is None:
            self._too_long()
        elif line and not self.done:
            self._last(line.removeprefix(_BOM), events)
        if self._is_open:
            self._end_event(events)
        self.done = True
        return events

    def cut(self, why: BaseException) -> None:
        """The connection broke.

        Args:
            why: for the operator's log.
        """
        self._fail(failures.cut(why))

    def finish(self, *, generation_id: str = "", may_be_empty: bool = False) -> Finish:
        """Judge the answer after its last byte.

        Args:
            generation_id: the provider's id of the answer, where a header gave it.
            may_be_empty: whether an answer without any text is one (the end of a continuation).

        Raises:
            ModelError: the provider reported a failure, or the answer is cut, empty or unreadable.
        """
        metadata = answer_metadata(self._model, self._usage, generation_id or self._id)
        failure = self._failure or self._judge(may_be_empty=may_be_empty)
        if failure is not None:
            failure.metadata = metadata
            raise failure
        return Finish(reason=self._reason, metadata=metadata)

    @abstractmethod
    def _judge(self, *, may_be_empty: bool) -> ModelError | None:
        """The failure of an answer that was read to its end; None for a complete answer."""

    def _last(self, line: bytes, events: list[Event]) -> None:
        """Read what follows the last line end."""
        payload = line[5:] if line.startswith(b"data:") else b""
        if payload.strip() == DONE or self._is_event(payload):
            self._data(payload, events)

    def _any_line(self, line: bytes, events: list[Event]) -> None:
        """Read one line, as the loop in `feed` does."""
        if self.done:
            return
        if line.startswith(b"data:"):
            self._data(line[5:], events)
        elif line:
            self._line(line, events)
        elif self._is_open:
            self._blank(events)

    def _line(self, line: bytes, events: list[Event]) -> None:
        """Read a line that is not blank and does not begin with `data:`."""
        name, _, value = line.partition(b":")
        if name in _FIELDS:
            if name == b"event":
                self._is_error = value.strip() == b"error"
                self._is_open = self._is_open or self._is_error
            return
        bare = line.removeprefix(_BOM).strip()
        if bare.partition(b":")[0] in _FIELDS:
            self._any_line(bare or b":", events)
        elif not self.done:
            self._no_field(line, events)

    def _blank(self, events: list[Event]) -> None:
        """Read the blank line after an open event."""
        self._end_event(events)

    def _end_event(self, events: list[Event]) -> None:
        """The open event is complete."""
        payload = b"\n".join(self._pending)
        self._pending, self._pending_size, self._is_open = [], 0, False
        if payload and not self.done:
            self._joined(payload, events)
        self._is_error = False

    def _hold(self, payload: bytes) -> None:
        """Keep data that cannot be read alone until its event is complete."""
        self._pending.append(payload)
        self._is_open = True
        self._pending_size += len(payload)
        if self._pending_size > self._max_line:
            self._pending, self._pending_size = [], 0
            self._too_long()

    def _with_line_feeds(self, data: bytes) -> bytes:
        """The bytes with LF at every line end. A CR at their end waits for what follows it."""
        if self._has_cr:
            data = b"\r" + data
        self._has_cr = data.endswith(b"\r")
        return data.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _go_on(self, data: bytes, events: list[Event]) -> bytes:
        """Append bytes to the open line. Returns what can be read; b"" while the line is open."""
        line, end, rest = data.partition(b"\n")
        if self._long is not None:
            self._long.feed(line)
            if not end:
                if self._long.is_lost:
                    self._too_long()
                return b""
            self._end_long(self._long, events)
            return rest
        self._tail += data
        if not end:
            self._check_tail()
            return b""
        data = bytes(self._tail)
        self._tail.clear()
        return data

    def _bounded(self, data: bytes, events: list[Event]) -> list[bytes]:
        """Read lines when one may be too long. Returns the unread rest."""
        *lines, tail = data.split(b"\n")
        self._tail += tail
        for line in lines:
            if len(line) > self._max_line:
                long = LongLine(self._max_line)
                long.feed(line)
                self._end_long(long, events)
            else:
                self._any_line(line, events)
        self._check_tail()
        return [b""]

    def _check_tail(self) -> None:
        if len(self._tail) > self._max_line:
            self._long = LongLine(self._max_line)
            self._long.feed(bytes(self._tail))
            self._tail.clear()
            if self._long.is_lost:
                self._too_long()

    def _end_long(self, long: LongLine, events: list[Event]) -> None:
        self._long = None
        line = long.end()
        if line is None:
            self._too_long()
        else:
            self._cut_line(line, events)

    def _cut_line(self, line: bytes, events: list[Event]) -> None:
        """Read a line in which long data strings were cut."""
        self._any_line(line, events)

    def _add_alive(self, events: list[Event]) -> None:
        """Add the sign of life of a read that gave no other event."""
        if self.done:
            return
        begun = bytes(self._tail[:20]).removeprefix(b"data:").lstrip()
        is_receiving = begun[:1] in (b"{", b"[") or self._pending or self._long is not None
        events.append(Alive("chunk" if self._got_chunk or is_receiving else "comment"))

    def _fail(self, failure: ModelError) -> None:
        if not self.done:
            self.done = True
            self._tail.clear()
            if not self._reason:
                self._failure = failure
