"""A migration that must not begin, has to wait for a store, or meets other clocks."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from durable_llm_streams.backoff import Backoff
from durable_llm_streams.errors import InvalidSetting, StoreLocked, StoreUnusable
from durable_llm_streams.stores import SQLiteStore
from tests.contract.harness import DAY, HOUR, Talk
from tests.migrating import (
    Partition,
    asked,
    disturbed,
    file,
    migrate,
    partition,
    redis,
    serving,
    told,
    written,
)
from tests.redis_servers import ClusterSetup, RedisServer, redis_cluster, redis_server
from tests.sqlite_stores import SQLiteStores

__all__ = ["file", "partition", "redis", "redis_cluster", "redis_server"]

pytestmark = pytest.mark.xdist_group("redis")


@pytest.mark.promise("migration")
async def test_neither_end_may_be_served(
    file: str, redis: str, redis_cluster: ClusterSetup, tmp_path: Path
) -> None:
    await written(file)
    await written(redis)
    other = f"sqlite:///{tmp_path}/other.db"
    for source, target in ((file, other), (other, file)):
        SQLiteStore(tmp_path / "other.db").file.close()
        async with serving(file):
            with pytest.raises(StoreLocked, match=r"server is running on .*chats.db. Stop it"):
                await migrate(source, target)
    cluster = redis_cluster.url
    for source, target in ((redis, other), (file, redis), (file, cluster), (cluster, other)):
        async with serving(redis), serving(cluster):
            with pytest.raises(StoreLocked, match=r"Servers are running on redis.*://.* Stop them"):
                await migrate(source, target)


@pytest.mark.promise("migration")
async def test_a_redis_with_live_leases_is_refused_until_they_expire(
    redis: str, partition: Partition, tmp_path: Path
) -> None:
    run = (await asked(redis, "c", outcome="queued")).orders[0].run_id
    async with serving(redis) as store:
        await store.runs.claim("w", 1, 600)
    target = f"sqlite:///{tmp_path}/other.db"
    with pytest.raises(StoreLocked, match="wait until its leases have run out"):
        await migrate(redis, target)
    await partition.server.command("ZADD", f"{partition.root}:leases", 1, run)
    assert (await migrate(redis, target)).copied == 1


@pytest.mark.promise("migration")
async def test_a_server_that_is_started_meanwhile_is_noticed(file: str, redis: str) -> None:
    await written(file)
    async with AsyncExitStack() as servers:

        async def start_a_server(number: int, chat: str, add_chat: Any) -> bool:
            done: bool = await add_chat()
            if number == 8:
                await servers.enter_async_context(serving(redis))
            return done

        with pytest.raises(StoreLocked, match="Servers are running"):
            await disturbed(file, redis, start_a_server)


async def test_visitors_are_known_by_their_cookies_in_an_empty_target_only(
    file: str, redis: str, tmp_path: Path
) -> None:
    await written(file)
    async with serving(file) as store:
        secret = await store.meta("secret", b"ours")
        await store.visitors.sign_out("ann", 1_700_000_000_123, forget=0)
    assert (await migrate(file, redis)).cookies
    async with serving(redis) as store:
        assert await store.meta("secret", b"?") == secret
        assert list(await store.visitors.signed_out(["ann"])) == [1_700_000_000_123]
    assert (await migrate(file, redis)).cookies, "started again it says the same"

    other = f"sqlite:///{tmp_path}/other.db"
    await written(other, seed=2)
    async with serving(other) as store:
        theirs = await store.meta("secret", b"theirs")
    assert not (await migrate(redis, other)).cookies
    async with serving(other) as store:
        assert await store.meta("secret", b"?") == theirs != secret
        assert list(await store.visitors.signed_out(["ann"])) == [0]


async def test_source_and_target_are_two_stores(
    file: str, redis: str, partition: Partition, tmp_path: Path
) -> None:
    await written(file)
    await written(redis)
    (tmp_path / "link.db").symlink_to(tmp_path / "chats.db")
    port, prefix = partition.server.port, partition.prefix
    spelled = f"redis://localhost:{port}/0?prefix={prefix}&timeout=4"
    for source, target in (
        (file, file),
        (file, f"sqlite:///{tmp_path}/x/../chats.db"),
        (file, f"sqlite:///{tmp_path}/link.db"),
        (redis, redis),
        (redis, spelled),
    ):
        with pytest.raises(InvalidSetting, match="the same store"):
            await migrate(source, target)
    assert (await migrate(redis, f"{redis}b")).copied == 8


async def test_a_source_that_does_not_exist_makes_nothing(
    file: str, redis: str, partition: Partition, tmp_path: Path
) -> None:
    clients = len((await partition.server.command("CLIENT", "LIST")).splitlines())
    with pytest.raises(StoreUnusable, match=r"There is no store at .*chats.db"):
        await migrate(file, redis)
    with pytest.raises(StoreUnusable, match="There is no store at redis://"):
        await migrate(redis, file)
    (tmp_path / "other.db").write_bytes(b"")
    with closing(sqlite3.connect(tmp_path / "other.db")) as other, other:
        other.execute("CREATE TABLE theirs (x)")
    with pytest.raises(StoreUnusable, match="another program"):
        await migrate(f"sqlite:///{tmp_path}/other.db", redis)
    left_open = (await partition.server.command("CLIENT", "LIST")).splitlines()[clients:]
    assert left_open == [], "a store that was refused is still connected"
    assert not (tmp_path / "chats.db").exists()
    assert [key for key in await partition.keys() if ":check" not in key] == []


@pytest.mark.promise("migration", "outage")
async def test_a_redis_that_restarts_in_the_midst_is_waited_for(file: str, tmp_path: Path) -> None:
    orders = await written(file, chats=20)
    calls = 0
    async with RedisServer(tmp_path, appendfsync="always") as server:

        async def restart(number: int, chat: str, add_chat: Any) -> bool:
            nonlocal calls
            calls = number
            if number != 10:
                return bool(await add_chat())
            await server.kill()
            starting = asyncio.ensure_future(server.start())
            try:
                return bool(await add_chat())
            finally:
                await starting

        outcome = await disturbed(file, server.url, restart, retry=Backoff(0.05, 0.05), tries=100)
        assert calls > 20
        assert (outcome.copied, outcome.compared, outcome.conflicts) == (20, 20, [])
        assert await told(server.url, orders) == await told(file, orders)


@pytest.mark.promise("migration", "bounded")
async def test_what_was_old_is_as_old_there_and_back_whatever_the_clocks_say(
    tmp_path: Path, redis: str, partition: Partition
) -> None:
    stores, other = (SQLiteStores(tmp_path / name) for name in ("there", "back"))
    for folder in ("there", "back"):
        (tmp_path / folder).mkdir()
    talk = Talk(stores, await stores.open())
    run = await talk.answer()
    await talk.pass_time(40 * HOUR)
    await stores.clean_up()
    assert (await migrate(f"sqlite:///{stores.path}", redis)).conflicts == []
    left = await partition.server.command("PTTL", f"{partition.root}:chat:ann/c1")
    assert abs(left / 1000 - (365 * DAY - 40 * HOUR + DAY)) < HOUR
    left = await partition.server.command("PTTL", f"{partition.root}:log:{run.id}")
    assert left > 23 * HOUR * 1000

    assert (await migrate(redis, f"sqlite:///{other.path}")).conflicts == []
    talk = Talk(other, await other.open())
    try:
        for hours, expired in ((0, 0), (1, 0), (2, 1), (2, 1)):
            await talk.pass_time(hours * HOUR)
            assert await talk.expire(log_age=42 * HOUR, chat_age=44 * HOUR) == expired
        assert await talk.chat_ids() == []
    finally:
        await other.clean_up()
