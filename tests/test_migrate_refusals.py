"""A migration that must not begin, or that has to wait for a store."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from durable_llm_streams.errors import (
    InvalidSetting,
    StoreLocked,
    StoreUnusable,
)
from durable_llm_streams.migrate import Migration, opened
from durable_llm_streams.stores import SQLiteStore
from tests.histories import Histories
from tests.migrating import KEEPING, file, migrate, prefix, redis, serving, told, written
from tests.redis_servers import (
    ClusterSetup,
    RedisServer,
    redis_cluster,
    redis_server,
)

__all__ = ["file", "prefix", "redis", "redis_cluster", "redis_server"]

pytestmark = pytest.mark.xdist_group("redis")


@pytest.mark.promise("migration")
async def test_neither_end_may_be_served(
    file: str, redis: str, redis_cluster: ClusterSetup, tmp_path: Path
) -> None:
    await written(file)
    await written(redis)
    other = f"sqlite:///{tmp_path}/other.db"
    for source, target in ((file, other), (other, file)):
        SQLiteStore(tmp_path / "other.db")._file.close()
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
    file: str, redis: str, tmp_path: Path, redis_server: RedisServer, prefix: str
) -> None:
    async with serving(redis) as store:
        run = await Histories(store, 1).turn("c", "ann", outcome="queued")
        await store.claim("w", 1, 600)
    target = f"sqlite:///{tmp_path}/other.db"
    with pytest.raises(StoreLocked, match="wait until its leases have run out"):
        await migrate(redis, target)
    await redis_server.command("ZADD", f"{{{prefix}:0}}:leases", 1, run.id)
    assert (await migrate(redis, target)).copied == 1


@pytest.mark.promise("migration")
async def test_a_server_that_is_started_meanwhile_is_noticed(file: str, redis: str) -> None:
    await written(file)
    async with opened(file, redis, KEEPING) as (reading, writing), AsyncExitStack() as servers:

        class Starting:
            """The target; a server starts on it with the last chat."""

            def __getattr__(self, name: str) -> Any:
                return getattr(writing, name)

            async def put_in(self, outline: Any, contents: Any) -> bool:
                done = await writing.put_in(outline, contents)
                if await writing.count() == 8:
                    await servers.enter_async_context(serving(redis))
                return done

        with pytest.raises(StoreLocked, match="Servers are running"):
            await Migration(reading, Starting(), pauses=()).run()


async def test_visitors_are_known_by_their_cookies_in_an_empty_target_only(
    file: str, redis: str, tmp_path: Path
) -> None:
    await written(file)
    async with serving(file) as store:
        secret = await store.secret()
    assert (await migrate(file, redis)).cookies
    async with serving(redis) as store:
        assert await store.secret() == secret
    assert (await migrate(file, redis)).cookies, "started again it says the same"

    other = f"sqlite:///{tmp_path}/other.db"
    await written(other, seed=2)
    async with serving(other) as store:
        theirs = await store.secret()
    assert not (await migrate(redis, other)).cookies
    async with serving(other) as store:
        assert await store.secret() == theirs != secret


async def test_source_and_target_are_two_stores(
    file: str, redis: str, redis_server: RedisServer, tmp_path: Path, prefix: str
) -> None:
    await written(file)
    await written(redis)
    (tmp_path / "link.db").symlink_to(tmp_path / "chats.db")
    spelled = f"redis://localhost:{redis_server.port}/0?prefix={prefix}&timeout=4"
    for source, target in (
        (file, file),
        (file, f"sqlite:///{tmp_path}/x/../chats.db"),
        (file, f"sqlite:///{tmp_path}/link.db"),
        (redis, redis),
        (redis, spelled),
    ):
        with pytest.raises(InvalidSetting, match="the same store"):
            await migrate(source, target)
    assert (await migrate(redis, f"{redis_server.url}?prefix={prefix}b")).copied == 8


async def test_a_source_that_does_not_exist_makes_nothing(
    file: str, redis: str, redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    clients = len((await redis_server.command("CLIENT", "LIST")).splitlines())
    with pytest.raises(StoreUnusable, match=r"There is no store at .*chats.db"):
        await migrate(file, redis)
    with pytest.raises(StoreUnusable, match="There is no store at redis://"):
        await migrate(redis, file)
    (tmp_path / "other.db").write_bytes(b"")
    with closing(sqlite3.connect(tmp_path / "other.db")) as other, other:
        other.execute("CREATE TABLE theirs (x)")
    with pytest.raises(StoreUnusable, match="something else"):
        await migrate(f"sqlite:///{tmp_path}/other.db", redis)
    left_open = (await redis_server.command("CLIENT", "LIST")).splitlines()[clients:]
    assert left_open == [], "a store that was refused is still connected"
    assert not (tmp_path / "chats.db").exists()
    async with redis_server.client() as client:
        left = [key async for key in client.scan_iter(match=f"{{{prefix}*")]
    assert [key for key in left if b":check" not in key] == []


@pytest.mark.promise("migration", "outage")
async def test_a_redis_that_restarts_in_the_midst_is_waited_for(file: str, tmp_path: Path) -> None:
    orders = await written(file, chats=20)
    async with RedisServer(tmp_path, appendfsync="always") as server:
        async with opened(file, server.url, KEEPING) as (reading, writing):
            calls = 0

            class Cutting:
                """The target; its server is killed and started again before one of the chats."""

                def __getattr__(self, name: str) -> Any:
                    return getattr(writing, name)

                async def put_in(self, outline: Any, contents: Any) -> bool:
                    nonlocal calls
                    calls += 1
                    if calls == 10:
                        await server.kill()
                        starting = asyncio.ensure_future(server.start())
                        try:
                            return await writing.put_in(outline, contents)
                        finally:
                            await starting
                    return await writing.put_in(outline, contents)

            outcome = await Migration(reading, Cutting(), pauses=[0.05] * 100).run()
        assert calls > 20
        assert (outcome.copied, outcome.compared, outcome.conflicts) == (20, 20, [])
        assert await told(server.url, orders) == await told(file, orders)
