"""Memory that is full, a reader that is slow, keys that are left behind."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from yarl import URL

from tests.app import user
from tests.processes import ServerProcess
from tests.redis_faults.fleet import asking, fleet, providers, until
from tests.redis_servers import RedisServer, keys_without_ttl, redis_server

__all__ = ["redis_server"]

pytestmark = [pytest.mark.xdist_group("redis_faults_limits"), pytest.mark.timeout(180)]

#: The indexes and counters of a partition and what is known of the store. Retention trims them.
KEPT = re.compile(r"\{dls(:0\}:(?:ages|changes|clock|ended|number|runs|kept)|\}:meta)")


@pytest.mark.promise("outage")
async def test_a_redis_without_memory_refuses_and_completes_what_it_has_accepted(
    tmp_path: Path,
) -> None:
    async with (
        RedisServer(tmp_path, maxmemory="64mb") as redis,
        fleet(tmp_path, redis.url, settings={"DLS_LEASE": "1"}) as servers,
    ):
        finished = servers.reader("old").ask("Be short?")
        await servers.verify(finished)
        servers.readers.remove(finished)  # its chat will be deleted
        readers = [servers.reader(f"chat-{number}").ask("How?") for number in range(6)]
        for reader in readers:
            await reader.reaches(30)
        async with servers.watched():
            await redis.command("CONFIG", "SET", "maxmemory", "1mb")
            body = {"id": "refused", "message": user("m1", "How?")}
            for server in servers.servers:
                async with servers.http.post(f"{server.url}/api/chat", json=body) as response:
                    assert response.status == 503
                    assert int(response.headers["retry-after"]) > 0
            assert await servers.status("/readyz") == 503
            assert await servers.status("/api/chats/refused") == 404, "half a message was written"
            seen = [reader.last for reader in readers]
            # Who is full may make room.
            url = f"{servers.servers[0].url}/api/chats/old"
            async with servers.http.delete(url) as response:
                assert response.status == 204
            await asyncio.sleep(2)  # for longer than a lease
            assert [reader.last for reader in readers] == seen
            await redis.command("CONFIG", "SET", "maxmemory", "64mb")
            await servers.verify(*readers)
        for reader in readers:
            assert len(servers.oracle.log(reader).spans) == 1, "a living writer lost it"
        late = servers.reader("refused").ask("How?")
        await servers.verify(late)


class SlowReader:
    """A client that reads one byte a second, through the smallest buffers that there are.

    Args:
        url: the server.
        chat: whose answer it follows.
        cookie: the visitor's.
    """

    def __init__(self, url: str, chat: str, cookie: str) -> None:
        self.read = b""
        self._address = urlsplit(url)
        self._request = (
            f"GET /api/chat/{chat}/stream HTTP/1.1\r\nHost: {self._address.netloc}\r\n"
            f"Cookie: {cookie}\r\n\r\n"
        )

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as connection:
            connection.setblocking(False)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            address = (self._address.hostname or "", self._address.port or 0)
            await loop.sock_connect(connection, address)
            await loop.sock_sendall(connection, self._request.encode())
            while data := await loop.sock_recv(connection, 1):
                self.read += data
                await asyncio.sleep(1)


def resident(server: ServerProcess) -> int:
    """The memory that a server holds, in bytes."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    (kilobytes,) = re.findall(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    return int(kilobytes) * 1024


@pytest.mark.promise("bounded")
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the memory in /proc")
async def test_readers_at_a_byte_a_second_hold_nobody_back_and_cost_no_memory(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    url = f"{redis_server.url}?prefix=slow"
    words, slow_readers = 20_000, 50
    async with (
        providers() as (first, second),
        fleet(tmp_path, url, each=[asking(first), asking(second)]) as servers,
    ):
        writing, reading = servers.servers
        first.plan(f"tokens={words},rate=4000")
        here = servers.reader("chat", writing.url).ask("Go")
        there = servers.reader("chat", reading.url).follow()
        await asyncio.gather(here.reaches(100), there.reaches(100))
        cookies = servers.http.cookie_jar.filter_cookies(URL(writing.url))
        cookie = "; ".join(f"{each.key}={each.value}" for each in cookies.values())
        slow = [
            SlowReader(server.url, "chat", cookie)
            for server in servers.servers
            for _ in range(slow_readers)
        ]
        async with servers.watched():
            tasks = [asyncio.create_task(each.run()) for each in slow]
            await until("they all read", lambda: all_read(slow))
            before = [resident(server) for server in servers.servers]
            await servers.verify()
            after = [resident(server) for server in servers.servers]
        for task in tasks:
            assert not task.done()
            task.cancel()
        await asyncio.wait(tasks)
        size = sum(map(len, servers.oracle.log(here).records))
        for grown in (later - sooner for sooner, later in zip(before, after, strict=True)):
            # The log itself, once or twice, but not once for every reader.
            assert grown < 0.2 * slow_readers * size, f"{grown} bytes more, and the log has {size}"


async def all_read(slow: Sequence[SlowReader]) -> bool:
    return all(each.read for each in slow)


@pytest.mark.promise("bounded", "no-leak")
async def test_what_has_ended_leaves_no_key_behind_that_stays_for_ever(
    tmp_path: Path,
) -> None:
    settings = {"DLS_LEASE": "1", "DLS_RETENTION_LOG": "3600", "DLS_DEMO_TOKENS_PER_SECOND": "0"}
    async with (
        RedisServer(tmp_path) as redis,
        fleet(tmp_path, redis.url, settings=settings) as servers,
    ):
        for number in range(3):
            servers.reader(f"chat-{number}").ask("Be short?")
        await servers.verify()
        left = await keys_without_ttl(redis.url, "")
        assert [key for key in left if not KEPT.fullmatch(key)] == []
        async with redis.client(decode_responses=True) as client:
            logs = [key async for key in client.scan_iter(match="*:log:*")]
            assert len(logs) == 3
            for key in logs:
                assert 3500 < await client.ttl(key) <= 3600
        for number in range(3):
            path = f"/api/chats/chat-{number}"
            async with servers.http.delete(servers.servers[1].url + path) as response:
                assert response.status == 204
        async with redis.client(decode_responses=True) as client:
            keys = {key async for key in client.scan_iter()}
        # Nothing of a chat that was deleted, but for what its owner's feed tells of it.
        assert [key for key in keys if not KEPT.fullmatch(key) and ":feed:" not in key] == [
            key for key in keys if key.endswith(":check")
        ]
