"""What the tests of migrations share: addresses, and a migration in one call."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from durable_llm_streams.migrate import Migration, Outcome, opened
from durable_llm_streams.store import Order, Retention, Store
from durable_llm_streams.stores import open_store
from durable_llm_streams.stores.sqlite import Synchronous
from tests.histories import DAY, Histories, whole
from tests.redis_servers import RedisServer

KEEPING: tuple[Retention, Synchronous] = (Retention(log=DAY, chat=365 * DAY), "NORMAL")
Around = Callable[[int, str, Callable[[], Awaitable[bool]]], Awaitable[bool]]
_NUMBERS = itertools.count(1)


class Partition(NamedTuple):
    """What lies in a Redis store behind its back."""

    server: RedisServer
    prefix: str

    @property
    def url(self) -> str:
        return f"{self.server.url}?prefix={self.prefix}"

    @property
    def root(self) -> str:
        """What the keys of its chats begin with."""
        return f"{{{self.prefix}:0}}"

    async def keys(self, pattern: str = "*") -> list[str]:
        """Its keys; `pattern` is what comes after the prefix."""
        async with self.server.client() as client:
            found = client.scan_iter(match=f"{{{self.prefix}{pattern}", count=1000)
            return [key.decode() async for key in found]


@pytest.fixture
def partition(redis_server: RedisServer) -> Partition:
    """An empty store."""
    return Partition(redis_server, f"move{next(_NUMBERS)}")


@pytest.fixture
def redis(partition: Partition) -> str:
    """The address of an empty store."""
    return partition.url


@pytest.fixture
def file(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/chats.db"


@asynccontextmanager
async def serving(address: str) -> AsyncIterator[Store]:
    store = open_store(address)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def written(address: str, seed: int = 1, chats: int = 8) -> list[Order]:
    """Random chats; returns what was sent."""
    async with serving(address) as store:
        histories = Histories(store, seed)
        await histories.write(chats)
    return histories.orders


async def asked(address: str, *chats: str, outcome: str = "finished") -> Histories:
    """A turn of ann's in each of these chats."""
    async with serving(address) as store:
        histories = Histories(store, 1)
        for chat in chats:
            await histories.turn(chat, "ann", outcome=outcome)
    return histories


async def migrate(source: str, target: str, **options: Any) -> Outcome:
    async with opened(source, target, *KEEPING) as (reading, writing):
        # The writer of the histories has ended; its leases on Redis expire a moment later.
        return await Migration(reading, writing, tries=1, **options).run()


async def disturbed(source: str, target: str, around: Around, **options: Any) -> Outcome:
    """Migrate, while `around` puts each chat in: given its number, its id, and what does it."""
    async with opened(source, target, *KEEPING) as (reading, writing):
        numbers = itertools.count(1)

        class Disturbed:
            def __getattr__(self, name: str) -> Any:
                return getattr(writing, name)

            async def add_chat(self, outline: Any, contents: Any) -> bool:
                add_chat = partial(writing.add_chat, outline, contents)
                return await around(next(numbers), outline.chat.id, add_chat)

        return await Migration(reading, Disturbed(), **{"tries": 1, **options}).run()


async def told(address: str, orders: list[Order]) -> Any:
    async with serving(address) as store:
        return await whole(store, orders)


def reasons(outcome: Outcome) -> list[str]:
    return [conflict.reason for conflict in outcome.conflicts]
