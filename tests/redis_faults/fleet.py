"""Several server processes over one store, and a visitor who is known to all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from durable_llm_streams.stores.redis import RedisAddress, RedisStore
from durable_llm_streams.stores.redis.layout import root
from tests.app import JSON
from tests.fake_provider import FakeProvider
from tests.processes import ServerProcess
from tests.redis_faults.oracle import Oracle
from tests.redis_faults.reader import Reader
from tests.redis_servers import RedisServer

#: No wait for something that must happen may be longer.
SECONDS = 40.0

#: Short enough for a test, long enough for two busy cores.
LEASE = 2.0

SETTINGS = {"DLS_LEASE": f"{LEASE:g}", "DLS_ATTEMPTS": "100", "DLS_DEMO_TOKENS_PER_SECOND": "60"}


class Fleet:
    """The servers, the visitor's session, the readers.

    Attributes:
        address: of the store.
        servers: the processes.
        http: the visitor's cookies and connections; one cookie is good at every server.
        oracle: looks at the log by itself.
        readers: all that were ever made.
    """

    def __init__(
        self,
        address: RedisAddress,
        servers: Sequence[ServerProcess],
        http: aiohttp.ClientSession,
        oracle: Oracle,
    ) -> None:
        self.address = address
        self.servers = servers
        self.http = http
        self.oracle = oracle
        self.readers: list[Reader] = []

    def reader(self, chat: str, *urls: str) -> Reader:
        """Somebody who reads a chat's answer to its end.

        Args:
            chat: the chat.
            urls: the servers that he knows, the first one first; all of them unless some are named.
        """
        reader = Reader(self.http, chat, urls or tuple(server.url for server in self.servers))
        self.readers.append(reader)
        return reader

    async def get(self, path: str, server: int = 0) -> tuple[int, JSON]:
        """Ask a server; its status and its JSON, if it is any."""
        async with self.http.get(self.servers[server].url + path) as response:
            is_json = "json" in response.headers.get("content-type", "")
            return response.status, await response.json() if is_json else {}

    async def status(self, path: str, server: int = 0) -> int:
        """How a server answers."""
        return (await self.get(path, server))[0]

    async def chat(self, chat: str, server: int = 0) -> JSON:
        """A chat as a server tells it."""
        status, snapshot = await self.get(f"/api/chats/{chat}", server)
        assert status == 200, snapshot
        return snapshot

    async def writer(self, redis: RedisServer, reader: Reader) -> ServerProcess | None:
        """The server that writes what somebody reads, if one does and it lives."""
        assert reader.cursor is not None
        key = f"{root(self.address.prefix, 0)}:run:{reader.cursor.run_id}"
        name = await redis.command("HGET", key, "worker")  # HOST-PID-RANDOM
        pid = int(name.decode().rsplit("-", 2)[1]) if name else 0
        return next((each for each in self.servers if each.running and each.pid == pid), None)

    async def verify(self, *readers: Reader, server: int = 0) -> None:
        """Wait until these readers have the end of their answers, and compare it with everything.

        Args:
            readers: whose answers; all of the fleet's unless some are named.
            server: who tells the history.
        """
        for reader in readers or self.readers:
            async with asyncio.timeout(SECONDS):
                await reader.ended
            await self.oracle.verify(reader, await self.chat(reader.chat, server))

    @asynccontextmanager
    async def watched(self) -> AsyncGenerator[None, None]:
        """Meanwhile the oracle looks at every reader, again and again. What it finds ends it."""
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self.oracle.watch(self.readers))
            yield
            watching.cancel()


@asynccontextmanager
async def fleet(
    folder: Path,
    url: str,
    count: int = 2,
    settings: Mapping[str, str] | None = None,
    *,
    each: Sequence[Mapping[str, str]] = (),
) -> AsyncGenerator[Fleet, None]:
    """Started servers that are gone at the end, whatever happened to them meanwhile.

    Args:
        folder: where each server gets a folder of its own.
        url: the store's address.
        count: how many servers.
        settings: of all of them, beside `SETTINGS`.
        each: of each of them.
    """
    servers = []
    for number in range(count):
        place = folder / f"server-{number}"
        place.mkdir()
        own = each[number] if number < len(each) else {}
        servers.append(
            ServerProcess(place, {**SETTINGS, "DLS_STORE": url, **(settings or {}), **own})
        )
    async with AsyncExitStack() as stack:
        for server in servers:
            stack.push_async_callback(server.kill)
        await asyncio.gather(*(server.start() for server in servers))
        jar = aiohttp.CookieJar(unsafe=True)  # takes cookies of an address without a name
        http = await stack.enter_async_context(
            aiohttp.ClientSession(
                cookie_jar=jar,
                connector=aiohttp.TCPConnector(limit=0),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=2),
            )
        )
        address = RedisAddress.parse(url)
        store = RedisStore(address)
        stack.push_async_callback(store.close)
        await store.open()
        found = Fleet(address, servers, http, Oracle(store))
        assert await found.status("/api/chats") == 200  # brings the visitor's cookie
        stack.push_async_callback(_close, found)
        yield found
        for server in servers:
            log = server.log.read_text()
            assert "Traceback" not in log, log


async def _close(found: Fleet) -> None:
    await asyncio.gather(*(reader.close() for reader in found.readers))


@asynccontextmanager
async def providers(count: int = 2) -> AsyncGenerator[list[FakeProvider], None]:
    """A provider for each server. Each is to be told words of its own: they tell who wrote what."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(FakeProvider()) for _ in range(count)]


def asking(provider: FakeProvider) -> dict[str, str]:
    """The settings of a server that asks this provider; an answer is begun anew after a cut."""
    return {"OPENAI_BASE_URL": provider.base_url, "DLS_MODEL": "fake:", "DLS_PREFILL": "none"}


async def until(
    what: str, condition: Callable[[], Awaitable[Any]], seconds: float = SECONDS
) -> Any:
    """Wait until something is so, and return what it was."""
    last: object = None
    try:
        async with asyncio.timeout(seconds):
            while not (last := await condition()):
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"Waited in vain: {what} ({last!r})") from None
    return last


async def refused(reader: Reader) -> bool:
    """Whether a server has told a reader to come back later."""
    return 503 in reader.statuses
