"""The subscribed connection of a process: how it is left, and when it is made again."""

from __future__ import annotations

import asyncio
from typing import Any, NoReturn

import pytest

from durable_llm_streams.errors import StoreUnavailable
from durable_llm_streams.stores.redis.client.address import RedisAddress
from durable_llm_streams.stores.redis.client.protocols import OnMessage
from durable_llm_streams.stores.redis.context import Retention, Shared
from durable_llm_streams.stores.redis.live.events import _RETRY_SECONDS, Events
from durable_llm_streams.stores.redis.partitions import Partitions
from tests.virtual_time import virtual

EVENTS = "{p:0}:events"


def down() -> StoreUnavailable:
    return StoreUnavailable("Redis does not answer.")


class Connection:
    """One subscribed connection.

    Args:
        refuses: whether it takes no subscription.
    """

    def __init__(self, refuses: bool) -> None:
        self.closed = False
        self.channels: list[str | bytes] = []
        self._refuses = refuses
        self._end: asyncio.Future[StoreUnavailable] = asyncio.get_running_loop().create_future()

    async def subscribe(self, *channels: str | bytes) -> None:
        if self._refuses:
            raise down()
        self.channels += channels

    async def unsubscribe(self, *channels: str | bytes) -> None:
        for channel in channels:
            self.channels.remove(channel)

    async def listen(self, on_message: OnMessage) -> NoReturn:
        raise await self._end

    def cut(self) -> None:
        self._end.set_result(down())

    async def close(self) -> None:
        self.closed = True


class Redis:
    """Gives connections, notes when it was asked, and how often something may have been missed."""

    def __init__(self) -> None:
        self.address = RedisAddress.parse("redis://nowhere?timeout=5")
        self.down = self.refuses = False
        self.given: list[Connection] = []
        self.asked: list[float] = []
        self.cuts = 0

    async def subscriber(self) -> Connection:
        self.asked.append(asyncio.get_running_loop().time())
        if self.down:
            raise down()
        self.given.append(Connection(self.refuses))
        return self.given[-1]

    def cut(self) -> None:
        self.cuts += 1

    def heard(self, event: bytes) -> None:
        """Nothing is published."""


async def started() -> tuple[Redis, Events]:
    redis: Any = Redis()
    shared = Shared(redis, Retention())
    shared.opened(Partitions(redis, "p", 1), "life")
    events = Events(shared, redis)
    await events.start()
    return redis, events


@pytest.mark.promise("outage")
@virtual
async def test_a_lost_connection_is_closed_and_each_outage_begins_with_short_pauses() -> None:
    redis, events = await started()
    first, longest = _RETRY_SECONDS
    for outage in (1, 2):
        redis.down, redis.asked = True, []
        redis.given[-1].cut()
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(20)
        assert redis.asked[0] - began == pytest.approx(first), f"outage {outage}"
        assert redis.asked[-1] - redis.asked[-2] == pytest.approx(longest), f"outage {outage}"
        redis.down = False
        await asyncio.sleep(2)
        assert [connection.closed for connection in redis.given] == [True] * outage + [False]
    await events.close()
    assert redis.given[-1].closed, "it was closed, and its connection was not"


@pytest.mark.promise("no-leak", "outage")
@virtual
async def test_a_connection_that_takes_no_subscription_is_closed_and_made_again() -> None:
    redis, events = await started()
    redis.refuses = True
    redis.given[-1].cut()
    await asyncio.sleep(20)
    assert len(redis.given) > 10
    assert all(connection.closed for connection in redis.given), "a connection was left open"
    for outage in (1, 2):
        following = asyncio.create_task(events.follow("r1", "channel"))
        await asyncio.sleep(1)
        assert not following.done(), f"outage {outage}: nothing is subscribed yet"
        cuts, redis.refuses = redis.cuts, False
        await following
        assert redis.given[-1].channels == [EVENTS, "channel"], f"outage {outage}"
        assert redis.cuts > cuts, "readers and feeds are not told to look again"
        redis.refuses = True
        redis.given[-1].cut()
        await asyncio.sleep(1)
    with pytest.raises(StoreUnavailable, match="does not answer"):
        await events.follow("r1", "channel")
    await events.close()
