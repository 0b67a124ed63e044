"""One connection for all calls to a server.

Theory of operation
===================
1. Calls are sent as they come and answered in that order, so one connection carries any number of
   them at a time: there is no pool to run out of, and no task or lock per call.
2. A call that is not answered by its deadline fails. If not a byte has come since it was sent, the
   link is dead or the server frozen: the link is given up, and all calls on it fail.
3. Writing stops while the kernel takes nothing more: then callers wait, and no buffer grows.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from .wire import Wire


class Link(Wire):
    """A connection that carries calls."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._room = asyncio.Event()
        self._room.set()
        super().__init__(writer)

    async def ask(self, packed: bytes, deadline: float) -> Any:
        """Send a command and wait for its reply.

        Args:
            packed: the command as the protocol has it.
            deadline: in the loop's time.

        Raises:
            redis.ResponseError: the server's answer is an error.
            redis.ConnectionError: the connection was cut; whether the command ran is unknown.
            redis.TimeoutError: no answer by the deadline; whether the command ran is unknown.
        """
        if not self._room.is_set():
            try:
                async with asyncio.timeout_at(deadline):
                    await self._room.wait()
            except TimeoutError:
                self.abort(RedisTimeoutError("The server takes nothing more."))
                raise RedisTimeoutError("The server takes nothing more.") from None
        reply = self.send(packed)
        timer = self._loop.call_at(deadline, self._expire, reply, self._loop.time())
        try:
            return await reply
        finally:
            timer.cancel()

    def send(self, packed: bytes) -> asyncio.Future[Any]:
        """Send a command now; the future is its reply.

        Raises:
            redis.ConnectionError: there is no connection any more.
        """
        if self.lost:
            raise _again(self.reason)
        reply: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append(reply)
        self._transport.write(packed)
        return reply

    def take(self, reply: Any) -> None:
        """The oldest call that waits gets the reply."""
        if not self._waiting:
            # The server is full, or ends idle connections; it says so and closes.
            self.abort(
                reply
                if isinstance(reply, ResponseError)
                else RedisConnectionError(f"The server said something unasked: {reply!r:.100}")
            )
            return
        waiting = self._waiting.popleft()
        if waiting.done():
            return  # nobody waits any more
        if isinstance(reply, ResponseError):
            waiting.set_exception(reply)
        else:
            waiting.set_result(reply)

    def ended(self, error: Exception) -> None:
        """All calls that wait fail."""
        self._room.set()
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_exception(_again(error))

    def pause_writing(self) -> None:
        """The kernel takes nothing more."""
        self._room.clear()

    def resume_writing(self) -> None:
        """The kernel takes more again."""
        self._room.set()

    def _expire(self, reply: asyncio.Future[Any], sent: float) -> None:
        if reply.done():
            return
        reply.set_exception(RedisTimeoutError("The server did not answer in time."))
        if self.heard < sent:
            self.abort(RedisConnectionError("The server did not answer in time."))


def _again(error: Exception) -> Exception:
    """The same error for one more waiter: raising it adds a traceback to it."""
    return type(error)(*error.args)
