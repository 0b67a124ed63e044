"""What the tests of migrations share: addresses, and a migration in one call."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from durable_llm_streams.migrate import Keeping, Migration, Outcome, opened
from durable_llm_streams.store import Order, Store
from durable_llm_streams.stores import open_store
from tests.histories import DAY, Histories, whole
from tests.redis_servers import RedisServer

KEEPING = Keeping(log_age=DAY, chat_age=365 * DAY)
_NUMBERS = itertools.count(1)


@pytest.fixture
def prefix() -> str:
    return f"move{next(_NUMBERS)}"


@pytest.fixture
def redis(redis_server: RedisServer, prefix: str) -> str:
    """The address of an empty store."""
    return f"{redis_server.url}?prefix={prefix}"


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
    """Random chats; tells what was sent."""
    async with serving(address) as store:
        histories = Histories(store, seed)
        await histories.write(chats)
    return histories.orders


async def migrate(source: str, target: str, **options: Any) -> Outcome:
    async with opened(source, target, KEEPING) as (reading, writing):
        # The writer of the histories has ended; its leases on Redis expire a moment later.
        return await Migration(reading, writing, pauses=(), **options).run()


async def told(address: str, orders: list[Order]) -> Any:
    async with serving(address) as store:
        return await whole(store, orders)


def reasons(outcome: Outcome) -> list[str]:
    return [conflict.reason for conflict in outcome.conflicts]
