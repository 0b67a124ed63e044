"""The model of Redis: it answers every call of the store as a real server does."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from hypothesis import settings
from redis import Redis

from durable_llm_streams.stores.redis import RedisStore
from durable_llm_streams.stores.redis.client.script import Script
from durable_llm_streams.stores.redis.doctor.permissions import SCRIPTED
from tests.contract import LimitsContract, StoreContract, compare_with_model
from tests.contract.machine import SETTINGS
from tests.redis_servers import RedisServer
from tests.redis_stores import OpenedStores

from .redis_model import ModelNetwork, ModelRedis, model_store
from .redis_model.commands import COMMANDS
from .redis_model.comparison import Twins
from .redis_model.keyspace import ErrorReply

pytestmark = pytest.mark.xdist_group("redis")


class TwinStores(OpenedStores):
    """Stores on a model that is compared with a real server."""

    def __init__(self, real: Redis) -> None:
        super().__init__()
        self._server = Twins(real)
        self.network = ModelNetwork(self._server)

    def _made(self) -> RedisStore:
        return model_store(
            self.network,
            f"process {len(self._opened)}",
            token=self.tokens,
            now=self.clock,
            monotonic=self.clock.monotonic,
        )

    async def clean_up(self) -> None:
        await super().clean_up()
        self._server.compare_everything()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RedisServer]:
    """Its hashes keep the order in which their fields came, as small ones do, and the model's."""
    config = ["hash-max-listpack-value 1000000", "hash-max-listpack-entries 10000"]
    async with RedisServer(tmp_path_factory.mktemp("redis"), config=config) as running:
        yield running


@pytest.fixture
def real(server: RedisServer) -> Iterator[Redis]:
    with Redis(port=server.port, socket_timeout=100.0) as connection:
        yield connection


@pytest.fixture
async def stores(real: Redis) -> AsyncIterator[TwinStores]:
    made = TwinStores(real)
    yield made
    await made.clean_up()
    assert not made.network.connections, "a connection is still open"


class TestContract(StoreContract):
    """Every sentence of the Store contract."""


class TestLimits(LimitsContract):
    pass


def test_random_histories_of_the_store_are_the_same_on_a_real_server(real: Redis) -> None:
    compare_with_model(lambda: TwinStores(real), settings(SETTINGS, max_examples=50))


#: What histories meet seldom: borders, types, formats, errors. They run one after the other.
SNIPPETS = (
    "redis.call('RPUSH', 'list', 'a', 'b', 'c') return redis.call('LRANGE', 'list', -2, -1)",
    "redis.call('LTRIM', 'list', 1, -2) return redis.call('LLEN', 'list')",
    "redis.call('ZADD', 'z', 1, 'a', 2.5, 'b', 2.5, 'c') return redis.call('ZCARD', 'z')",
    "return redis.call('ZRANGEBYSCORE', 'z', '(1', '+inf', 'WITHSCORES', 'LIMIT', 1, 1)",
    "return redis.call('ZREVRANGEBYSCORE', 'z', '(2.5', '-inf')",
    "return redis.call('ZREVRANGE', 'z', 0, -2, 'WITHSCORES')",
    "redis.call('SET', 'k', 0.1, 'PX', 500000) return redis.call('RENAME', 'k', 'l')",
    "redis.call('SET', 'm', 1e17, 'EX', 500) return {redis.call('PERSIST', 'm'), {'a\\0b', 3.7}}",
    "return {redis.call('HINCRBY', 'h', 'n', -5), redis.call('HSETNX', 'h', 'n', 1), nil, 3}",
    "return {redis.call('HMGET', 'h', 'n', 'x'), redis.call('SET', 'k', 'v'), false, 3}",
    "return {redis.pcall('GET', 'list').err and 1, #KEYS, #ARGV, ARGV[2], ARGV[3] or 'none'}",
    "return cjson.encode({1, 'a/b\\n\\t\"\\\\\\1\\127', {a = 'Ä'}, {'\\255'}, true})",
    *(
        "return redis.call('GET', 'list')",
        "return {err = 'MY error'}",
        "local x return x.y",
        "no Lua",
    ),
)


def test_what_scripts_may_do_seldom_is_the_same_on_a_real_server(real: Redis) -> None:
    twins = Twins(real)
    for text in SNIPPETS:
        with contextlib.suppress(ErrorReply):  # raised where both servers refuse
            twins.run(Script("snippet", text), [b"key"], [b"one", b"two\xff"])
        twins.compare_everything()


def test_the_model_has_the_commands_of_the_scripts_and_no_other() -> None:
    assert set(SCRIPTED) == {name.decode() for name in COMMANDS} | {"PUBLISH"}


def test_a_key_lives_to_its_last_millisecond_and_no_longer() -> None:
    time = 1000
    model = ModelRedis(lambda: time)
    model.command(b"SET", b"k", b"v", b"PX", b"500")
    model.command(b"SET", b"another", b"v", b"PX", b"100")
    time = 1500
    assert (model.command(b"PTTL", b"k"), model.keys()) == (0, ["k"])
    time = 1501
    assert (model.command(b"GET", b"k"), model.keys()) == (None, [])
