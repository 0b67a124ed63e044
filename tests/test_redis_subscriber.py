"""Messages from a real Redis: in order, confirmed, until the connection ends."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from durable_llm_streams.errors import StoreUnavailable
from tests.redis_databases import (
    database,
    ended,
    listening,
    server_and_database,
    through_proxy,
    until,
)
from tests.redis_servers import RedisServer


async def test_what_is_published_after_subscribe_arrives_in_order(tmp_path: Path) -> None:
    async with server_and_database(tmp_path) as (_, database):
        subscriber = await database.subscriber()
        messages: list[tuple[bytes, bytes]] = []
        await subscriber.subscribe("a", b"b\xff", "a")
        await database.command("PUBLISH", "a", "early")
        await database.command("PUBLISH", "b\xff".encode("latin-1"), b"\x00\xff")
        listener = listening(subscriber, messages)
        for n in range(1000):
            await database.command("PUBLISH", "a", n)
        await subscriber.unsubscribe("a")
        await database.command("PUBLISH", "a", "unheard")
        await database.command("PUBLISH", b"b\xff", "last")
        await until(lambda: messages[-1:] == [(b"b\xff", b"last")])
        expected = [(b"a", b"early"), (b"b\xff", b"\x00\xff")]
        expected += [(b"a", b"%d" % n) for n in range(1000)]
        assert messages == [*expected, (b"b\xff", b"last")]
        await subscriber.subscribe()
        await subscriber.unsubscribe("a", b"b\xff")
        await subscriber.close()
        await ended(listener)
        with pytest.raises(StoreUnavailable):
            await subscriber.subscribe("a")


async def test_a_large_message_arrives_whole(tmp_path: Path) -> None:
    async with through_proxy(tmp_path) as (_, database):
        subscriber = await database.subscriber()
        messages: list[tuple[bytes, bytes]] = []
        listener = listening(subscriber, messages)
        await subscriber.subscribe("a")
        await database.command("PUBLISH", "a", b"x" * 3_000_000)
        await until(lambda: bool(messages))
        assert messages == [(b"a", b"x" * 3_000_000)]
        await subscriber.close()
        await ended(listener)


@pytest.mark.promise("outage")
async def test_a_subscriber_ends_when_its_connection_is_cut(tmp_path: Path) -> None:
    async with through_proxy(tmp_path) as (proxy, database):
        subscriber = await database.subscriber()
        await subscriber.subscribe("a")
        await proxy.set("hang")
        listener = listening(subscriber, [])
        waiting = asyncio.create_task(subscriber.subscribe("b"))
        await asyncio.sleep(0)
        proxy.cut()
        await ended(listener)
        with pytest.raises(StoreUnavailable):
            await waiting
        await proxy.set("refuse")
        with pytest.raises(StoreUnavailable, match="cannot be reached"):
            await database.subscriber()


async def test_a_channel_that_is_not_allowed_is_refused(tmp_path: Path) -> None:
    async with RedisServer(tmp_path, acl=["app on >pw ~* &ours +@all"]) as server:
        url = f"redis://app:pw@127.0.0.1:{server.port}"
        async with database(url) as opened:
            subscriber = await opened.subscriber()
            with pytest.raises(StoreUnavailable, match="does not allow"):
                await subscriber.subscribe("theirs")
            await subscriber.subscribe("ours")
            await subscriber.close()
