"""Calls to one real Redis server, and its messages: shared connections, outages, TLS, refusals."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest

from durable_llm_streams.errors import StoreUnavailable
from durable_llm_streams.stores.redis.client.dialing import Dialer
from tests.redis_databases import (
    ADD,
    ECHO,
    KEY,
    database,
    ended,
    listening,
    server_and_database,
    through_proxy,
    until_works,
)
from tests.redis_servers import RedisServer
from tests.waiting import until


async def test_calls_at_the_same_time_share_one_connection_and_get_their_own_replies(
    tmp_path: Path,
) -> None:
    async with through_proxy(tmp_path) as (proxy, database):
        replies = await asyncio.gather(
            *(database.call(ECHO, [KEY], [f"{n}"]) for n in range(500)),
            *(database.call(ECHO, [KEY], ["x" * 100_000]) for _ in range(20)),
        )
        assert [int(reply[1]) for reply in replies[:500]] == list(range(500))
        assert {len(reply[1]) for reply in replies[500:]} == {100_000}
        assert proxy.accepted == 1


async def test_a_cancellation_that_comes_while_a_connection_opens_is_not_lost(
    tmp_path: Path,
) -> None:
    async with server_and_database(tmp_path) as (_, database):
        dialer, lost = Dialer(database.address), 0
        for number in range(200):
            dialing = asyncio.create_task(dialer.dial())
            await asyncio.sleep(number * 0.00002)
            was_running = dialing.cancel()
            await asyncio.wait([dialing])
            if not dialing.cancelled():
                dialing.result().transport.abort()
                lost += was_running
        assert lost == 0


async def test_a_cancelled_call_takes_no_other_ones_reply(tmp_path: Path) -> None:
    async with server_and_database(tmp_path) as (server, database):
        await database.command("PING")
        server.freeze()
        calls = [asyncio.create_task(database.call(ECHO, [KEY], [f"{n}"])) for n in range(3)]
        await asyncio.sleep(0)
        calls[1].cancel()
        server.thaw()
        assert [reply[1] for reply in await asyncio.gather(calls[0], calls[2])] == [b"0", b"2"]
        assert calls[1].cancelled()


@pytest.mark.promise("outage")
@pytest.mark.parametrize("connected", [True, False])
async def test_calls_end_although_the_network_takes_everything_and_returns_nothing(
    tmp_path: Path, connected: bool
) -> None:
    async with through_proxy(tmp_path, "?timeout=0.3") as (proxy, database):
        if connected:
            await database.command("PING")
        await proxy.set("hang")
        with pytest.raises(StoreUnavailable, match="in time"):
            await database.call(ECHO, [KEY], ["x" * 10])
        # More than the kernel's buffers take: writing blocks.
        big = "x" * 8_000_000
        results = await asyncio.gather(
            *(database.call(ECHO, [KEY], [big]) for _ in range(4)), return_exceptions=True
        )
        assert {type(result) for result in results} == {StoreUnavailable}
        await proxy.set("pass")
        assert (await until_works(lambda: database.call(ECHO, [KEY], ["a"])))[1] == b"a"


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        (("maxmemory", "1"), "out of memory"),
        (("min-replicas-to-write", "1"), "too few replicas"),
    ],
)
async def test_a_temporary_state_is_named_and_over_when_it_is(
    tmp_path: Path, setting: tuple[str, str], words: str
) -> None:
    async with server_and_database(tmp_path) as (server, database):
        await server.command("CONFIG", "SET", *setting)
        with pytest.raises(StoreUnavailable, match=words):
            await database.call(ADD, [KEY], [])
        await server.command("CONFIG", "SET", setting[0], "0")
        assert await database.call(ADD, [KEY], []) == 1


async def test_a_changed_password_is_named_and_its_return_noticed(tmp_path: Path) -> None:
    acl = ["app on >old ~* &* +@all"]
    async with RedisServer(tmp_path, acl=acl) as server:
        url = f"redis://app:old@127.0.0.1:{server.port}"
        async with database(url) as opened:
            await opened.call(ADD, [KEY], [])
            await server.command("ACL", "SETUSER", "app", "resetpass", ">new")
            await server.command("CLIENT", "KILL", "USER", "app")
            with pytest.raises(StoreUnavailable, match="refuses the user or the password"):
                await opened.call(ADD, [KEY], [])
            await server.command("ACL", "SETUSER", "app", ">old", "-incr")
            with pytest.raises(StoreUnavailable, match="does not allow"):
                await opened.call(ADD, [KEY], [])
            await server.command("ACL", "SETUSER", "app", "+incr")
            assert await opened.call(ADD, [KEY], []) == 2


@pytest.mark.promise("outage")
async def test_a_server_that_became_a_replica_is_left_and_its_old_data_not_read(
    tmp_path: Path,
) -> None:
    async with RedisServer(tmp_path) as other, server_and_database(tmp_path) as (server, opened):
        await opened.call(ADD, [KEY], [])
        await server.command("REPLICAOF", "127.0.0.1", other.port)
        with pytest.raises(StoreUnavailable, match="replica"):
            await opened.call(ADD, [KEY], [])
        with pytest.raises(StoreUnavailable, match="replica"):
            await opened.call(ECHO, [KEY], ["a"])
        await server.command("REPLICAOF", "NO", "ONE")
        assert await until_works(lambda: opened.call(ADD, [KEY], [])) >= 1


@pytest.mark.parametrize("options", ["", "&verify=none"])
async def test_tls_with_a_password_works(tmp_path: Path, options: str) -> None:
    async with RedisServer(tmp_path, tls=True, password="p@ss/w%") as server:
        url = f"{server.url}?ca={server.ca}{options}"
        async with database(url) as opened:
            assert await opened.call(ADD, [KEY], []) == 1
            await server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            assert await opened.call(ADD, [KEY], []) == 2
            subscriber = await opened.subscriber()
            await subscriber.subscribe("a")
            await subscriber.close()


async def test_tls_files_that_were_replaced_are_read_again(tmp_path: Path) -> None:
    async with RedisServer(tmp_path, tls=True) as server, RedisServer(tmp_path, tls=True) as other:
        assert server.ca is not None
        assert other.ca is not None
        authority = tmp_path / "ca.pem"
        authority.write_bytes(other.ca.read_bytes())
        async with database(f"{server.url}?ca={authority}") as opened:
            with pytest.raises(StoreUnavailable, match="TLS"):
                await opened.call(ADD, [KEY], [])
            authority.write_bytes(server.ca.read_bytes())
            assert await opened.call(ADD, [KEY], []) == 1


async def test_a_socket_with_a_database_number_works() -> None:
    with tempfile.TemporaryDirectory() as folder:  # its path must be short
        async with RedisServer(Path(folder), unix_socket=True) as server:
            async with database(f"unix://{server.socket}?db=3") as opened:
                assert await opened.call(ADD, [KEY], []) == 1
            assert "db3" in await server.command("INFO", "keyspace")


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
