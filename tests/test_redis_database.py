"""The client and real Redis servers: one, one behind Sentinels, a Cluster."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
import trustme

from durable_llm_streams.errors import StoreUnavailable
from durable_llm_streams.stores.redis.client.errors import ResponseError
from durable_llm_streams.stores.redis.client.script import Script
from tests.redis_databases import (
    ADD,
    ECHO,
    KEY,
    database,
    listening,
    server_and_database,
    through_proxy,
    until_works,
)
from tests.redis_servers import ClusterSetup, RedisServer, SentinelSetup
from tests.waiting import until, within


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


async def test_a_script_runs_though_the_server_does_not_know_it(tmp_path: Path) -> None:
    async with server_and_database(tmp_path) as (server, database):
        reply = [KEY.encode(), b"\x00\xff", 3]
        assert await database.call(ECHO, [KEY], [b"\x00\xff", 1, 2.5]) == reply
        assert await server.command("SCRIPT", "EXISTS", ECHO.sha) == [True]
        await server.command("SCRIPT", "FLUSH")
        assert await database.call(ECHO, [KEY], [b"\x00\xff", 1, 2.5]) == reply
        for text in ("#!lua\nreturn nothing()", "#!lua\nthis is no Lua", "return {err='MINE x'}"):
            with pytest.raises(ResponseError):
                await database.call(Script("wrong", text), [KEY], [])
        assert ADD.plain is not None
        assert await database.call(ADD.plain, [KEY], []) == 1, "without its first line"


async def test_a_cancellation_while_a_connection_opens_is_not_lost(
    tmp_path: Path,
) -> None:
    async with server_and_database(tmp_path) as (server, database):
        lost = []
        for number in range(200):
            opening = asyncio.create_task(database.subscriber())
            await asyncio.sleep(number * 0.00002)
            was_running = opening.cancel()
            await asyncio.wait([opening])
            if not opening.cancelled():
                await opening.result().close()
                lost += [number] * was_running
        assert lost == [], "the attempts whose cancellation was lost"
        async with server.client() as client, within("all connections but this one to be closed"):
            while len(await client.client_list()) > 1:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("setup", [{}, {"tls": True}, {"unix_socket": True}], ids=str)
def test_everything_works_on_the_event_loop_of_a_server(setup: dict[str, Any]) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def use(server: RedisServer) -> None:
        ca = f"?ca={server.ca}" if server.ca else ""
        async with database(server.url + ca) as opened:
            texts = [*map(str, range(200)), *["x" * 2_000_000] * 4]
            replies = await asyncio.gather(*(opened.call(ECHO, [KEY], [text]) for text in texts))
            assert [reply[1].decode() for reply in replies] == texts
            for number in range(50):
                opening = asyncio.create_task(opened.subscriber())
                await asyncio.sleep(number * 0.0001)
                opening.cancel()
                await asyncio.wait([opening])
                if not opening.cancelled():
                    await opening.result().close()
            subscriber = await opened.subscriber()
            await subscriber.subscribe("a")
            async with listening(subscriber) as messages:
                await server.command("CLIENT", "KILL", "TYPE", "normal")
                await opened.command("PUBLISH", "a", "b")
                await until(lambda: messages == [(b"a", b"b")])
                await subscriber.close()
        async with server.client() as client, within("all connections but this one to be closed"):
            while len(await client.client_list()) > 1:
                await asyncio.sleep(0.01)

    async def everything() -> None:
        with tempfile.TemporaryDirectory() as folder:  # the socket's path must be short
            async with RedisServer(Path(folder), **setup) as server:
                await use(server)

    uvloop.run(everything())


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


async def test_a_changed_password_is_named_and_its_return_noticed(tmp_path: Path) -> None:
    async with (
        RedisServer(tmp_path, acl=["app on >old ~* &* +@all"]) as server,
        database(f"redis://app:old@127.0.0.1:{server.port}") as opened,
    ):
        assert await opened.call(ADD, [KEY], []) == 1
        await server.command("CLIENT", "KILL", "USER", "app")
        refusals = {">new": "refuses the user or the password", ">old -incr": "does not allow"}
        for rule, words in refusals.items():
            await server.command("ACL", "SETUSER", "app", "resetpass", *rule.split())
            with pytest.raises(StoreUnavailable, match=words):
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
        for script in (ADD, ECHO):
            with pytest.raises(StoreUnavailable, match="replica"):
                await opened.call(script, [KEY], [])
        await server.command("REPLICAOF", "NO", "ONE")
        assert await until_works(lambda: opened.call(ADD, [KEY], [])) >= 1


@pytest.mark.parametrize("options", ["", "&verify=none"])
async def test_tls_with_a_password_works(tmp_path: Path, options: str) -> None:
    async with (
        RedisServer(tmp_path, tls=True, password="p@ss/w%") as server,
        database(f"{server.url}?ca={server.ca}{options}") as opened,
    ):
        assert await opened.call(ADD, [KEY], []) == 1
        await server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert await opened.call(ADD, [KEY], []) == 2
        subscriber = await opened.subscriber()
        await subscriber.subscribe("a")
        await subscriber.close()


async def test_tls_without_the_authority_works_where_nothing_is_verified(tmp_path: Path) -> None:
    async with RedisServer(tmp_path, tls=True) as server:
        async with database(server.url) as opened:
            with pytest.raises(StoreUnavailable, match="TLS"):
                await opened.call(ADD, [KEY], [])
        async with database(f"{server.url}?verify=none") as opened:
            assert await opened.call(ADD, [KEY], []) == 1


@pytest.mark.parametrize("files", ["one file", "two files"])
async def test_a_client_certificate_is_shown_and_read_again(tmp_path: Path, files: str) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "clients.pem")
    lines = [f"tls-ca-cert-file {tmp_path / 'clients.pem'}"]
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"

    def issue(by: trustme.CA) -> None:
        issued = by.issue_cert("client")
        key.write_bytes(issued.private_key_pem.bytes())
        chain = [issued.private_key_pem] * (files == "one file") + issued.cert_chain_pems
        cert.write_bytes(b"".join(pem.bytes() for pem in chain))

    issue(authority)
    async with RedisServer(tmp_path, tls=True, config=lines) as server:
        await server.command("CONFIG", "SET", "tls-auth-clients", "yes")
        url = f"{server.url}?ca={server.ca}&cert={cert}"
        url += f"&key={key}" if files == "two files" else ""
        async with database(url) as opened:
            assert await opened.call(ADD, [KEY], []) == 1
        issue(stranger)
        async with database(url) as opened:
            with pytest.raises(StoreUnavailable):
                await opened.call(ADD, [KEY], [])  # with TLS 1.3 it is refused after the handshake
            issue(authority)
            assert await until_works(lambda: opened.call(ADD, [KEY], [])) == 2


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
        expected = [(b"a", b"early"), (b"b\xff", b"\x00\xff")]
        await subscriber.subscribe("a", b"b\xff", "a")
        for channel, payload in expected:
            await database.command("PUBLISH", channel, payload)
        async with listening(subscriber) as messages:
            for n in range(1000):
                await database.command("PUBLISH", "a", n)
            await subscriber.unsubscribe("a")
            await database.command("PUBLISH", "a", "not received")
            await database.command("PUBLISH", b"b\xff", "last")
            await until(lambda: messages[-1:] == [(b"b\xff", b"last")])
            expected += [(b"a", b"%d" % n) for n in range(1000)]
            assert messages == [*expected, (b"b\xff", b"last")]
            await subscriber.subscribe()
            await subscriber.unsubscribe("a", b"b\xff")
            await subscriber.close()
        with pytest.raises(StoreUnavailable):
            await subscriber.subscribe("a")


@pytest.mark.promise("outage")
async def test_after_a_failover_calls_and_messages_go_to_the_new_master(tmp_path: Path) -> None:
    async with SentinelSetup(tmp_path, password="pw") as setup, database(setup.url) as opened:
        assert await opened.call(ADD, [KEY], []) == 1
        subscriber = await opened.subscriber()
        await subscriber.subscribe("a")
        async with listening(subscriber):
            old = await setup.kill_master()
        with pytest.raises(StoreUnavailable):
            await opened.call(ADD, [KEY], [])
        new = await setup.failed_over(old)
        assert await until_works(lambda: opened.call(ADD, [KEY], [])) >= 1
        subscriber = await until_works(opened.subscriber)
        await subscriber.subscribe("a")
        async with listening(subscriber) as messages:
            await new.command("PUBLISH", "a", "b")
            await until(lambda: messages == [(b"a", b"b")])
            await subscriber.close()


async def test_a_dead_sentinel_is_passed_over(tmp_path: Path) -> None:
    async with SentinelSetup(tmp_path) as setup:
        await setup.sentinels[0].kill()
        async with database(setup.url) as opened:
            assert await opened.call(ADD, [KEY], []) == 1
        await setup.sentinels[1].kill()
        await setup.sentinels[2].kill()
        async with database(setup.url) as opened:
            with pytest.raises(StoreUnavailable, match="No Sentinel names a master"):
                await opened.call(ADD, [KEY], [])


async def test_one_server_of_a_cluster_leads_to_all_keys_and_all_messages(tmp_path: Path) -> None:
    async with ClusterSetup(tmp_path, password="pw") as setup:
        ports = {server.port for server in setup.servers}
        async with database(f"redis+cluster://:pw@127.0.0.1:1,127.0.0.1:{min(ports)}") as opened:
            keys = [f"{{t:{n}}}:key" for n in range(32)]
            assert await asyncio.gather(*(opened.call(ADD, [key], []) for key in keys)) == [1] * 32
            sizes = [await server.command("DBSIZE") for server in setup.servers]
            assert sum(sizes) == 32
            assert all(sizes)
            assert len(await opened.masters()) == 3
            subscriber = await opened.subscriber()
            await subscriber.subscribe("a")
            async with listening(subscriber) as messages:
                for server in setup.servers:
                    await server.command("PUBLISH", "a", server.port)
                await until(lambda: {int(port) for _, port in messages} == ports)
                await subscriber.close()
