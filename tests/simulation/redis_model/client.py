"""A simulated process's way to the model of Redis: what `Database` is in production."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NoReturn

from durable_llm_streams.errors import StoreUnavailable
from durable_llm_streams.stores.redis import RedisAddress, RedisStore
from durable_llm_streams.stores.redis.client.address import Node
from durable_llm_streams.stores.redis.client.connection import Word
from durable_llm_streams.stores.redis.client.errors import (
    RedisConnectionError,
    RedisError,
    RedisTimeoutError,
    ResponseError,
)
from durable_llm_streams.stores.redis.client.failures import unavailable
from durable_llm_streams.stores.redis.client.protocols import OnMessage
from durable_llm_streams.stores.redis.client.script import Script

from .keyspace import ErrorReply, Reply
from .network import Connection, Fault, ModelNetwork

Step = Callable[[], Reply]


def model_store(
    network: ModelNetwork, process: str, *, timeout: float = 5.0, **options: Any
) -> RedisStore:
    """The product's store for a process, not open yet."""
    # Of a socket that does not exist: a failure's diagnosis finds no real server.
    address = RedisAddress.parse(f"unix:///model/redis.sock?timeout={timeout}")
    return RedisStore(address, client=ModelClient(network, process, address), **options)


class ModelClient:
    """A process's client. Implements `RedisClient` by the rules of `Database`."""

    def __init__(self, network: ModelNetwork, process: str, address: RedisAddress) -> None:
        self.address = address
        self._network = network
        self._process = process
        self._calls: Calls | None = None
        self._closed = False

    async def call(self, script: Script, keys: Sequence[str | bytes], args: Sequence[Word]) -> Any:
        run = partial(self._network.server.run, script, _words(keys), _words(args))
        try:
            return await self._ask(script.name, run)
        except RedisError as error:
            translated = unavailable(error)
            if translated is None:
                raise
            raise translated from error

    async def command(self, *args: Word, node: Node | None = None) -> Any:
        words = _words(args)
        return await self._ask(words[0].decode(), partial(self._network.server.command, *words))

    async def masters(self) -> Sequence[Node | None]:
        return [None]

    async def subscriber(self) -> ModelSubscriber:
        try:
            cut = self._network.cut_subscriber(self._process)
            await self._network.dial(refused=cut is not None)
        except RedisConnectionError as error:
            raise _unavailable(error) from error
        return ModelSubscriber(self._network, self._process)

    async def close(self) -> None:
        self._closed = True
        if self._calls is not None:
            self._calls.leave(RedisConnectionError("The connection was closed here."))

    async def _ask(self, name: str, step: Step) -> Any:
        deadline = asyncio.get_running_loop().time() + self.address.timeout
        try:
            return await self._ask_once(name, step, deadline)
        except RedisConnectionError:
            return await self._ask_once(name, step, deadline)

    async def _ask_once(self, name: str, step: Step, deadline: float) -> Any:
        if self._calls is None or self._calls.closed:
            await self._network.dial()
            if self._closed:
                raise RedisConnectionError("The connection was closed here.")
            self._calls = Calls(self._network, self._process)
        return await self._calls.ask(name, step, deadline)


class _Call:
    """A call under way."""

    __slots__ = ("arrives", "reply", "run_later", "sent")

    def __init__(self, reply: asyncio.Future[Reply], sent: float) -> None:
        self.reply = reply
        self.sent = self.arrives = sent
        self.run_later: asyncio.TimerHandle | None = None


class Calls(Connection):
    """The connection for calls."""

    use = "calls"

    def __init__(self, network: ModelNetwork, process: str) -> None:
        super().__init__(network, process)
        self._waiting: dict[_Call, None] = {}
        self._last_arrival = 0.0
        self._heard = -1.0  # when something came from the server

    async def ask(self, name: str, step: Step, deadline: float) -> Reply:
        """Send a call and wait for its reply."""
        call = _Call(self.loop.create_future(), self.loop.time())
        self._waiting[call] = None
        fault = self.network.fault(self.process, name)
        seconds = self.network.latency()
        call.arrives = self._last_arrival = max(self._last_arrival, call.sent + seconds)
        if not self.broken:
            stall = fault.seconds if fault else 0.0
            call.run_later = self.to_server.send(seconds + stall, self._run, call, step, fault)
        timer = self.loop.call_at(deadline, self._expire, call)
        try:
            return await call.reply
        finally:
            timer.cancel()

    def server_lost(self) -> None:
        """Calls that are still under way may be lost; all behind a lost one are."""
        now, lost = self.loop.time(), self.broken
        for call in self._waiting:
            lost = lost or (call.arrives > now and not self.network.arrives(self.process))
            if lost and call.run_later is not None:
                call.run_later.cancel()

    def process_lost(self, error: Exception) -> None:
        for call in self._waiting:
            if not call.reply.done():
                call.reply.set_exception(type(error)(*error.args))
        self._waiting.clear()

    def _run(self, call: _Call, step: Step, fault: Fault | None) -> None:
        kind = None if fault is None else fault.kind
        if kind == "lose-request":
            self.cut()
            return
        outcome: Reply | ResponseError
        try:
            outcome = step()
        except ErrorReply as error:
            outcome = ResponseError(str(error))
        if kind == "lose-reply":
            self.cut()
        elif not self.closed:
            self.to_process.send(self.network.latency(), self._answer, call, outcome)

    def _answer(self, call: _Call, outcome: Reply | ResponseError) -> None:
        self._heard = self.loop.time()
        self._waiting.pop(call, None)
        if self.closed or call.reply.done():
            return
        if isinstance(outcome, ResponseError):
            call.reply.set_exception(outcome)
        else:
            call.reply.set_result(outcome)

    def _expire(self, call: _Call) -> None:
        if not call.reply.done():
            call.reply.set_exception(RedisTimeoutError("The server did not answer in time."))
            if self._heard < call.sent:
                self.leave(RedisConnectionError("The server did not answer in time."))


