"""One connection to a server.

Theory of operation
===================
1. Commands are sent as they come and answered in that order, so one connection carries any number
   of calls at a time: there is no pool to run out of, and no task or lock for a call.
2. The commands of one turn of the event loop go to the socket in one write.
3. A call without a reply by its deadline fails. One timer looks after the deadlines of all calls.
   If not a byte has come since the call was sent, the connection is dead or the server frozen: the
   connection is given up, and all calls on it fail.
4. Writing stops while the kernel's buffer is full: then callers wait, and no buffer grows.
5. A connection for messages gives each to a callback, straight from the bytes: no queue can grow.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import hiredis

from .errors import InvalidReply, RedisConnectionError, RedisTimeoutError, ResponseError

Word = str | bytes | int | float

_UNFINISHED = object()
_CLOSE_SECONDS = 1.0


def pack(*words: Word) -> bytes:
    """A command in the Redis protocol (RESP)."""
    packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]  # its stub knows one word
    return packed


def pairs(flat: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """The pairs of a flat list, as Redis returns the fields of a hash."""
    return zip(flat[::2], flat[1::2], strict=True)


class Connection(asyncio.Protocol):
    """A connection that carries calls.

    Attributes:
        reason: why it is lost.
        received_at: when the last byte came, in the loop's time.
        on_push: gets every further reply instead of the calls; None while it carries calls.
        on_end: is called with the reason when the connection is gone.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._parser = hiredis.Reader(
            protocolError=InvalidReply, replyError=ResponseError, notEnoughData=_UNFINISHED
        )
        self._transport: asyncio.Transport | None = None
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._waiting: deque[tuple[asyncio.Future[Any], float, float]] = deque()
        self._unsent: list[bytes] = []
        self._writable = asyncio.Event()
        self._writable.set()
        self._timer: asyncio.TimerHandle | None = None
        self.reason: Exception = RedisConnectionError("The connection was closed.")
        self.received_at = self._loop.time()
        self.on_push: Callable[[Any], None] | None = None
        self.on_end: Callable[[Exception], None] | None = None

    @property
    def lost(self) -> bool:
        """Whether it can carry no further calls."""
        return self._gone.done() or self._transport is None or self._transport.is_closing()

    async def ask(self, packed: bytes, deadline: float) -> Any:
        """Send a command and wait for its reply.

        Args:
            packed: the command, see `pack`.
            deadline: in the loop's time.

        Raises:
            ResponseError: the reply is an error.
            RedisConnectionError: the connection was cut; whether the command ran is unknown.
            RedisTimeoutError: no reply by the deadline; whether the command ran is unknown.
        """
        if not self._writable.is_set():
            await self._wait_until_writable(deadline)
        return await self.send(packed, deadline)

    def send(self, packed: bytes, deadline: float) -> asyncio.Future[Any]:
        """Send a command; the future is its reply. Arguments and errors as for `ask`."""
        if self.lost:
            raise _copy(self.reason)
        reply: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append((reply, deadline, self._loop.time()))
        self.write(packed)
        if self._timer is None:
            self._timer = self._loop.call_at(deadline, self._expire)
        elif deadline < self._timer.when():
            self._timer.cancel()
            self._timer = self._loop.call_at(deadline, self._expire)
        return reply

    def write(self, packed: bytes) -> None:
        """Send a command whose reply no call waits for."""
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(packed)

    def abort(self, error: Exception) -> None:
        """Give the connection up."""
        if not self._gone.done():
            if self._transport is not None:
                self._transport.abort()
            self._ended(error)

    async def close(self) -> None:
        """Close the connection; what was sent is still sent."""
        self._flush()
        if self._transport is not None:
            self._transport.close()
        try:
            await asyncio.wait([self._gone], timeout=_CLOSE_SECONDS)
        finally:
            self.abort(self.reason)

    # --- asyncio.Protocol --------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's has another base class

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        self.received_at = self._loop.time()
        parsed = self._parser.gets
        try:
            self._parser.feed(data)
            while (reply := parsed()) is not _UNFINISHED:
                if self.on_push is not None:
                    self.on_push(reply)
                else:
                    self._replied(reply)
        except InvalidReply as error:
            self.abort(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        if not self._gone.done():
            error = RedisConnectionError(f"The connection was cut ({exc or 'closed'}).")
            error.__cause__ = exc
            self._ended(error)

    def pause_writing(self) -> None:
        """The kernel's buffer is full."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The kernel's buffer has room again."""
        self._writable.set()

    # --- internals ---------------------------------------------------------------------------

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        if unsent and self._transport is not None and not self._transport.is_closing():
            self._transport.write(unsent[0] if len(unsent) == 1 else b"".join(unsent))

    def _replied(self, reply: Any) -> None:
        if not self._waiting:
            # The server is full, or ends idle connections; it says so and closes.
            refusal = isinstance(reply, ResponseError)
            unsolicited = RedisConnectionError(f"Unsolicited reply: {reply!r:.100}")
            self.abort(reply if refusal else unsolicited)
            return
        waiting = self._waiting.popleft()[0]
        if waiting.done():
            return  # the caller was cancelled, or its deadline has passed
        if isinstance(reply, ResponseError):
            waiting.set_exception(reply)
        else:
            waiting.set_result(reply)

    def _ended(self, error: Exception) -> None:
        """All calls that wait fail."""
        self.reason = error
        self._gone.set_result(None)
        self._writable.set()
        if self._timer is not None:
            self._timer.cancel()
        while self._waiting:
            waiting = self._waiting.popleft()[0]
            if not waiting.done():
                waiting.set_exception(_copy(error))
        if self.on_end is not None:
            self.on_end(error)

    def _expire(self) -> None:
        """Fail the calls whose deadline has passed, and set the timer for the next one."""
        self._timer = None
        now = self._loop.time()
        earliest: float | None = None
        for reply, deadline, sent in list(self._waiting):
            if reply.done():
                continue
            if deadline > now:
                earliest = deadline if earliest is None else min(earliest, deadline)
                continue
            reply.set_exception(RedisTimeoutError("The server did not answer in time."))
            if self.received_at <= sent:
                self.abort(RedisConnectionError("The server did not answer in time."))
                return
        if earliest is not None:
            self._timer = self._loop.call_at(earliest, self._expire)

    async def _wait_until_writable(self, deadline: float) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                await self._writable.wait()
        except TimeoutError:
            error = RedisTimeoutError("Write buffer full: the server does not read.")
            self.abort(error)
            raise _copy(error) from None


def _copy(error: Exception) -> Exception:
    """The same error for one more caller: raising it adds a traceback to it."""
    copy = type(error)(*error.args)
    copy.__cause__ = error.__cause__
    return copy
