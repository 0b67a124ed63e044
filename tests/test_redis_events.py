"""The subscribed connection of a process: how it is left, and when it is made again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from durable_llm_streams.errors import StoreUnavailable
from durable_llm_streams.stores.redis.client.errors import RedisConnectionError
from durable_llm_streams.stores.redis.live import events
from durable_llm_streams.stores.redis.live.events import _RETRY, Events
from durable_llm_streams.stores.redis.partitions import Partitions
from tests.redis_peer import Peers, confirmed
from tests.virtual_time import virtual


class Listener(events.Listener):
    """Counts how often something may have been missed."""

    def __init__(self) -> None:
        self.cuts = 0

    def event(self, event: bytes) -> None:
        """Nothing is published."""

    def records(self, run_id: str, payload: bytes) -> None:
        """Nothing is published."""

    def missed(self) -> None:
        self.cuts += 1


def accepting() -> Peers:
    return Peers(lambda node, words: confirmed(words))


def closed(peers: Peers) -> list[bool]:
    return [peer.left for peer in peers.opened]


@asynccontextmanager
async def started(peers: Peers) -> AsyncIterator[tuple[Events, Listener]]:
    database, listener = peers.database(), Listener()
    partitions = Partitions(database, database.address)
    partitions.life = "life"
    connection = Events(database, partitions, listener)
    await connection.start()
    yield connection, listener
    await connection.close()
    assert all(closed(peers)), "it was closed, and a connection was not"


@pytest.mark.promise("outage")
@virtual
async def test_a_lost_connection_is_left_and_each_outage_begins_with_short_pauses() -> None:
    peers = accepting()
    async with started(peers):
        first, longest, _ = _RETRY
        for outage in (1, 2):
            peers.failure, peers.dialed = RedisConnectionError("refused"), []
            peers.opened[-1].cut()
            began = asyncio.get_running_loop().time()
            await asyncio.sleep(20)
            pauses = [after - before for before, after in pairwise([began, *peers.dialed])]
            assert first / 2 <= pauses[0] <= first, f"outage {outage}"
            assert longest / 2 <= pauses[-1] <= longest + 0.02, f"outage {outage}"
            peers.failure = None
            await asyncio.sleep(2)
            assert closed(peers) == [True] * outage + [False]


@pytest.mark.promise("no-leak", "outage")
@virtual
async def test_a_connection_that_takes_no_subscription_is_closed_and_made_again() -> None:
    peers = accepting()
    takes, refuses = peers.answer, lambda node, words: b"-NOPERM no\r\n"
    async with started(peers) as (events, listener):
        peers.answer = refuses
        peers.opened[-1].cut()
        await asyncio.sleep(20)
        assert len(peers.opened) > 10
        assert all(closed(peers)), "a connection was left open"
        for outage in (1, 2):
            following = asyncio.create_task(events.follow("r1", "channel"))
            await asyncio.sleep(1)
            assert not following.done(), f"outage {outage}: nothing is subscribed yet"
            cuts, peers.answer = listener.cuts, takes
            await following
            expected = [[b"SUBSCRIBE", b"{dls:0}:events"], [b"SUBSCRIBE", b"channel"]]
            assert peers.opened[-1].commands == expected, f"outage {outage}"
            assert listener.cuts > cuts, "readers and feeds are not woken to look again"
            peers.answer = refuses
            peers.opened[-1].cut()
            await asyncio.sleep(1)
        with pytest.raises(StoreUnavailable, match="does not answer"):
            await events.follow("r1", "channel")


@pytest.mark.promise("prefix")
@virtual
async def test_a_channel_that_is_followed_again_at_once_stays_subscribed() -> None:
    peers = accepting()
    async with started(peers) as (events, _):
        for again in (False, True):
            await events.follow("r1", "channel")
            events.unfollow("channel")
            if again:
                await events.follow("r1", "channel")
            await asyncio.sleep(1)
            kinds = [words[0] for words in peers.opened[0].commands if words[1:] == [b"channel"]]
            assert kinds[-1] == (b"SUBSCRIBE" if again else b"UNSUBSCRIBE"), kinds
