"""Real server processes with one store, and the provider that they all ask."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from durable_llm_streams.fold import Fold
from tests.app import Guest, Reading, read_until, text_of
from tests.fake_provider import FakeProvider, answer
from tests.processes import ServerProcess, serving
from tests.redis_servers import RedisServer

ALL = 40
SAID = 5
STALLS = f"tokens={ALL},stall_after={SAID}"
WHOLE = f"tokens={ALL}"


@dataclass
class Place:
    """Servers with one store, a provider, and a browser."""

    provider: FakeProvider
    servers: list[ServerProcess]
    http: aiohttp.ClientSession

    def guest(self, server: int = 0) -> Guest:
        """The visitor, at one of the servers."""
        return Guest(self.servers[server].url, self.http)

    async def writer(self) -> ServerProcess:
        """The server that asked the provider first: each has a key of its own."""
        asked = await self.provider.request(0)
        return self.servers[int(asked.headers["Authorization"].removeprefix("Bearer "))]


@asynccontextmanager
async def place(
    folder: Path, settings: dict[str, str], *, servers: int = 1
) -> AsyncGenerator[Place, None]:
    """One server with a file, or several with a Redis."""
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(FakeProvider())
        settings = {"OPENAI_BASE_URL": provider.base_url, "DLS_LEASE": "600", **settings}
        if servers > 1:
            redis = await stack.enter_async_context(RedisServer(folder))
            settings["DLS_STORE"] = redis.url
        started = []
        for number in range(servers):
            own = folder / str(number)
            own.mkdir()
            serving_one = serving(own, settings | {"OPENAI_API_KEY": str(number)})
            started.append(await stack.enter_async_context(serving_one))
        jar = aiohttp.CookieJar(unsafe=True)
        http = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=jar))
        yield Place(provider, started, http)


async def read_said(response: aiohttp.ClientResponse) -> Reading:
    """What has come of an answer whose model has fallen silent."""
    return await read_until(response, lambda reading: reading.text == answer(SAID))


def whole(*readings: Reading) -> str:
    """The text of the message from one stream after the other."""
    records = [frame.data.encode() for reading in readings for frame in reading.records]
    return text_of(Fold.of(records).message())
