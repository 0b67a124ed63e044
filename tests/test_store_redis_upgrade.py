"""A Redis that the version before filled is opened, and keeps all that it holds."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from durable_llm_streams.errors import StoreLocked, StoreUnusable
from durable_llm_streams.migrate import Migration, opened
from durable_llm_streams.migrate.redis import PortableRedis
from durable_llm_streams.stores.redis import RedisAddress, scripts
from durable_llm_streams.stores.redis.partitions import VERSION, partition_root, store_root
from tests.contract.harness import HOUR, Talk
from tests.migrating import KEEPING, migrate
from tests.redis_databases import database
from tests.redis_servers import RedisServer, redis_server
from tests.redis_servers.keys import keys_without_ttl
from tests.redis_stores import RedisStores, stores
from tests.upgraded import CHATS, assert_serves_on, fill_layout_1

__all__ = ["redis_server", "stores"]

pytestmark = pytest.mark.xdist_group("redis")


async def keys(server: RedisServer, stores: RedisStores) -> dict[str, int]:
    """The keys of the store with their times to live, in minutes."""
    async with server.client(decode_responses=True) as client:
        found = [key async for key in client.scan_iter(match=f"{stores.root}:*")]
        return {key[len(stores.root) :]: await client.pttl(key) // 60_000 for key in found}


async def version(server: RedisServer, address: RedisAddress) -> list[bytes | None]:
    meta = f"{store_root(address.prefix)}:meta"
    found: list[bytes | None] = await server.command("HMGET", meta, "version", "upgrading")
    return found


@pytest.mark.promise("migration", "owned", "takeover")
async def test_a_redis_of_the_version_before_serves_on(
    redis_server: RedisServer, stores: RedisStores
) -> None:
    await fill_layout_1(redis_server, stores._address)
    before = await keys(redis_server, stores)
    talk = Talk(stores, await stores.open())
    assert await version(redis_server, stores._address) == [b"2", None]
    names = {id_: f"{owner}/{id_}" for owner, ids in CHATS.items() for id_ in ids}
    assert await keys(redis_server, stores) == {
        ":".join([*key.split(":")[:-1], names.get(key.split(":")[-1], key.split(":")[-1])]): ttl
        for key, ttl in before.items()
    }
    await assert_serves_on(talk)
    await talk.pass_time(HOUR + 60)
    assert await talk.expire() > 0, "what was brought along has its retention, too"


@pytest.mark.promise("migration", "owned")
async def test_an_upgrade_that_was_killed_goes_on(
    redis_server: RedisServer, stores: RedisStores
) -> None:
    """One chat has its new name, the others do not; an earlier version does not start any more."""
    await fill_layout_1(redis_server, stores._address)
    async with database(redis_server.url) as client:
        root = store_root(stores._address.prefix)
        await client.call(scripts.UPGRADING, [root], [VERSION, "begin"])
        assert await client.call(scripts.UPGRADE, [stores.root], [0, 1]) == [1, 1]
    assert await version(redis_server, stores._address) == [b"2", b"1"]
    await assert_serves_on(Talk(stores, await stores.open()))
    assert await version(redis_server, stores._address) == [b"2", None]


async def test_while_servers_of_the_version_before_run_it_does_not_start(
    redis_server: RedisServer, stores: RedisStores
) -> None:
    await fill_layout_1(redis_server, stores._address)
    before = await keys(redis_server, stores)
    async with redis_server.client() as client, client.pubsub() as old:
        await old.subscribe(f"{stores.root}:events")
        await old.get_message(timeout=5)
        with pytest.raises(StoreLocked, match="Stop all of them, then start this one"):
            await stores.open()
    assert await keys(redis_server, stores) == before
    assert await version(redis_server, stores._address) == [b"1", None]
    await stores.open()


@pytest.mark.promise("bounded", "migration")
async def test_many_chats_of_one_time_all_get_their_names(
    redis_server: RedisServer, stores: RedisStores
) -> None:
    await fill_layout_1(redis_server, stores._address)
    root = stores.root
    for number in range(450):
        chat, at = f"x{number}", 1700000001000
        fields = ("owner", "zoe", "title", "x", "created", at, "updated", at, "messages", 0)
        await redis_server.command("HSET", f"{root}:chat:{chat}", *fields)
        for index in ("ages", "owner:zoe"):
            await redis_server.command("ZADD", f"{root}:{index}", at, chat)
    store = await stores.open()
    assert len((await store.chats.page("zoe", limit=1000)).chats) == 450
    names = await redis_server.command("ZRANGE", f"{root}:ages", 0, -1)
    assert len(names) == 454
    assert all(b"/" in name for name in names)


@pytest.mark.promise("migration")
@pytest.mark.parametrize("target", ["redis", "file"])
async def test_a_store_of_the_version_before_is_copied_as_it_is(
    redis_server: RedisServer, stores: RedisStores, tmp_path: Path, target: str
) -> None:
    """The source is not changed by it, so the way back is open."""
    await fill_layout_1(redis_server, stores._address)
    await redis_server.command("DEL", f"{stores.root}:leases")
    before = await keys(redis_server, stores)
    source = f"{redis_server.url}?prefix={stores._address.prefix}"
    address = f"{source}x" if target == "redis" else f"sqlite:///{tmp_path}/copy.db"
    outcome = await migrate(source, address)
    assert (outcome.copied, outcome.compared, outcome.conflicts) == (4, 4, [])
    assert await keys(redis_server, stores) == before
    assert await version(redis_server, stores._address) == [b"1", None]
    async with opened(address, f"sqlite:///{tmp_path}/other.db", *KEEPING) as (reading, _):
        listed = (await reading.listing()).chats
    assert sorted(listed) == sorted((owner, id_) for owner, ids in CHATS.items() for id_ in ids)
    assert await keys_without_ttl(redis_server.url, f"{stores.root[:-3]}x:0}}:moving") == []


@pytest.mark.promise("migration")
async def test_in_a_cluster_a_sentence_says_how_to_take_the_chats_along_and_it_works(
    redis_server: RedisServer, stores: RedisStores
) -> None:
    """With four partitions, as in a Cluster, where names decide about the partition."""
    address = stores._address = structs.replace(stores._address, partitions=4)
    await fill_layout_1(redis_server, address)
    with pytest.raises(StoreUnusable, match=r"dls migrate OLD_ADDRESS NEW_ADDRESS"):
        await stores.open()
    assert await version(redis_server, address) == [b"1", None]
    for number in range(4):
        await redis_server.command("DEL", f"{partition_root(address.prefix, number)}:leases")
    stores._address = structs.replace(address, prefix=f"{address.prefix}x")
    source, target = (PortableRedis(each, KEEPING[0]) for each in (address, stores._address))
    await source.open(must_exist=True)
    await target.open(must_exist=False)
    outcome = await Migration(source, target, tries=1).run()
    assert (outcome.copied, outcome.compared, outcome.conflicts) == (4, 4, [])
    await source.close()
    await target.close()
    await assert_serves_on(Talk(stores, await stores.open()))
