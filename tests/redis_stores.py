"""Redis stores as the contract suite needs them."""

from __future__ import annotations

import asyncio
import itertools

from durable_llm_streams.stores.redis import RedisAddress, RedisStore
from tests.contract import StoreFactory

_PREFIXES = itertools.count(1)


class RedisStores(StoreFactory):
    """Stores on one server, each under a prefix of its own.

    A crash leaves the old object as it is, connections and all: Redis is told nothing of it.

    Args:
        url: the server's address.
        real_time: leave the time to the server, as in production.

    Attributes:
        root: what the store's keys begin with.
    """

    leases_die_with_the_process = False

    def __init__(self, url: str, *, real_time: bool = False) -> None:
        super().__init__()
        self._now = None if real_time else self.clock
        self._address = RedisAddress.parse(f"{url}?prefix=contract{next(_PREFIXES)}")
        self._opened: list[RedisStore] = []
        self.root = f"{{{self._address.prefix}:0}}"

    async def open(self) -> RedisStore:
        store = RedisStore(self._address, now=self._now, token=self.tokens)
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
        async with asyncio.timeout(10):
            await super().settle()
            while any(store.arriving for store in self._opened):
                await asyncio.sleep(0.001)
