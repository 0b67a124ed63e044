"""One connection between a process and the model of Redis: what asyncio's transport is there.

Theory of operation
===================
1. Either direction is a `Pipe`: what was put in first comes out first, nothing before its time.
   Each is emptied by callbacks of the loop, without a task.
2. What concerns the process happens in the process's context, what concerns the server in the
   network's, so that a process which is frozen or dead by its context hears nothing.
3. A connection that breaks under way is heard of in order: the replies before it still come.
4. When a process goes, what has arrived at the server is executed all the same; what is still on
   its way may be lost, and then everything behind it is.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, Literal, NamedTuple, Protocol, TypeVar

import hiredis

from .command import Words
from .faults import Fault, Use
from .messages import Client
from .server import ModelRedis
from .values import encoded_error

T = TypeVar("T")

#: So many bytes may be under way before the writer is asked to wait, and until it may go on.
_HIGH_WATER: Final = 1 << 20
_LOW_WATER: Final = 1 << 18

_UNFINISHED: Final = object()


class Way(Protocol):
    """What a connection asks of its network."""

    server: ModelRedis

    def seconds(self, process: str, direction: Literal["request", "reply"]) -> float:
        """How long bytes take now: `request` or `reply`."""
        ...

    def fate(self, process: str, use: Use, words: Words) -> Fault | None:
        """What happens to a command."""
        ...

    def pieces(self, process: str, data: bytes) -> Sequence[bytes]:
        """How a reply is cut."""
        ...

    def arrives(self, process: str, words: Words) -> bool:
        """Whether a command arrives whose sender is gone."""
        ...

    def over(self, connection: Connection) -> None:
        """A connection has ended on both sides."""
        ...


class Pipe(Generic[T]):
    """What is put in comes out in the same order, each thing not before its time.

    Args:
        loop: whose time it is.
        context: where `take` runs.
        take: called with each thing.
    """

    __slots__ = ("_context", "_handle", "_items", "_loop", "_take")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        context: contextvars.Context,
        take: Callable[[T], None],
    ) -> None:
        self._loop = loop
        self._context = context
        self._take = take
        self._items: deque[tuple[float, T]] = deque()
        self._handle: asyncio.Handle | None = None

    def put(self, seconds: float, item: T) -> None:
        """Put something in that takes so long."""
        self._items.append((self._loop.time() + seconds, item))
        if self._handle is None:
            self._wait()

    def under_way(self) -> list[T]:
        """What has not come out, the next one first."""
        return [item for _, item in self._items]

    def keep(self, count: int) -> None:
        """Lose all but the next so many."""
        while len(self._items) > count:
            self._items.pop()

    def close(self) -> None:
        """Lose everything."""
        self._items.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _wait(self) -> None:
        due, _ = self._items[0]
        if due <= self._loop.time():
            self._handle = self._loop.call_soon(self._empty, context=self._context)
        else:
            self._handle = self._loop.call_at(due, self._empty, context=self._context)

    def _empty(self) -> None:
        self._handle = None
        now = self._loop.time()
        try:
            while self._items and self._items[0][0] <= now:
                self._take(self._items.popleft()[1])
        finally:
            if self._items and self._handle is None:
                self._wait()


class _Request(NamedTuple):
    """A command under way, or None for its words: the process is gone.

    Attributes:
        size: the bytes that leave the way with it.
        arrives: when it is at the server, in the loop's time.
    """

    words: Words | None
    size: int
    arrives: float
    fault: Fault | None


class Connection(asyncio.Transport):
    """The process's side is the transport; the server's is a `Client`.

    Args:
        way: the network.
        process: whose it is.
        context: in which network the server's side runs.

    Attributes:
        process: whose it is.
        use: what it is for, as far as is known.
    """

    def __init__(self, way: Way, process: str, context: contextvars.Context) -> None:
        super().__init__()
        loop = asyncio.get_running_loop()
        self.process = process
        self.use: Use = "calls"
        self._loop = loop
        self._way = way
        self._owner = contextvars.copy_context()
        self._protocol: asyncio.BaseProtocol = asyncio.Protocol()
        self._client: Client | None = way.server.connect(process, self._push)
        self._commands = hiredis.Reader(notEnoughData=_UNFINISHED)
        self._requests = Pipe(loop, context, self._arrived)
        self._replies: Pipe[bytes | None] = Pipe(loop, self._owner, self._heard)
        self._last_arrival = 0.0
        self._bytes = 0
        self._full = False
        self._closing = False

    # --- the process's side: asyncio.Transport -----------------------------------------------

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Whom the replies go to from now on."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Whom the replies go to."""
        return self._protocol

    def is_closing(self) -> bool:
        """Whether nothing can be written any more, as far as the process knows."""
        return self._closing

    def get_write_buffer_size(self) -> int:
        """The bytes under way."""
        return self._bytes

    def write(self, data: Any) -> None:
        """Send whole commands."""
        if self._closing or self._client is None:
            return
        self._commands.feed(data)
        size = len(data)
        while (words := self._commands.gets()) is not _UNFINISHED:
            self._send(words, size)
            size = 0
        if self._bytes > _HIGH_WATER and not self._full:
            self._full = True
            assert isinstance(self._protocol, asyncio.Protocol)
            self._protocol.pause_writing()

    def close(self) -> None:
        """The process is done with it."""
        self._leave(tell=True)

    def abort(self) -> None:
        """The process gives it up."""
        self._leave(tell=True)

    # --- what the network does to it ---------------------------------------------------------

    def forsake(self) -> None:
        """The process was killed: nothing is told to it."""
        self._leave(tell=False)

    def cut(self) -> None:
        """It breaks now. The process hears of it in time."""
        if self._client is None:
            return
        self._requests.close()
        self._part()
        if self._closing:
            self._way.over(self)
        else:
            self._replies.put(self._way.seconds(self.process, "reply"), None)

    # --- requests ----------------------------------------------------------------------------

    def _send(self, words: Words, size: int) -> None:
        if words[0] == b"SUBSCRIBE":
            self.use = "messages"
        fault = self._way.fate(self.process, self.use, words)
        seconds = self._way.seconds(self.process, "request")
        if fault is not None and fault.kind == "delay":
            seconds += fault.seconds
        now = self._loop.time()
        arrives = self._last_arrival = max(self._last_arrival, now + seconds)
        if fault is not None and fault.kind == "stall":
            seconds += fault.seconds
        self._bytes += size
        self._requests.put(seconds, _Request(words, size, arrives, fault))

    def _arrived(self, request: _Request) -> None:
        if self._client is None:
            return
        words, size, _, fault = request
        if words is None:
            self._part()
            self._way.over(self)
            return
        self._bytes -= size
        if self._full and self._bytes <= _LOW_WATER:
            self._full = False
            self._loop.call_soon(self._resume, context=self._owner)
        kind = None if fault is None else fault.kind
        if fault is not None and kind == "error":
            self._push(encoded_error(fault.text))
        elif kind == "lose-request":
            self.cut()
        elif kind == "lose-reply":
            self._way.server.execute(self._client, words)
            self.cut()
        else:
            self._push(self._way.server.execute(self._client, words))

    def _resume(self) -> None:
        if not self._closing:
            assert isinstance(self._protocol, asyncio.Protocol)
            self._protocol.resume_writing()

    def _leave(self, *, tell: bool) -> None:
        """The process goes. Behind a command that does not arrive nothing does."""
        if self._closing:
            return
        self._closing = True
        self._replies.close()
        if tell:
            self._loop.call_soon(self._lost, None, context=self._owner)
        if self._client is None:
            self._way.over(self)
            return
        now, kept = self._loop.time(), 0
        for request in self._requests.under_way():
            lost = request.arrives > now and not self._way.arrives(
                self.process, request.words or ()
            )
            if lost:
                break
            kept += 1
        self._requests.keep(kept)
        seconds = self._way.seconds(self.process, "request")
        self._requests.put(seconds, _Request(None, 0, now + seconds, None))

    def _part(self) -> None:
        if self._client is not None:
            self._way.server.disconnect(self._client)
            self._client = None

    # --- replies -----------------------------------------------------------------------------

    def _push(self, data: bytes) -> None:
        """The server says something."""
        if self._closing:
            return
        for piece in self._way.pieces(self.process, data):
            self._replies.put(self._way.seconds(self.process, "reply"), piece)

    def _heard(self, data: bytes | None) -> None:
        if self._closing:
            return
        if data is None:
            self._closing = True
            self._way.over(self)
            self._lost(ConnectionResetError("the simulated connection broke"))
            return
        assert isinstance(self._protocol, asyncio.Protocol)
        self._protocol.data_received(data)

    def _lost(self, error: Exception | None) -> None:
        self._protocol.connection_lost(error)
