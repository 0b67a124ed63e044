"""One connection: its bytes come here directly, and hiredis parses them.

redis-py opens the connection (`dialing`). Its own way to read costs a task's turn and a timeout for
each reply; here a reply costs a function call.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import Any

import hiredis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, ResponseError

from .protocols import Word

_UNFINISHED = object()
_CLOSE_SECONDS = 1.0


def pack(*words: Word) -> bytes:
    """A command as the protocol has it."""
    packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]  # its stub knows one word
    return packed


class Wire(asyncio.Protocol, ABC):
    """An open connection whose replies go to `take`, one after the other, until `ended` is called.

    Args:
        writer: the connection. It is this object's from now on.
    """

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._loop = asyncio.get_running_loop()
        self._writer = writer  # closes the connection when it is collected
        self._replies = hiredis.Reader(
            protocolError=InvalidResponse, replyError=ResponseError, notEnoughData=_UNFINISHED
        )
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._transport = writer.transport
        self._before = self._transport.get_protocol()
        self._transport.set_protocol(self)
        #: Why it can carry nothing any more.
        self.reason: Exception = RedisConnectionError("The connection was closed.")
        #: When the last byte came, in the loop's time.
        self.heard = self._loop.time()

    @property
    def lost(self) -> bool:
        """Whether it can carry nothing any more."""
        return self._gone.done() or self._transport.is_closing()

    @abstractmethod
    def take(self, reply: Any) -> None:
        """A reply has come; errors come as `redis.ResponseError` objects."""

    @abstractmethod
    def ended(self, error: Exception) -> None:
        """The connection is gone."""

    def abort(self, error: Exception) -> None:
        """Give the connection up."""
        if not self._gone.done():
            self.reason = error
            self._gone.set_result(None)
            self._transport.abort()
            self.ended(error)

    async def close(self) -> None:
        """Close the connection; what was sent is still sent."""
        self._transport.close()
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await asyncio.shield(self._gone)
        except TimeoutError:
            self.abort(self.reason)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        self.heard = self._loop.time()
        gets = self._replies.gets
        try:
            self._replies.feed(data)
            while (reply := gets()) is not _UNFINISHED:
                self.take(reply)
        except InvalidResponse as error:
            self.abort(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._before.connection_lost(exc)
        if not self._gone.done():
            self.reason = RedisConnectionError(f"The connection was cut ({exc or 'closed'}).")
            self._gone.set_result(None)
            self.ended(self.reason)
