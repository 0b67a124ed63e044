"""The Redis store keeps the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import settings

from tests.contract import StoreContract, compare_with_model
from tests.contract.machine import SETTINGS
from tests.redis_servers import RedisServer, redis_server
from tests.redis_stores import RedisStores

__all__ = ["redis_server"]

pytestmark = pytest.mark.xdist_group("redis")


@pytest.fixture
async def stores(redis_server: RedisServer) -> AsyncIterator[RedisStores]:
    made = RedisStores(redis_server.url)
    yield made
    await made.clean_up()


class TestContract(StoreContract):
    """Every sentence of the Store contract."""


def test_random_operations_agree_with_the_model(redis_server: RedisServer) -> None:
    profile = settings(SETTINGS, max_examples=40)
    compare_with_model(lambda: RedisStores(redis_server.url), profile)
