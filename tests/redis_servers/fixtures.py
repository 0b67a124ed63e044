"""The servers shared by tests without special needs."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.redis_servers.cluster import ClusterSetup
from tests.redis_servers.server import RedisServer


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def redis_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RedisServer]:
    """The plain server of this test process, without persistence.

    What a test writes stays: use a prefix of your own, or begin with `command("FLUSHALL")`. A test
    that stops or configures a server makes one of its own.
    """
    async with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ClusterSetup]:
    """The cluster of this test process; what holds for `redis_server` holds for it."""
    async with ClusterSetup(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster
