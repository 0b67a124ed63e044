"""Redis stores as the contract suite needs them."""

from __future__ import annotations

import asyncio
import itertools
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator

import pytest

from durable_llm_streams.stores.redis import RedisAddress, RedisStore
from tests.contract import StoreFactory
from tests.contract.harness import Talk
from tests.redis_servers import RedisServer
from tests.waiting import within

_PREFIXES = itertools.count(1)


class OpenedStores(StoreFactory, ABC):
    """Several stores at once, one for each process.

    A crash leaves the old object and its connections open: Redis gets no notice of it.
    """

    leases_die_with_the_process = False

    def __init__(self) -> None:
        super().__init__()
        self._opened: list[RedisStore] = []

    @abstractmethod
    def _made(self) -> RedisStore:
        """Another store, not open yet."""

    async def open(self) -> RedisStore:
        store = self._made()
        self._opened.append(store)
        await store.open()
        return store

    async def reopen(self) -> RedisStore:
        await self.clean_up()
        return await self.open()

    async def crash(self) -> RedisStore:
        return await self.open()

    async def clean_up(self) -> None:
        while self._opened:
            await self._opened.pop().close()

    async def settle(self) -> None:
        async with within("readers to begin to wait"):
            await super().settle()
            while any(store.arriving for store in self._opened):
                await asyncio.sleep(0.001)


class RedisStores(OpenedStores):
    """Stores on one server, each under a prefix of its own.

    Args:
        url: the server's address.
        real_time: leave the time to the server, as in production.

    Attributes:
        root: what the store's keys begin with.
    """

    def __init__(self, url: str, *, real_time: bool = False) -> None:
        super().__init__()
        self._now = None if real_time else self.clock
        self._monotonic = None if real_time else self.clock.monotonic
        self._address = RedisAddress.parse(f"{url}?prefix=contract{next(_PREFIXES)}")
        self.root = f"{{{self._address.prefix}:0}}"

    def _made(self) -> RedisStore:
        return RedisStore(
            self._address, now=self._now, monotonic=self._monotonic, token=self.tokens
        )


@pytest.fixture
async def stores(redis_server: RedisServer) -> AsyncIterator[RedisStores]:
    """On the shared server; a module that uses this imports its fixture `redis_server`, too."""
    made = RedisStores(redis_server.url)
    yield made
    await made.clean_up()


@pytest.fixture
async def talk(stores: RedisStores) -> Talk:
    return Talk(stores, await stores.open())


@pytest.fixture
async def elsewhere(talk: Talk, stores: RedisStores) -> Talk:
    """The same store in another process."""
    return Talk(stores, await stores.open())
