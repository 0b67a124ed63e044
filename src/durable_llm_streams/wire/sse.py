"""Server-sent events: frames for a log's records, and a parser.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html
A record is one line (JSON without a line feed or a carriage return), so a frame is always
`id: CURSOR`, `data: CHUNK` and an empty line. The end of a stream is `data: [DONE]` without an id.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

#: The media type of a stream.
CONTENT_TYPE: Final = "text/event-stream"

#: The headers of a stream: no cache, no buffering by proxies, no content sniffing.
HEADERS: Final = {
    "content-type": CONTENT_TYPE,
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
    "x-content-type-options": "nosniff",
}

#: A comment, sent after a while without data.
HEARTBEAT: Final = b": keep-alive\n\n"

#: The end of a stream that should not be reconnected.
DONE: Final = b"data: [DONE]\n\n"

#: The data of `DONE`.
DONE_DATA: Final = "[DONE]"

#: The largest event that a parser accepts by default.
MAX_EVENT_BYTES: Final = 16 * 1024 * 1024

_LOW_DIGITS: Final = tuple(b"%02x" % number for number in range(256))
_BOM: Final = b"\xef\xbb\xbf"


def opening(retry_ms: int = 1000) -> bytes:
    """The beginning of a stream: bytes that make proxies start, and the delay of a reconnect."""
    return b": stream-open\nretry: %d\n\n" % retry_ms


def frame(cursor: str, chunk: bytes) -> bytes:
    """One record as an event."""
    return b"id: %b\ndata: %b\n\n" % (cursor.encode(), chunk)


def frames(run_id: str, token: str, first_seq: int, records: Sequence[bytes]) -> bytes:
    """Consecutive records as events. Use `FrameEncoder` for many calls."""
    return FrameEncoder(run_id).frames(token, first_seq, records)


class FrameEncoder:
    """Writes the records of one run as events whose ids are cursors (see `model.Cursor`).

    This runs for every record of every reader. So the shared bytes of adjacent cursors are cached:
    those up to the last two digits of the sequence number, and those between it and the chunk.
    """

    __slots__ = ("_block", "_head", "_run", "_tail", "_token")

    def __init__(self, run_id: str) -> None:
        self._run = b"id: %b." % run_id.encode()
        self._token: str | None = None
        self._tail = b""
        self._block = -1
        self._head = b""

    def one(self, seq: int, record: bytes) -> bytes:
        """One record, written under the epoch of the previous call."""
        if seq >> 8 != self._block:
            self._set_block(seq >> 8)
        return b"".join((self._head, _LOW_DIGITS[seq & 255], self._tail, record, b"\n\n"))

    def frames(self, token: str, first_seq: int, records: Sequence[bytes]) -> bytes:
        """Records `first_seq`, `first_seq + 1`, …, all written under the epoch with this token."""
        if token != self._token:
            self._set_token(token)
        if len(records) == 1:
            return self.one(first_seq, records[0])
        return self.merged(token, enumerate(records, first_seq))

    def merged(self, token: str, pairs: Iterable[tuple[int, bytes]]) -> bytes:
        """Chunks, each with the sequence number of its last record."""
        if token != self._token:
            self._set_token(token)
        head, tail, block = self._head, self._tail, self._block
        pieces: list[bytes] = []
        for seq, chunk in pairs:
            if seq >> 8 != block:
                block = seq >> 8
                head = self._set_block(block)
            pieces += (head, _LOW_DIGITS[seq & 255], tail, chunk, b"\n\n")
        return b"".join(pieces)

    def _set_token(self, token: str) -> None:
        self._token = token
        self._tail = b".%b\ndata: " % token.encode()

    def _set_block(self, block: int) -> bytes:
        self._block = block
        self._head = b"%b%06x" % (self._run, block)
        return self._head


class SSEEvent(NamedTuple):
    """A parsed event.

    Attributes:
        id: the last event id; an event without an id inherits the previous one.
        event: its type, by default `message`.
        data: its data lines, joined with line feeds.
    """

    id: str
    event: str
    data: str


class EventTooLarge(ValueError):
    """An event, or a line, exceeds the parser's limit."""


class SSEParser:
    """Turns bytes, split anywhere, into events. An unfinished event at the end is dropped.

    Attributes:
        last_event_id: the id of the last event, or of the last empty one with an id.
        retry: the delay of a reconnect that the server asked for, in milliseconds.
    """

    def __init__(self, *, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self.last_event_id = ""
        self.retry: int | None = None
        self._max_bytes = max_event_bytes
        self._first_line = True
        self._after_cr = False
        self._line = bytearray()
        self._id = b""
        self._event = b""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[SSEEvent]:
        """Parse the next bytes. Returns the events that they complete.

        Raises:
            EventTooLarge: close the connection.
        """
        if self._after_cr and data:
            self._after_cr = False
            data = data.removeprefix(b"\n")
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = data.split(b"\n")
        rest = lines.pop()
        if lines and self._line:
            lines[0] = bytes(self._line) + lines[0]
            self._line.clear()
        events: list[SSEEvent] = []
        for line in lines:
            if line:
                self._take_line(line)
            else:
                self._dispatch(events)
            self._first_line = False
        self._line += rest
        self._bound(len(self._line))
        return events

    def _take_line(self, line: bytes) -> None:
        self._bound(len(line))
        if self._first_line:
            line = line.removeprefix(_BOM)
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
            self._size += len(value) + 1
        elif field == b"id":
            if b"\0" not in value:
                self._id = value
        elif field == b"event":
            self._event = value
        elif field == b"retry" and value.isdigit() and len(value) < 10:
            self.retry = int(value)

    def _dispatch(self, events: list[SSEEvent]) -> None:
        self.last_event_id = self._id.decode(errors="replace")
        if self._data:
            kind = self._event.decode(errors="replace") or "message"
            data = b"\n".join(self._data).decode(errors="replace")
            events.append(SSEEvent(self.last_event_id, kind, data))
            self._data.clear()
            self._size = 0
        self._event = b""

    def _bound(self, line_bytes: int) -> None:
        if self._size + line_bytes > self._max_bytes:
            raise EventTooLarge(f"An event has more than {self._max_bytes} bytes.")
