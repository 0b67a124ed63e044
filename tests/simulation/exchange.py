"""One HTTP request and its response, between a client and an ASGI application in a process.

It stands where uvicorn and the network stand: bytes arrive late, are cut off anywhere, twice or
never; a client that reads slowly makes `send` wait; a disconnect is reported late or never;
the death of the process cuts the connection.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping
from typing import Any, Final, Protocol

from tests.oracle.reader import Interrupted

from .faults import Faults
from .loop import WORLD, Process

Message = MutableMapping[str, Any]
Application = Callable[[Any, Any, Any], Coroutine[Any, Any, None]]

_BUFFER: Final = 16 * 1024  # bytes between `send` and the client until `send` waits
_REFUSED_SECONDS: Final = 0.02
_LONGEST_CUT: Final = 6000  # bytes


class Serves(Protocol):
    """The process that a request goes to, as a connection sees it."""

    @property
    def process(self) -> Process: ...

    @property
    def application(self) -> Application | None: ...

    exchanges: dict[asyncio.Task[None], Exchange]


class Exchange:
    """A request under way."""

    def __init__(
        self,
        server: Serves,
        faults: Faults,
        place: str,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes = b"",
    ) -> None:
        self._server = server
        self._faults = faults
        self._place = place
        self._loop = asyncio.get_running_loop()
        self._rng = faults.rng(f"latency {place} {self._loop.time():.6f}")
        self._body = body
        self._scope = _scope(method, path, headers, body)
        self._arrived: deque[Message] = deque()
        self._on_the_way = 0
        self._last_arrival = 0.0
        self._news = self._loop.create_future()
        self._room = asyncio.Event()
        self._gone = asyncio.Event()
        self._left: int | None = None  # bytes of the body that get through; -1: not even the head
        self._is_cut = self._is_over = False
        self.status = 0
        self.headers: dict[str, str] = {}

    # --- the client's side -------------------------------------------------------------------

    async def begin(self) -> None:
        """Send the request and wait for the response's head."""
        if self._faults.strikes("lose-request", self._place):
            await asyncio.sleep(self._rng.uniform(0.01, 1.0))
            raise Interrupted("the request was lost")
        latency = self._latency()
        if slow := self._faults.strikes("slow-request", self._place):
            latency += slow.uniform(0.1, 3.0)
        await asyncio.sleep(latency)
        if self._faults.strikes("repeat-request", self._place):
            self._start(_nobody_listens)
        if cut := self._faults.strikes("cut-response", self._place):
            self._left = cut.choice((1, 1 + cut.randrange(200), 1 + cut.randrange(_LONGEST_CUT)))
        if self._faults.strikes("lose-response", self._place):
            self._left = -1
        self._start(self._send)
        head = await self._next()
        self.status = head["status"]
        self.headers = {name.decode(): value.decode() for name, value in head.get("headers", ())}

    async def piece(self) -> bytes:
        """The next bytes of the body; b"" at its end."""
        data = b""
        while not (data or self._is_over):
            message = await self._next()
            data = message.get("body", b"")
            self._room.set()
            self._is_over = not message.get("more_body")
        return data

    async def whole(self) -> bytes:
        body = b""
        while data := await self.piece():
            body += data
        return body

    def leave(self) -> None:
        """The client disconnects; the server is notified a little later."""
        if not self._gone.is_set():
            self._loop.call_later(self._latency(), self._tell_gone, context=WORLD.context)

    def cut(self) -> None:
        """The connection breaks: the process has died, or a proxy has closed it."""
        self._is_cut = True
        self._room.set()
        if not self._news.done():
            self._news.set_result(None)

    # --- the server's side -------------------------------------------------------------------

    def _start(self, send: Callable[[Message], Awaitable[None]]) -> None:
        server = self._server
        application = server.application
        if server.process.dead or application is None:
            self._loop.call_later(_REFUSED_SECONDS, self.cut, context=WORLD.context)
            return
        received = False

        async def receive() -> Message:
            nonlocal received
            if not received:
                received = True
                return {"type": "http.request", "body": self._body, "more_body": False}
            await self._gone.wait()
            return {"type": "http.disconnect"}

        answering = server.process.spawn(
            application(dict(self._scope), receive, send), f"request {self._place}"
        )
        server.exchanges[answering] = self
        answering.add_done_callback(
            lambda task: server.exchanges.pop(task, None), context=WORLD.context
        )

    async def _send(self, message: Message) -> None:
        if self._gone.is_set() or self._is_cut:
            return
        body, left = message.get("body", b""), self._left
        self._last_arrival = max(self._last_arrival + 1e-9, self._loop.time() + self._latency())
        if left is not None:
            self._left = left - len(body)
            if left <= len(body):
                broken = self._last_arrival + 1e-9
                self._loop.call_at(broken, self._break, context=WORLD.context)
                if left < 0:
                    return
                body = body[:left]
                message = {**message, "body": body, "more_body": True}
        self._on_the_way += len(body)
        self._loop.call_at(self._last_arrival, self._arrive, message, context=WORLD.context)
        while self._on_the_way > _BUFFER and not (self._gone.is_set() or self._is_cut):
            self._room.clear()
            await self._room.wait()

    def _arrive(self, message: Message) -> None:
        self._arrived.append(message)
        if not self._news.done():
            self._news.set_result(None)

    def _break(self) -> None:
        if self._is_cut:
            return  # of several messages behind the cut, the first one breaks it
        self.cut()
        if self._rng.random() < 0.8:  # else the server is never notified
            self._loop.call_later(self._rng.uniform(0, 2), self._tell_gone, context=WORLD.context)

    def _tell_gone(self) -> None:
        self._gone.set()
        self._room.set()

    async def _next(self) -> Message:
        while not self._arrived:
            if self._is_cut:
                raise Interrupted("the connection broke")
            if self._news.done():
                self._news = self._loop.create_future()
            await self._news
        message = self._arrived.popleft()
        self._on_the_way -= len(message.get("body", b""))
        return message

    def _latency(self) -> float:
        return self._rng.choice((0.0, 0.0002, 0.001, 0.004)) * self._rng.random()


async def _nobody_listens(message: Message) -> None:
    """The proxy has repeated the request and drops this response."""


def _scope(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Message:
    path, _, query = path.partition("?")
    fields = {"host": "simulated", **headers}
    if body:
        fields |= {"content-type": "application/json", "content-length": str(len(body))}
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in fields.items()],
        "client": ("client", 1),
        "server": ("simulated", 80),
        "state": {},
    }
