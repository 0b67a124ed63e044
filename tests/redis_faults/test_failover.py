"""A master dies: the Sentinels name another one; a Cluster lives on without it, or waits."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from durable_llm_streams.stores.redis.cluster import slot_of
from tests.redis_faults.fleet import Fleet, fleet, refused, until
from tests.redis_faults.reader import Reader
from tests.redis_servers import ClusterSetup, SentinelSetup
from tests.redis_servers.cluster import SLOTS

pytestmark = [pytest.mark.xdist_group("redis_faults_failover"), pytest.mark.timeout(180)]

QUESTION = "How?"


async def asked(servers: Fleet, chats: Sequence[str], record: int) -> list[Reader]:
    """A question in each chat, asked at one server and read at both."""
    one, other = (server.url for server in servers.servers)
    readers = [servers.reader(chat, one, other).ask(QUESTION) for chat in chats]
    readers += [servers.reader(chat, other, one).follow() for chat in chats]
    for reader in readers:
        await reader.reaches(record)
    return readers


@pytest.mark.promise("outage")
async def test_answers_are_completed_behind_a_sentinel_failover(tmp_path: Path) -> None:
    async with SentinelSetup(tmp_path) as sentinels, fleet(tmp_path, sentinels.url) as servers:
        readers = await asked(servers, [f"chat-{number}" for number in range(4)], 30)
        old = await sentinels.kill_master()
        await sentinels.failed_over(old)
        for reader in readers:
            async with asyncio.timeout(40):
                await reader.ended
        # Replication is not waited for: whose last moments were lost was told so, and starts over.
        for reader in readers:
            if reader.lost:
                servers.readers.remove(reader)
                servers.reader(reader.chat).ask(QUESTION)
        await servers.verify()


def chats_of(servers: Fleet, cluster: ClusterSetup, count: int) -> list[list[str]]:
    """So many chats for each master, in partitions that it has."""
    partitions = servers.oracle.store._shared.partitions
    found: list[list[str]] = [[] for _ in cluster.servers]
    for number in itertools.count():
        chat = f"chat-{number}"
        chats = found[slot_of(partitions.of_chat(chat)) * len(found) // SLOTS]
        if len(chats) < count:
            chats.append(chat)
        if all(len(chats) == count for chats in found):
            return found
    raise AssertionError


@pytest.mark.promise("outage")
async def test_a_cluster_without_one_of_its_masters_waits_for_it(tmp_path: Path) -> None:
    async with (
        ClusterSetup(tmp_path, appendfsync="always") as cluster,
        fleet(tmp_path, cluster.url) as servers,
    ):
        first, second, third = chats_of(servers, cluster, 3)
        late = servers.reader(second.pop())
        chats = [*first, *second, *third]
        readers = await asked(servers, chats, 30)
        async with servers.watched():
            await cluster.servers[1].kill()
            late.ask(QUESTION)
            await until("a send is refused", partial(refused, late))
            await cluster.servers[1].start()
            await servers.verify()
        assert not any(reader.lost for reader in readers)
