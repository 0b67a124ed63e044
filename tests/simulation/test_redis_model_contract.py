"""The product's store over the model of Redis keeps the Store contract, as over a real one.

The model's clock is the only one: leases, times to live and retentions follow it. Nothing takes
time on the way to it. `tests/test_store_redis.py` has the same for a real server.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from hypothesis import settings

from durable_llm_streams.errors import CursorLost
from durable_llm_streams.log import check_cursor, follow
from durable_llm_streams.model import Cursor, token_at
from durable_llm_streams.stores.redis import RedisStore, Retention
from tests.contract import StoreContract, compare_with_model
from tests.contract.harness import LEASE, PATIENCE, Talk, bounded, records
from tests.contract.machine import SETTINGS
from tests.redis_stores import OpenedStores

from .redis_model import ModelNetwork, ModelRedis, model_store

HOUR = 3600.0
ROOT = "{dls:0}"

#: The contract's clock jumps further than any time to live; nothing may expire by itself.
CONTRACTS = Retention(log=1000 * 365 * 24 * HOUR, chat=0)


class ModelStores(OpenedStores):
    """Stores on one model.

    Args:
        retention: how long keys live.
    """

    def __init__(self, retention: Retention = CONTRACTS) -> None:
        super().__init__()
        self._retention = retention
        self.use(ModelRedis(self.clock))

    def use(self, server: ModelRedis, now: Callable[[], int] | None = None) -> None:
        """The server that stores are opened on, and the clock that they are given, if any."""
        self.server = server
        self.network = ModelNetwork(server)
        self._now = now

    def _made(self) -> RedisStore:
        name = f"process {len(self._opened)}"
        return model_store(
            self.network,
            name,
            token=self.tokens,
            retention=self._retention,
            now=self._now,
            monotonic=self.clock.monotonic,
        )


@pytest.fixture
async def stores() -> AsyncIterator[ModelStores]:
    made = ModelStores()
    yield made
    await made.clean_up()
    assert not made.network.connections, "a connection is still open"


@pytest.fixture
async def talk(stores: ModelStores) -> Talk:
    return Talk(stores, await stores.open())


@pytest.fixture
async def elsewhere(talk: Talk, stores: ModelStores) -> Talk:
    """The same store in another process."""
    return Talk(stores, await stores.open())


class TestContract(StoreContract):
    """Every sentence of the Store contract."""


def test_random_operations_do_what_they_do_in_the_contracts_model() -> None:
    compare_with_model(ModelStores, settings(SETTINGS, max_examples=50))


async def test_a_reader_elsewhere_gets_every_record_once_while_it_is_written(
    talk: Talk, elsewhere: Talk
) -> None:
    claim = await talk.start()
    read: list[bytes] = []

    async def reader() -> None:
        async for page in follow(elsewhere.store, Cursor.beginning(claim.run.id), wait=PATIENCE):
            read.extend(page.records)

    reading = asyncio.create_task(reader())
    await elsewhere.stores.settle()
    written = records(100)
    for at in range(1, 101, 4):
        assert await talk.append(claim, written[at - 1 : at + 3], at)
    await talk.end(claim)
    await asyncio.wait_for(reading, PATIENCE)
    assert read == await talk.log(claim.run.id)


async def test_a_lost_tail_is_noticed_by_its_writer_and_by_its_readers(
    talk: Talk, elsewhere: Talk, stores: ModelStores
) -> None:
    claim = await talk.start()
    run_id = claim.run.id
    assert await talk.append(claim, records(6))
    state = stores.server.snapshot()
    assert await talk.append(claim, records(4), at=7)
    page = await talk.store.read(run_id, 0)
    cursor = Cursor(run_id, 10, token_at(page.spans, 10))
    reader = await elsewhere.waiting(run_id, 10)
    stores.network.restart(state)
    with pytest.raises(CursorLost):
        await bounded(reader)
    assert not await talk.append(claim, records(1), at=11)
    new = await talk.take_over(claim)
    assert new.next_seq == 7
    assert await talk.append(new, records(20, mark="y"), at=7)
    with pytest.raises(CursorLost):
        await check_cursor(elsewhere.store, cursor)


async def test_every_key_of_an_ended_run_goes_by_itself() -> None:
    stores = ModelStores(Retention())
    talk = Talk(stores, await stores.open())
    await talk.answer(key="k")
    server = stores.server
    indexes = {f"{ROOT}:{name}" for name in ("ages", "changes", "clock", "ended", "number", "runs")}
    staying = indexes | {"{dls}:meta"}
    assert set(filter(lambda key: server.ttl(key) is None, server.keys())) == staying
    talk.clock.advance(800 * 24 * HOUR)
    assert set(server.keys()) == staying
    await stores.clean_up()


async def test_a_lease_runs_out_by_the_servers_clock(talk: Talk, stores: ModelStores) -> None:
    claim = await talk.start()
    assert stores.server.scores(f"{ROOT}:leases") == {claim.run.id: talk.clock() + LEASE * 1000}
    assert not await talk.store.claim("w2", 1, LEASE)
    talk.clock.advance(LEASE)
    (taken,) = await talk.store.claim("w2", 1, LEASE)
    assert taken.run.takeovers == 1
    fields = stores.server.fields(f"{ROOT}:run:{claim.run.id}")
    assert fields["worker"] == "w2"
    assert fields["writer"] == f"2.{taken.epoch.token}"
