"""Connections to real Redis servers, and waiting for what comes of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from durable_llm_streams.errors import StoreUnavailable
from durable_llm_streams.stores.redis.client.address import RedisAddress
from durable_llm_streams.stores.redis.client.database import Database
from durable_llm_streams.stores.redis.client.script import Script
from durable_llm_streams.stores.redis.client.subscriber import Subscriber
from tests.redis_servers import RedisServer
from tests.tcp_proxy import TcpProxy
from tests.waiting import within

ECHO = Script("echo", "#!lua flags=no-writes\nreturn {KEYS[1], ARGV[1] or false, #ARGV}")
ADD = Script("add", "#!lua\nreturn redis.call('INCR', KEYS[1])")
KEY = "{t}:key"


@asynccontextmanager
async def database(url: str) -> AsyncIterator[Database]:
    opened = Database(RedisAddress.parse(url))
    try:
        yield opened
    finally:
        await opened.close()


@asynccontextmanager
async def server_and_database(
    folder: Path, options: str = "", **setup: Any
) -> AsyncIterator[tuple[RedisServer, Database]]:
    async with RedisServer(folder, **setup) as server, database(server.url + options) as opened:
        yield server, opened


@asynccontextmanager
async def through_proxy(
    folder: Path, options: str = ""
) -> AsyncIterator[tuple[TcpProxy, Database]]:
    async with (
        RedisServer(folder) as server,
        TcpProxy(server.port) as proxy,
        database(f"redis://127.0.0.1:{proxy.port}{options}") as opened,
    ):
        yield proxy, opened


async def until_works(attempt: Callable[[], Awaitable[Any]]) -> Any:
    """What a caller that retries gets in the end."""
    async with within("Redis to be available"):
        while True:
            try:
                return await attempt()
            except StoreUnavailable:
                await asyncio.sleep(0.05)


@asynccontextmanager
async def listening(subscriber: Subscriber) -> AsyncIterator[list[tuple[bytes, bytes]]]:
    """The messages that come while the block runs. Its end waits until the connection has ended."""
    messages: list[tuple[bytes, bytes]] = []
    listener = asyncio.create_task(subscriber.listen(lambda *message: messages.append(message)))
    yield messages
    async with within("the subscriber to end"):
        with pytest.raises(StoreUnavailable):
            await listener
