"""A connection that receives messages.

Theory of operation
===================
1. `subscribe` returns when Redis has confirmed: whatever is published later arrives, in order.
2. Messages go straight from the connection's bytes to the callback. There is no queue that could
   grow. Redis closes the connection of a process that is too slow for its messages
   (client-output-buffer-limit), and its subscriber ends. Messages that come before `listen` are
   kept for it.
3. After some quiet it sends a PING. A connection that stays silent has ended.
4. A subscriber that has ended is not repaired: messages may have been missed. Make a new one,
   subscribe, then read what there is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, NoReturn

from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from durable_llm_streams.errors import StoreUnavailable

from .failures import unavailable
from .protocols import OnMessage
from .wire import Wire, pack

_MESSAGE = b"message"
_CONFIRMATIONS = (b"subscribe", b"unsubscribe")
_QUIET_SECONDS = 2.0
_PING = pack("PING")


class _Confirmations:
    """How many channels a call still waits for."""

    __slots__ = ("done", "left")

    def __init__(self, left: int, done: asyncio.Future[None]) -> None:
        self.left = left
        self.done = done


class Subscriber(Wire):
    """A connection for messages; `Database.subscriber` makes it. Implements `Subscription`.

    Args:
        writer: the connection.
        patience: seconds without a byte from the server until it ends.
    """

    def __init__(self, writer: asyncio.StreamWriter, *, patience: float) -> None:
        self._early: list[tuple[bytes, bytes]] = []
        self._on_message: OnMessage = self._keep
        self._patience = patience
        self._confirmations: deque[_Confirmations] = deque()
        super().__init__(writer)
        self._end: asyncio.Future[StoreUnavailable] = self._loop.create_future()
        self._quiet = min(_QUIET_SECONDS, patience / 2)
        self._timer = self._loop.call_later(self._quiet, self._look)

    async def subscribe(self, *channels: str | bytes) -> None:
        """See `Subscription.subscribe`."""
        await self._change("SUBSCRIBE", channels)

    async def unsubscribe(self, *channels: str | bytes) -> None:
        """See `Subscription.unsubscribe`."""
        await self._change("UNSUBSCRIBE", channels)

    async def listen(self, on_message: OnMessage) -> NoReturn:
        """See `Subscription.listen`."""
        early, self._early = self._early, []
        for channel, payload in early:
            on_message(channel, payload)
        self._on_message = on_message
        try:
            raise await asyncio.shield(self._end)
        finally:
            self._on_message = self._keep

    async def close(self) -> None:
        """See `Subscription.close`."""
        self._timer.cancel()
        await super().close()

    def take(self, reply: Any) -> None:
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
                self.abort(reply)

    def ended(self, error: Exception) -> None:
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
        if self.lost:
            raise StoreUnavailable("The connection for messages from Redis has ended.")
        done: asyncio.Future[None] = self._loop.create_future()
        self._confirmations.append(_Confirmations(len(channels), done))
        self._transport.write(pack(command, *channels))
        await done

    def _confirmed(self, error: ResponseError | None = None) -> None:
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

    def _look(self) -> None:
        """Send a PING after some quiet; end when the server was silent for too long."""
        silent = self._loop.time() - self.heard
        if silent >= self._patience:
            self.abort(RedisTimeoutError("no sign of life"))
            return
        if silent >= self._quiet * 0.9:
            self._transport.write(_PING)
        self._timer = self._loop.call_later(self._quiet, self._look)


def _reason(error: Exception) -> StoreUnavailable:
    reason = unavailable(error) or StoreUnavailable(f"Redis refuses messages ({error}).")
    reason.__cause__ = error
    return reason
