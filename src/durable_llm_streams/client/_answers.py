"""How the client treats the server's responses: go on, retry, or raise."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple

import aiohttp
import msgspec

from durable_llm_streams.chunks import decode
from durable_llm_streams.errors import CursorLost, DurableError, InvalidSetting
from durable_llm_streams.wire.sse import CONTENT_TYPE, DONE_DATA, EventTooLarge, SSEParser

from ._retry import Cut

_TERMINAL: Final = frozenset({"finish", "error", "abort"})
_TRY_AGAIN: Final = frozenset({408, 425, 429})
_PROBLEM: Final = "application/problem+json"
_PROBLEM_BYTES: Final = 64 * 1024
# RecursionError: JSON that is nested deeper than Python's stack
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Event(NamedTuple):
    """A chunk of an answer (see the AI SDK's UI message stream) and the cursor after it."""

    cursor: str
    chunk: dict[str, Any]


class ServerRefused(DurableError):
    """The server refused the request, and a retry would not change that.

    Attributes:
        status: the HTTP status.
        type, title, detail: of the problem document (RFC 9457), if there is one.
    """

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.type = str(problem.get("type") or "about:blank")
        self.title = str(problem.get("title") or "")
        self.detail = str(problem.get("detail") or "")
        reason = self.detail or self.title or "The server gave no reason."
        super().__init__(f"{reason} (HTTP {status})")


class Reading:
    """The state of reading one answer, over all its connections.

    Attributes:
        cursor: of the last event that was yielded.
        joined: whether a connection was open before.
        ended: whether the terminal chunk was yielded.
    """

    def __init__(self, cursor: str | None) -> None:
        self.cursor = cursor
        self.joined = False
        self.ended = False
        self._parser = SSEParser()
        self._saw_opening = False

    def connect(self) -> None:
        """A connection is open. Drop the unfinished event of the previous one."""
        self.joined = True
        self._parser = SSEParser()
        self._saw_opening = False

    def is_alive(self, data: bytes) -> bool:
        """Whether these bytes are a sign of life: the first ones of a connection are not."""
        saw_opening, self._saw_opening = self._saw_opening, True
        return saw_opening and bool(data)

    def feed(self, data: bytes) -> Iterator[Event]:
        """The new events that these bytes complete.

        Raises:
            Cut: the stream ended before the answer, or is invalid.
        """
        try:
            events = self._parser.feed(data)
        except EventTooLarge as error:
            raise DurableError(f"This is not the stream of an answer: {error}") from error
        for event in events:
            if event.data == DONE_DATA:
                raise Cut
            chunk = _decode_chunk(event.data)
            if not event.id:
                raise Cut("the stream has no cursors")
            if _is_later(event.id, self.cursor):
                self.cursor = event.id
                self.ended = chunk.get("type") in _TERMINAL
                yield Event(event.id, chunk)
                if self.ended:
                    return


def _decode_chunk(data: str) -> dict[str, Any]:
    try:
        chunk = decode(data)
    except _UNREADABLE:
        chunk = None
    if not isinstance(chunk, dict) or not isinstance(chunk.get("type"), str):
        raise Cut("the stream holds something other than chunks")
    return chunk


@contextmanager
def failures_as_cuts() -> Iterator[None]:
    """Raise failures of the network as `Cut`."""
    try:
        yield
    except aiohttp.InvalidURL as error:
        raise InvalidSetting(f"This is not a server's address: {error.url}") from error
    except TimeoutError as error:
        raise Cut("the server is silent") from error
    except aiohttp.ClientConnectorError as error:
        raise Cut("the server cannot be reached") from error
    except (aiohttp.ClientError, OSError) as error:
        raise Cut(f"the connection broke ({type(error).__name__})") from error


async def check(response: aiohttp.ClientResponse) -> None:
    """Raise for a response that is not a success.

    Raises:
        Cut: try again.
        ServerRefused: a retry would not help.
        CursorLost: HTTP 410.
    """
    status = response.status
    if status in {200, 201, 202, 204}:
        return
    if status < 400 or status >= 500 or status in _TRY_AGAIN:
        retry_after = _retry_after(response.headers.get("Retry-After", ""))
        raise Cut(f"the server answered HTTP {status}", retry_after)
    problem: object = None
    if response.content_type == _PROBLEM:
        try:
            problem = decode(await response.content.read(_PROBLEM_BYTES))
        except _UNREADABLE:
            problem = None
    refused = ServerRefused(status, problem if isinstance(problem, dict) else {})
    if status == 410:
        raise CursorLost from refused
    raise refused


async def check_stream(response: aiohttp.ClientResponse, *, joined: bool) -> bool:
    """Whether there is a stream to read. Raises what `check` raises.

    Args:
        response: the response.
        joined: whether this answer's stream was open before. Then it must exist, and a 404 without
            a problem document comes from a proxy that has no server now.
    """
    if joined and response.status == 404 and response.content_type != _PROBLEM:
        raise Cut("a proxy found no server (HTTP 404)")
    await check(response)
    if response.status == 204:
        if response.method == "POST":
            raise Cut("something other than the server answered")
        if joined:
            raise CursorLost
        return False
    if response.content_type != CONTENT_TYPE:
        raise Cut("something other than the server answered")
    return True


def _is_later(cursor: str, than: str | None) -> bool:
    """Whether a cursor `RUN.SEQ.TOKEN` comes after `than`; a cursor of another run always does."""
    if than is None:
        return True
    place, known = cursor.rpartition(".")[0], than.rpartition(".")[0]
    same_run = place.partition(".")[0] == known.partition(".")[0]
    return place > known if same_run else True


def _retry_after(value: str) -> float:
    """Seconds from now. The header holds seconds or a date."""
    if value.isdecimal():
        return float(min(int(value[:9]), 86_400))  # `int` refuses very long numbers
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError, IndexError):
        return 0.0
