"""A connection that receives messages.

Theory of operation
===================
1. `subscribe` returns when Redis has confirmed: what is published later arrives, in order.
2. Redis closes the connection of a process that is too slow for its messages
   (client-output-buffer-limit), and its subscriber ends. Messages that come before `listen` are
   kept for it.
3. After some silence it sends a PING. A connection that stays silent has ended.
4. A subscriber that has ended is not repaired: messages may have been missed. Make a new one,
   subscribe, then read what there is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, NoReturn

from typing_extensions import override

from durable_llm_streams.errors import StoreUnavailable

from .connection import Connection, pack
from .errors import RedisTimeoutError, ResponseError
from .failures import unavailable
from .protocols import OnMessage, Subscription

_MESSAGE = b"message"
_CONFIRMATIONS = (b"subscribe", b"unsubscribe")
_PING_SECONDS = 2.0
_PING = pack("PING")


class _Confirmations:
    """How many channels a call still waits for."""

    __slots__ = ("done", "left")

    def __init__(self, left: int, done: asyncio.Future[None]) -> None:
        self.left = left
        self.done = done


class Subscriber(Subscription):
    """Receives messages; `Database.subscriber` makes it.

    Args:
        connection: without calls. It is this object's from now on.
        timeout: seconds without a byte from the server until it ends.
    """

    def __init__(self, connection: Connection, *, timeout: float) -> None:
        self._connection = connection
        self._timeout = timeout
        self._early: list[tuple[bytes, bytes]] = []
        self._on_message: OnMessage = self._keep
        self._confirmations: deque[_Confirmations] = deque()
        self._loop = asyncio.get_running_loop()
        self._end: asyncio.Future[StoreUnavailable] = self._loop.create_future()
        self._silence = min(_PING_SECONDS, timeout / 2)
        self._timer = self._loop.call_later(self._silence, self._check_silence)
        connection.on_push = self._received
        connection.on_end = self._ended
        if connection.lost:
            self._ended(connection.reason)

    @override
    async def subscribe(self, *channels: str | bytes) -> None:
        await self._change("SUBSCRIBE", channels)

    @override
    async def unsubscribe(self, *channels: str | bytes) -> None:
        await self._change("UNSUBSCRIBE", channels)

    @override
    async def listen(self, on_message: OnMessage) -> NoReturn:
        early, self._early = self._early, []
        for channel, payload in early:
            on_message(channel, payload)
        self._on_message = on_message
        try:
            raise await asyncio.shield(self._end)
        finally:
            self._on_message = self._keep

    @override
    async def close(self) -> None:
        self._timer.cancel()
        await self._connection.close()

    def _received(self, reply: Any) -> None:
        """A message, a confirmation, or the reply to a PING."""
        if isinstance(reply, list):
            kind = reply[0]
            if kind == _MESSAGE:
                self._on_message(reply[1], reply[2])
            elif kind in _CONFIRMATIONS:
                self._confirmed()
        elif isinstance(reply, ResponseError):
            if self._confirmations:
                self._confirmed(reply)
            else:
                self._connection.abort(reply)

    def _ended(self, error: Exception) -> None:
        """All callers that wait fail."""
        self._timer.cancel()
        reason = _reason(error)
        if not self._end.done():
            self._end.set_result(reason)
        while self._confirmations:
            waiting = self._confirmations.popleft().done
            if not waiting.done():
                waiting.set_exception(StoreUnavailable(str(reason)))

    async def _change(self, command: str, channels: tuple[str | bytes, ...]) -> None:
        if not channels:
            return
        if self._connection.lost:
            raise StoreUnavailable("The connection for messages from Redis has ended.")
        done: asyncio.Future[None] = self._loop.create_future()
        self._confirmations.append(_Confirmations(len(channels), done))
        self._connection.write(pack(command, *channels))
        await done

    def _confirmed(self, error: ResponseError | None = None) -> None:
        if not self._confirmations:
            return
        first = self._confirmations[0]
        first.left -= 1
        if error is not None or first.left == 0:
            self._confirmations.popleft()
            if first.done.done():
                return  # the caller was cancelled
            if error is None:
                first.done.set_result(None)
            else:
                first.done.set_exception(_reason(error))

    def _keep(self, channel: bytes, payload: bytes) -> None:
        self._early.append((channel, payload))

    def _check_silence(self) -> None:
        """Send a PING after some silence; end when the server was silent for too long."""
        silent = self._loop.time() - self._connection.received_at
        if silent >= self._timeout:
            self._connection.abort(RedisTimeoutError("no sign of life"))
            return
        if silent >= self._silence * 0.9:
            self._connection.write(_PING)
        self._timer = self._loop.call_later(self._silence, self._check_silence)


def _reason(error: Exception) -> StoreUnavailable:
    reason = unavailable(error) or StoreUnavailable(f"Redis refuses messages ({error}).")
    reason.__cause__ = error
    return reason