class ModelSubscriber(Connection):
    """A connection for messages. Implements `Subscription`."""

    use = "messages"

    def __init__(self, network: ModelNetwork, process: str) -> None:
        super().__init__(network, process)
        self._channels: dict[bytes, None] = {}
        self._unconfirmed: dict[asyncio.Future[None], None] = {}
        self._early: list[tuple[bytes, bytes]] = []
        self._on_message: OnMessage = self._keep
        self._end: asyncio.Future[StoreUnavailable] = self.loop.create_future()

    async def subscribe(self, *channels: str | bytes) -> None:
        await self._change(self._subscribed, channels)

    async def unsubscribe(self, *channels: str | bytes) -> None:
        await self._change(self._unsubscribed, channels)

    async def listen(self, on_message: OnMessage) -> NoReturn:
        early, self._early = self._early, []
        for channel, payload in early:
            on_message(channel, payload)
        self._on_message = on_message
        try:
            raise await asyncio.shield(self._end)
        finally:
            self._on_message = self._keep

    async def close(self) -> None:
        self.leave(RedisConnectionError("The connection was closed here."))

    def server_lost(self) -> None:
        """Nothing is published to it from now on."""
        for channel in self._channels:
            self.network.server.unsubscribe(channel, self._published)

    def process_lost(self, error: Exception) -> None:
        self._end.set_result(_unavailable(error))
        for done in self._unconfirmed:
            if not done.done():
                done.set_exception(_unavailable(error))

    async def _change(
        self, change: Callable[[bytes], None], channels: tuple[str | bytes, ...]
    ) -> None:
        if self.closed:
            raise StoreUnavailable("The connection for messages from Redis has ended.")
        done: asyncio.Future[None] = self.loop.create_future()
        self._unconfirmed[done] = None
        self.to_server.send(self.network.latency(), self._changed, change, _words(channels), done)
        await done

    def _changed(
        self, change: Callable[[bytes], None], channels: list[bytes], done: asyncio.Future[None]
    ) -> None:
        if self.closed or self._breaks():
            return
        for channel in channels:
            change(channel)
        self.to_process.send(self.network.latency(), self._confirmed, done)

    def _subscribed(self, channel: bytes) -> None:
        self._channels[channel] = None
        self.network.server.subscribe(channel, self._published)

    def _unsubscribed(self, channel: bytes) -> None:
        self._channels.pop(channel, None)
        self.network.server.unsubscribe(channel, self._published)

    def _confirmed(self, done: asyncio.Future[None]) -> None:
        self._unconfirmed.pop(done, None)
        if not done.done():
            done.set_result(None)

    def _published(self, channel: bytes, payload: bytes) -> None:
        if not self._breaks():
            self.to_process.send(self.network.latency(), self._received, channel, payload)

    def _received(self, channel: bytes, payload: bytes) -> None:
        if not self.closed:
            self._on_message(channel, payload)

    def _breaks(self) -> bool:
        """Whether the server's side is gone, or goes now."""
        if not self.broken:
            silence = self.network.cut_subscriber(self.process)
            if silence is not None:
                self.cut(silence)
        return self.broken

    def _keep(self, channel: bytes, payload: bytes) -> None:
        self._early.append((channel, payload))


def _words(words: Sequence[Word]) -> list[bytes]:
    return [word if isinstance(word, bytes) else str(word).encode() for word in words]


def _unavailable(error: Exception) -> StoreUnavailable:
    found = unavailable(error)
    assert found is not None, f"not a temporary failure: {error!r}"
    found.__cause__ = error
    return found
