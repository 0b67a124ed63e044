"""A Redis without memory, and readers that are slower than any network."""

from __future__ import annotations

import asyncio
import re
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from yarl import URL

from tests.app import user
from tests.crash.rig import asking, providers, rig
from tests.processes import ServerProcess
from tests.redis_servers import RedisServer, redis_server
from tests.waiting import until

__all__ = ["redis_server"]

pytestmark = [pytest.mark.xdist_group("crash_limits"), pytest.mark.timeout(300)]


@pytest.mark.promise("outage")
async def test_a_redis_without_memory_refuses_and_completes_what_it_has_accepted(
    tmp_path: Path,
) -> None:
    async with (
        RedisServer(tmp_path, maxmemory="64mb") as redis,
        rig(tmp_path, redis.url, settings={"DLS_LEASE": "1"}) as it,
    ):
        finished = it.reader("old").ask("Be short?")
        await it.verify(finished)
        it.readers.remove(finished)  # its chat will be deleted
        readers = await it.asked(6, 30)
        async with it.watched():
            await redis.command("CONFIG", "SET", "maxmemory", "1mb")
            body = {"id": "refused", "message": user("m1", "How?")}
            for server in it.servers:
                async with it.http.post(f"{server.url}/api/chat", json=body) as response:
                    assert response.status == 503
                    assert int(response.headers["retry-after"]) > 0
            await it.all_answer(503)
            status, _ = await it.get("/api/chats/refused")
            assert status == 404, "half a message was written"
            seen = [reader.last for reader in readers]
            # An owner may make room.
            async with it.http.delete(f"{it.servers[0].url}/api/chats/old") as response:
                assert response.status == 204
            await asyncio.sleep(2)  # for longer than a lease
            assert [reader.last for reader in readers] == seen
            await redis.command("CONFIG", "SET", "maxmemory", "64mb")
            await it.verify(*readers)
        for reader in readers:
            assert len(it.log(reader).spans) == 1, "a living writer lost it"
        await it.verify(it.reader("refused").ask("How?"))


class SlowReader:
    """A client that reads one byte a second, through the smallest buffers that there are."""

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
async def test_readers_at_a_byte_a_second_slow_no_others_and_cost_no_memory(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    url = f"{redis_server.url}?prefix=slow"
    words, slow_readers = 20_000, 50
    async with (
        providers() as (first, second),
        rig(tmp_path, url, each=[asking(first), asking(second)]) as it,
    ):
        writing, reading = it.servers
        first.plan(f"tokens={words},rate=4000")
        here = it.reader("chat", writing.url).ask("Go")
        there = it.reader("chat", reading.url).follow()
        await asyncio.gather(here.reaches(100), there.reaches(100))
        cookies = it.http.cookie_jar.filter_cookies(URL(writing.url))
        cookie = "; ".join(f"{each.key}={each.value}" for each in cookies.values())
        slow = [
            SlowReader(server.url, "chat", cookie)
            for server in it.servers
            for _ in range(slow_readers)
        ]
        async with it.watched():
            tasks = [asyncio.create_task(each.run()) for each in slow]
            await until(
                lambda: sum(not each.read for each in slow),
                lambda waiting: waiting == 0,
                "every slow reader to have its first byte",
            )
            before = [resident(server) for server in it.servers]
            await it.verify()
            after = [resident(server) for server in it.servers]
        for task in tasks:
            assert not task.done(), task
            task.cancel()
        await asyncio.wait(tasks)
        size = sum(map(len, it.log(here).records))
        for grown in (later - sooner for sooner, later in zip(before, after, strict=True)):
            # The log itself, once or twice, but not once for every reader.
            assert grown < 0.2 * slow_readers * size, f"{grown} bytes more, and the log has {size}"
