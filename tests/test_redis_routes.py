"""Calls and messages where the server changes: Sentinel and Cluster."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from durable_llm_streams.errors import StoreUnavailable
from durable_llm_streams.stores.redis.client.address import Node
from durable_llm_streams.stores.redis.client.cluster import read_slots, slot_of
from tests.redis_databases import (
    ADD,
    KEY,
    database,
    ended,
    listening,
    until_works,
)
from tests.redis_servers import ClusterSetup, SentinelSetup
from tests.waiting import until


@pytest.mark.promise("outage")
async def test_after_a_failover_calls_and_messages_go_to_the_new_master(tmp_path: Path) -> None:
    async with SentinelSetup(tmp_path, password="pw") as setup, database(setup.url) as opened:
        assert await opened.call(ADD, [KEY], []) == 1
        subscriber = await opened.subscriber()
        listener = listening(subscriber, [])
        await subscriber.subscribe("a")
        old = await setup.kill_master()
        await ended(listener)
        with pytest.raises(StoreUnavailable):
            await opened.call(ADD, [KEY], [])
        new = await setup.failed_over(old)
        assert await until_works(lambda: opened.call(ADD, [KEY], [])) >= 1
        again = await until_works(opened.subscriber)
        messages: list[tuple[bytes, bytes]] = []
        listener = listening(again, messages)
        await again.subscribe("a")
        await new.command("PUBLISH", "a", "b")
        await until(lambda: bool(messages))
        await again.close()
        await ended(listener)


async def test_a_dead_sentinel_is_passed_over(tmp_path: Path) -> None:
    async with SentinelSetup(tmp_path) as setup:
        await setup.sentinels[0].kill()
        async with database(setup.url) as opened:
            assert await opened.call(ADD, [KEY], []) == 1
        await setup.sentinels[1].kill()
        await setup.sentinels[2].kill()
        async with database(setup.url) as opened:
            with pytest.raises(StoreUnavailable, match="No master found"):
                await opened.call(ADD, [KEY], [])


async def test_each_key_of_a_cluster_is_asked_of_its_server(tmp_path: Path) -> None:
    async with ClusterSetup(tmp_path, password="pw") as setup, database(setup.url) as opened:
        keys = [f"{{t:{n}}}:key" for n in range(32)]
        assert await asyncio.gather(*(opened.call(ADD, [key], []) for key in keys)) == [1] * 32
        sizes = [await server.command("DBSIZE") for server in setup.servers]
        assert sum(sizes) == 32
        assert all(sizes)
        assert len(await opened.masters()) == 3


async def test_one_server_of_a_cluster_is_enough_to_find_the_others(tmp_path: Path) -> None:
    async with ClusterSetup(tmp_path) as setup:
        port = setup.servers[0].port
        async with database(f"redis+cluster://127.0.0.1:1,127.0.0.1:{port}") as opened:
            for n in range(8):
                assert await opened.call(ADD, [f"{{t:{n}}}"], []) == 1


async def test_a_message_of_one_server_of_a_cluster_reaches_a_subscriber_of_any(
    tmp_path: Path,
) -> None:
    async with ClusterSetup(tmp_path) as setup, database(setup.url) as opened:
        subscriber = await opened.subscriber()
        messages: list[tuple[bytes, bytes]] = []
        listener = listening(subscriber, messages)
        await subscriber.subscribe("a")
        for n, server in enumerate(setup.servers):
            await server.command("PUBLISH", "a", n)
            await until(lambda n=n: len(messages) == n + 1)  # type: ignore[misc]
        await subscriber.close()
        await ended(listener)


@pytest.mark.promise("outage")
async def test_keys_that_move_are_waited_for_and_then_followed(tmp_path: Path) -> None:
    async with ClusterSetup(tmp_path) as setup, database(setup.url) as opened:
        keys = [KEY, f"{KEY}2"]
        assert [await opened.call(ADD, [key], []) for key in keys] == [1, 1]
        sizes = [await server.command("DBSIZE") for server in setup.servers]
        source, target = (setup.servers[sizes.index(size)] for size in (2, 0))
        async with setup.moving(slot_of(KEY), source, target):
            calls = [opened.call(ADD, [key], []) for key in keys]
            results = await asyncio.gather(*calls, return_exceptions=True)
            refused = [result for result in results if isinstance(result, StoreUnavailable)]
            assert len(refused) == 1, f"one of the two keys has moved: {results}"
            assert "is moving these keys" in str(refused[0])
        replies = await asyncio.gather(*(opened.call(ADD, [KEY], []) for _ in range(20)))
        assert sorted(replies) == list(range(min(replies), min(replies) + 20))


def test_a_server_that_does_not_know_its_own_name_means_itself() -> None:
    asked = Node("here", 7000)
    reply = [
        [0, 99, [b"", 7000, b"id", []], [b"10.0.0.9", 7003, b"id", []]],
        [100, 199, [None, 7001, b"id", []]],
        [200, 299, [b"10.0.0.3", 7002, b"id", []]],
    ]
    assert read_slots(reply, asked) == [
        (0, 99, Node("here", 7000)),
        (100, 199, Node("here", 7001)),
        (200, 299, Node("10.0.0.3", 7002)),
    ]


def test_a_slot_is_that_of_the_part_in_braces() -> None:
    assert slot_of("{dls:0}:run:1") == slot_of(b"{dls:0}") == slot_of("dls:0")
