"""Each fault on the way to the model of Redis does what its name says, and nothing else."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.exceptions import ResponseError

from durable_llm_streams.errors import StoreUnavailable
from durable_llm_streams.stores.redis import RedisAddress
from durable_llm_streams.stores.redis.client.script import Script
from tests.virtual_time import elapsed, now, until, virtual

from .redis_model import Fault, ModelClient, ModelNetwork, ModelRedis
from .redis_model.client import ModelSubscriber

PUSH = Script("push", "redis.call('RPUSH', KEYS[1], ARGV[1]) return redis.call('LLEN', KEYS[1])")
SAY = Script("say", "return redis.call('PUBLISH', KEYS[1], ARGV[1])")
LATENCY = 0.1

Messages = list[tuple[bytes, bytes]]


class World:
    """A server, the way to it, and faults that were ordered.

    Attributes:
        network: the way.
        sent: how many scripts were sent.
    """

    def __init__(self, *faults: Fault | None) -> None:
        self.server = ModelRedis(now)
        self.network = ModelNetwork(self.server, latency=lambda: LATENCY, fault=self._next)
        self.sent = 0
        self._faults = list(faults)

    def _next(self, process: str, name: str) -> Fault | None:
        self.sent += 1
        return self._faults.pop(0) if self._faults else None

    def client(self, process: str = "A") -> ModelClient:
        address = RedisAddress.parse("unix:///model/redis.sock?timeout=5")
        return ModelClient(self.network, process, address)

    @property
    def pushed(self) -> list[bytes]:
        reply = self.server.command(b"LRANGE", b"list", b"0", b"-1")
        assert isinstance(reply, list)
        return reply


async def push(client: ModelClient, word: str = "x") -> int:
    length: int = await client.call(PUSH, ["list"], [word])
    return length


@asynccontextmanager
async def listening(client: ModelClient) -> AsyncIterator[tuple[ModelSubscriber, Messages]]:
    """A subscriber to `news`, and what it has received. At the end it must have ended."""
    subscriber = await client.subscriber()
    messages: Messages = []
    await subscriber.subscribe("news")
    task = asyncio.create_task(subscriber.listen(lambda *message: messages.append(message)))
    await asyncio.sleep(0)
    yield subscriber, messages
    async with asyncio.timeout(60):
        with pytest.raises(StoreUnavailable):
            await task


# --- calls ---------------------------------------------------------------------------------------


@virtual
async def test_a_call_takes_the_way_to_the_server_and_back() -> None:
    world = World()
    assert await elapsed(push(world.client())) == pytest.approx(2 * LATENCY)
    assert world.pushed == [b"x"]


@virtual
async def test_an_error_of_a_script_is_an_error_of_the_server() -> None:
    client = World().client()
    await push(client)
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await client.call(Script("wrong", "return redis.call('GET', KEYS[1])"), ["list"], [])
    with pytest.raises(ResponseError, match=r"\.lua:2: .*nil value"):
        await client.call(Script("wrong", "local x = nil\nreturn x.y"), ["list"], [])


@pytest.mark.parametrize(
    ("fault", "once", "twice"),
    [(Fault("lose-request"), [b"x"], []), (Fault("lose-reply"), [b"x"] * 2, [b"x"] * 2)],
)
def test_a_call_whose_connection_breaks_is_repeated_once(
    fault: Fault, once: list[bytes], twice: list[bytes]
) -> None:
    @virtual
    async def test() -> None:
        world = World(fault)
        assert await push(world.client()) == len(once)
        assert world.pushed == once
        world = World(fault, fault)
        with pytest.raises(StoreUnavailable, match="connection was cut"):
            await push(world.client())
        assert world.sent == 2
        assert world.pushed == twice

    test()


@virtual
async def test_all_calls_under_way_are_cut_together_and_keep_their_order() -> None:
    world = World(Fault("lose-request"))
    client = world.client()
    lengths = await asyncio.gather(*(push(client, f"{number}") for number in range(5)))
    assert lengths == [1, 2, 3, 4, 5]
    assert world.sent == 10
    assert world.pushed == [b"0", b"1", b"2", b"3", b"4"]


@virtual
async def test_a_stalled_call_holds_up_those_behind_it() -> None:
    world = World(Fault("stall", 1.5))
    client = world.client()
    late = asyncio.create_task(push(client, "first"))
    await asyncio.sleep(0)
    assert await elapsed(push(client, "second")) == pytest.approx(1.5 + 2 * LATENCY)
    assert await late == 1
    assert world.pushed == [b"first", b"second"]


@virtual
async def test_a_call_that_stalls_too_long_ends_by_its_deadline_and_runs_later() -> None:
    world = World(Fault("stall", 7))
    client = world.client()
    with pytest.raises(StoreUnavailable, match="in time"):
        await push(client, "late")
    assert await push(client, "next") == 1  # over another connection
    await until(lambda: world.pushed == [b"next", b"late"])


@virtual
async def test_a_call_that_was_cancelled_runs_all_the_same() -> None:
    world = World()
    client = world.client()
    call = asyncio.create_task(push(client))
    await asyncio.sleep(LATENCY / 2)
    call.cancel()
    assert await push(client, "next") == 2


@virtual
async def test_nothing_is_sent_after_close() -> None:
    world = World()
    client = world.client()
    await push(client)
    await client.close()
    with pytest.raises(StoreUnavailable):
        await push(client)
    assert world.sent == 1
    assert not world.network.connections


# --- the server ----------------------------------------------------------------------------------


@virtual
async def test_a_server_that_is_down_refuses_and_comes_back_with_earlier_data() -> None:
    world = World()
    client = world.client()
    await push(client)
    state = world.server.snapshot()
    await push(client)
    async with listening(client):
        world.network.stop()
    for attempt in (push, ModelClient.subscriber):
        with pytest.raises(StoreUnavailable, match="refused"):
            await attempt(client)
    world.network.start()
    assert await push(client) == 3
    for _ in range(2):  # a state can be used again
        world.network.restart(state)
        assert await push(client) == 2


# --- messages ------------------------------------------------------------------------------------


@virtual
async def test_subscriptions_and_calls_are_cut_independently() -> None:
    world = World()
    client, other = world.client(), world.client("B")
    async with listening(client) as (subscriber, messages):
        world.network.cut("A", use="calls")
        await client.call(SAY, ["news"], ["first"])
        await until(lambda: messages == [(b"news", b"first")])
        call = asyncio.create_task(push(client))
        await asyncio.sleep(0)
        world.network.cut("A", use="messages", silence=3)
        assert await other.call(SAY, ["news"], ["lost"]) == 0
        assert await call == 1
        assert world.sent == 3, "no call was repeated"
        assert not subscriber.closed, "the process has not noticed yet"
    assert messages == [(b"news", b"first")]


@virtual
async def test_a_subscriber_that_is_cut_at_a_message_loses_it() -> None:
    world = World()
    client = world.client()
    async with listening(client) as (_, messages):
        await client.call(SAY, ["news"], ["first"])
        world.network.cut_subscriber = lambda process: 0.0
        await client.call(SAY, ["news"], ["lost"])
    assert messages == [(b"news", b"first")]
    with pytest.raises(StoreUnavailable, match="refused"):
        await client.subscriber()


@virtual
async def test_a_change_of_channels_fails_when_the_connection_is_cut() -> None:
    world = World()
    async with listening(world.client()) as (subscriber, _):
        waiting = asyncio.create_task(subscriber.subscribe("more"))
        await asyncio.sleep(0)
        world.network.cut("A", silence=2)
        with pytest.raises(StoreUnavailable, match="cut"):
            await waiting
        with pytest.raises(StoreUnavailable, match="ended"):
            await subscriber.unsubscribe("news")


@virtual
async def test_messages_keep_their_order_and_stop_when_unsubscribed() -> None:
    world = World()
    client = world.client()
    async with listening(client) as (subscriber, messages):
        await asyncio.gather(*(client.call(SAY, ["news"], [f"{n}"]) for n in range(3)))
        await subscriber.unsubscribe("news")
        assert await client.call(SAY, ["news"], ["unheard"]) == 0
        assert [payload for _, payload in messages] == [b"0", b"1", b"2"]
        await subscriber.close()


# --- processes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arrivals", "expected"), [([True, True], 3), ([True, False, True], 2), ([False, True], 1)]
)
def test_behind_a_lost_call_of_a_killed_process_all_are_lost(
    arrivals: list[bool], expected: int
) -> None:
    @virtual
    async def test() -> None:
        world = World()
        world.network.arrives = lambda process: arrivals.pop(0)
        client = world.client()
        calls = [asyncio.create_task(push(client, "arrived"))]
        await asyncio.sleep(LATENCY)
        calls += [asyncio.create_task(push(client, "under way")) for _ in range(2)]
        subscriber = await client.subscriber()
        await asyncio.sleep(LATENCY / 2)
        world.network.kill("A")
        await asyncio.sleep(4)
        assert len(world.pushed) == expected
        assert not any(call.done() for call in calls), "a killed process received something"
        assert subscriber.closed
        assert not world.network.connections
        for call in calls:
            call.cancel()

    test()


@virtual
async def test_each_side_runs_in_its_own_context() -> None:
    who = contextvars.ContextVar("who", default="nobody")
    ran: list[str] = []

    def clock() -> int:
        ran.append(who.get())
        return 0

    who.set("server")
    network = ModelNetwork(ModelRedis(clock))
    who.set("process")
    address = RedisAddress.parse("unix:///model/redis.sock")
    client = ModelClient(network, "A", address)
    subscriber = await client.subscriber()
    await subscriber.subscribe("news")
    task = asyncio.create_task(subscriber.listen(lambda *_: ran.append(who.get())))
    await asyncio.sleep(0)
    who.set("another one")
    await client.call(SAY, ["news"], ["x"])
    await asyncio.sleep(1)
    assert ran == ["server", "process"]
    task.cancel()
