"""Each fault on the way to the model of Redis does what its name says, and nothing else."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

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
    """A server, the way to it, and the faults of the first calls, in order."""

    def __init__(self, *faults: Fault) -> None:
        self.server = ModelRedis(now)
        left = list(faults)
        self.network = ModelNetwork(
            self.server,
            latency=lambda: LATENCY,
            fault=lambda process, name: left.pop(0) if left else None,
        )

    def client(self, process: str = "A") -> ModelClient:
        address = RedisAddress.parse("unix:///model/redis.sock?timeout=5")
        return ModelClient(self.network, process, address)

    @property
    def pushed(self) -> str:
        """What stands in the list."""
        reply = self.server.command(b"LRANGE", b"list", b"0", b"-1")
        assert isinstance(reply, list)
        return b"".join(reply).decode()


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


#: What three calls that are sent at once are answered, what has run, and the seconds until then.
CALLS: dict[str, tuple[Sequence[Fault], str, list[int] | str, str, float]] = {
    "a call goes there and back": ([], "abc", [1, 2, 3], "abc", 0.2),
    "lost calls are made again in order": ([Fault("lose-request")], "abc", [1, 2, 3], "abc", 0.4),
    "without its reply a call runs twice": ([Fault("lose-reply")], "abc", [2, 3, 4], "aabc", 0.4),
    "a call fails that is lost twice": ([Fault("lose-request")] * 2, "a", "was cut", "", 0.4),
    "a stalled call holds up the others": ([Fault("stall", 1.5)], "abc", [1, 2, 3], "abc", 1.7),
    "a deadline stops no call": ([Fault("stall", 7)], "a", "in time", "a", 5.0),
}


@pytest.mark.parametrize(
    ("faults", "words", "replies", "ran", "seconds"), CALLS.values(), ids=CALLS
)
def test_a_fault_strikes_calls_as_its_name_says(
    faults: Sequence[Fault], words: str, replies: list[int] | str, ran: str, seconds: float
) -> None:
    @virtual
    async def test() -> None:
        world = World(*faults)
        client = world.client()
        calls = asyncio.gather(*(push(client, word) for word in words), return_exceptions=True)
        assert await elapsed(calls) == pytest.approx(seconds)
        if isinstance(replies, str):
            [error] = await calls
            assert isinstance(error, StoreUnavailable), error
            assert replies in str(error)
        else:
            assert await calls == replies
        await asyncio.sleep(3)
        assert world.pushed == ran

    test()


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


@virtual
async def test_subscriptions_and_calls_are_cut_independently() -> None:
    world = World()
    client, other = world.client(), world.client("B")
    async with listening(client) as (subscriber, messages):
        world.network.cut("A", use="calls")
        await client.call(SAY, ["news"], ["first"])
        await until(lambda: messages == [(b"news", b"first")])
        world.network.cut("A", use="messages", silence=3)
        assert await other.call(SAY, ["news"], ["lost"]) == 0
        assert await push(client) == 1
        assert not subscriber.closed, "the process has noticed before its silence was over"
    assert messages == [(b"news", b"first")]


@virtual
async def test_a_subscriber_that_is_cut_at_a_message_loses_it() -> None:
    world = World()
    client = world.client()
    async with listening(client) as (_, messages):
        world.network.cut_subscriber = lambda process: 0.0
        await client.call(SAY, ["news"], ["lost"])
    assert messages == []
    with pytest.raises(StoreUnavailable, match="refused"):
        await client.subscriber()


@pytest.mark.parametrize(
    ("arrivals", "expected"), [([True, True], "abc"), ([True, False, True], "ab"), ([False], "a")]
)
def test_behind_a_lost_call_of_a_killed_process_all_are_lost(
    arrivals: list[bool], expected: str
) -> None:
    @virtual
    async def test() -> None:
        world = World()
        world.network.arrives = lambda process: arrivals.pop(0)
        client = world.client()
        calls = [asyncio.create_task(push(client, "a"))]
        await asyncio.sleep(LATENCY)
        calls += [asyncio.create_task(push(client, word)) for word in "bc"]
        await asyncio.sleep(LATENCY / 2)
        world.network.kill("A")
        await asyncio.sleep(4)
        assert world.pushed == expected
        assert not any(call.done() for call in calls), "a killed process received something"
        assert not world.network.connections
        for call in calls:
            call.cancel()

    test()


@virtual
async def test_each_side_runs_in_its_own_context() -> None:
    who = contextvars.ContextVar("who", default="nobody")
    ran: list[str] = []
    who.set("server")
    world = World()

    def clock() -> int:
        ran.append(who.get())
        return 0

    world.server.clock = clock
    who.set("process")
    client = world.client()
    async with listening(client) as (subscriber, _):
        subscriber._on_message = lambda *_: ran.append(who.get())
        who.set("another one")
        await client.call(SAY, ["news"], ["x"])
        await subscriber.close()
    assert ran == ["server", "process"]
