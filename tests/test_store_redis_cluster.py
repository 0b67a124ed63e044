"""The Redis store keeps the contract on a Cluster too, where its keys are in several partitions."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.contract import StoreContract
from tests.contract.harness import LEASE, Talk
from tests.redis_servers import ClusterSetup, redis_cluster
from tests.redis_stores import RedisStores

__all__ = ["redis_cluster"]

pytestmark = pytest.mark.xdist_group("redis-cluster")


@pytest.fixture
async def stores(redis_cluster: ClusterSetup) -> AsyncIterator[RedisStores]:
    made = RedisStores(redis_cluster.url)
    yield made
    await made.clean_up()


class TestContract(StoreContract):
    """Every sentence of the Store contract, but for one order over all partitions."""

    async def test_oldest_runs_come_first_and_no_more_than_asked_for(self, talk: Talk) -> None:
        runs = [(await talk.send(chat=f"c{n}")).run.id for n in range(30)]
        found: list[str] = []
        for _ in range(10):
            claims = await talk.store.runs.claim("w1", 3, LEASE)
            assert len(claims) == 3
            found += [claim.run.id for claim in claims]
        assert sorted(found) == runs
        assert await talk.store.runs.claim("w1", 3, LEASE) == []
