"""The one client of all rigs: it asks, reads, and comes back with its cursor until the answer ends.

Three layers:

1. `take` adds an event to a `Reading` and notes what breaks the protocol. No I/O, no waiting.
2. `Transport` is how a rig brings a request to a server: real HTTP, or a simulated exchange.
3. `Client` asks one server after the other. It waits after a 503 or 409, and resumes at the
   next server after a cut. It stops after a 204 (nothing more comes), a 410 or a 404 (it is gone).
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final, NamedTuple, Protocol

from durable_llm_streams.errors import InvalidCursor
from durable_llm_streams.model import Cursor
from durable_llm_streams.wire.sse import DONE_DATA, SSEParser

from .evidence import Frame, Reading
from .violation import Violation

#: A stream that is silent for longer is given up: heartbeats come every 15 seconds.
SILENCE_SECONDS: Final = 40.0
#: Seconds until a response must have begun, for every transport.
TIMEOUT_SECONDS: Final = 30.0

_PAUSE_SECONDS: Final = 0.05


class Interrupted(Exception):
    """A connection was refused or broke. Whether the request arrived is unknown."""


class Response(Protocol):
    """A response, as it comes. Every method may raise `Interrupted`."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]:
        """By lower-case name."""
        ...

    async def piece(self) -> bytes:
        """Some more of the body; b"" at its end."""
        ...


class Request(NamedTuple):
    """A request to whichever server takes it."""

    method: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = {}


class Transport(Protocol):
    """How requests get to servers."""

    def open(self, server: int, request: Request) -> AbstractAsyncContextManager[Response]:
        """Send a request. Leaving the context closes the connection. Raises Interrupted."""
        ...


class Answered(NamedTuple):
    """A whole response, and the server that gave it."""

    server: int
    status: int
    headers: Mapping[str, str]
    body: bytes


#: Is called with each piece of a body, before it is parsed; may wait. False: the client goes away
#: now, and comes back with its cursor.
Pace = Callable[[bytes], Awaitable[bool]]


class Connection(NamedTuple):
    """The response that brings events."""

    server: int
    run_id: str
    since: float = 0.0


def take(reading: Reading, event_id: str, data: str, over: Connection, now: float = 0.0) -> None:
    """Add an event to a reading. What no reader may ever get becomes `Reading.error`."""
    if reading.error is None:
        reading.error = _wrong(reading, event_id, data, over.run_id)
    if reading.error is not None:
        return
    if data == DONE_DATA:
        reading.ended = True
        return
    reading.frames.append(Frame(Cursor.parse(event_id), data.encode()))
    reading.came.append(now)
    reading.since.append(over.since)
    if reading.sources[-1:] != [over.server]:
        reading.sources.append(over.server)


def _wrong(reading: Reading, event_id: str, data: str, named: str) -> Violation | None:
    if reading.ended:
        return Violation("one-end", f"got {data} after everything was said to be over")
    if data == DONE_DATA:
        if not reading.has_end:
            return Violation("one-end", "got `[DONE]` without a terminal record before it")
        return None
    if reading.has_end:
        return Violation("one-end", f"got {data} after the end of the answer")
    before = reading.cursor
    try:
        cursor = Cursor.parse(event_id)
    except InvalidCursor as error:
        return Violation("compatible", f"the event {data} has the id {event_id!r}: {error}")
    if cursor.run_id != (run_id := before.run_id if before is not None else named):
        return Violation("prefix", f"reads run {run_id[-4:]} and got {cursor}")
    if before is not None and cursor.seq <= before.seq:
        return Violation("prefix", f"has record {before.seq} and got {cursor.seq} after it")
    return None


class Client:
    """Asks one server after the other."""

    def __init__(self, transport: Transport, servers: int, first: int = 0) -> None:
        self._transport = transport
        self._turns = itertools.cycle([(first + turn) % servers for turn in range(servers)])

    def open(self, request: Request) -> AbstractAsyncContextManager[Response]:
        """Send a request to the next server, once. Raises Interrupted."""
        return self._transport.open(next(self._turns), request)

    async def call(self, request: Request, expected: Collection[int] = (200,)) -> Answered:
        """Send a request again and again until a server answers it.

        Args:
            request: may be repeated.
            expected: the statuses that are an answer. 503 and 409 mean: later.

        Raises:
            UnexpectedStatus: a server has answered with another status.
        """
        while True:
            server = next(self._turns)
            try:
                async with self._transport.open(server, request) as response:
                    body = await _whole(response)
                    status, headers = response.status, response.headers
            except Interrupted:
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            if status in expected:
                return Answered(server, status, headers, body)
            if status not in (409, 503):
                raise UnexpectedStatus(request, status, body)
            await asyncio.sleep(_retry_after(headers))

    async def read(
        self,
        reading: Reading,
        first: Request | None = None,
        *,
        pace: Pace | None = None,
        waits: bool = False,
        gone: Callable[[int], bool] = lambda status: False,
        accepted: Callable[[str], None] = lambda run_id: None,
    ) -> Reading:
        """Read an answer to its end, over however many connections.

        Args:
            reading: where it is kept, and where it resumes.
            first: the request that makes or finds the answer, repeated until it is accepted; None
                to read what the chat's answer is, or the one that `reading.after` names.
            pace: how the client takes what comes.
            waits: whether it waits for an answer while there is none (204 or 404).
            gone: whether 404 or 410 for `first` means that there is no longer anything to read.
            accepted: is called with the run that `first` was accepted as.
        """
        stream = f"/api/chat/{reading.chat}/stream"
        while not (reading.ended or reading.lost or reading.left or reading.error):
            named = {"last-event-id": str(reading.cursor)} if reading.cursor is not None else {}
            request = first or Request("GET", stream, headers=named)
            server = next(self._turns)
            reading.requests += 1
            try:
                async with self._transport.open(server, request) as response:
                    if response.status == 200:
                        run_id, pause = response.headers["x-run-id"], 0.0
                        reading.runs.add(run_id)
                        if first is not None:
                            accepted(run_id)
                            first = None
                            reading.after = reading.after or Cursor.beginning(run_id)
                        over = Connection(server, run_id, asyncio.get_running_loop().time())
                        await self._receive(response, over, reading, pace)
                    else:
                        reading.statuses.append(response.status)
                        pause = await self._not_200(response, reading, first, waits, gone)
            except Interrupted:
                pause = _PAUSE_SECONDS
            if pause:
                await asyncio.sleep(pause)
        return reading

    async def _receive(
        self, response: Response, over: Connection, reading: Reading, pace: Pace | None
    ) -> None:
        parser, loop = SSEParser(), asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    piece = await response.piece()
            except TimeoutError:
                return
            if not piece:
                reading.clean_ends += not reading.ended
                return
            reading.comments += piece.count(b": keep-alive")
            for event in parser.feed(piece):
                take(reading, event.id, event.data, over, loop.time())
            if reading.error or (pace is not None and not await pace(piece)):
                return

    async def _not_200(
        self,
        response: Response,
        reading: Reading,
        first: Request | None,
        waits: bool,
        gone: Callable[[int], bool],
    ) -> float:
        """What another status means. Returns the seconds to wait; 0: there is no next request."""
        status = response.status
        if status == 503 or (status == 409 and first is not None):
            return _retry_after(response.headers)
        if status in (204, 404) and waits and reading.cursor is None:
            return _PAUSE_SECONDS
        if status in (404, 410) and first is not None:
            if gone(status):
                reading.left = True
                return 0.0
        elif status in (404, 410):
            reading.lost = status
            return 0.0
        elif status == 204 and first is None:
            self._nothing_more(reading)
            return 0.0
        text = (await _whole(response)).decode(errors="replace")
        reading.error = Violation("honest-failure", f"got HTTP {status}: {text}")
        return 0.0

    @staticmethod
    def _nothing_more(reading: Reading) -> None:
        if reading.cursor is None:
            reading.left = True  # nothing is being answered now
        elif reading.frames and not reading.has_end:
            what = f"got 204 behind record {reading.last}, without a terminal record before it"
            reading.error = Violation("prefix", what)
        else:
            reading.ended = True


class UnexpectedStatus(AssertionError):
    """A server answered with a status that this request must not get."""

    def __init__(self, request: Request, status: int, body: bytes) -> None:
        what = f"{request.method} {request.path} got HTTP {status}"
        super().__init__(f"{what}: {body.decode(errors='replace')}")
        self.status = status


async def _whole(response: Response) -> bytes:
    body = b""
    while piece := await response.piece():
        body += piece
    return body


def _retry_after(headers: Mapping[str, str]) -> float:
    """The seconds that a server asks to wait for; every 503 and 409 must name them."""
    return float(headers.get("retry-after", "0.2"))
