"""The model of Redis replies what a real one replies: commands of scripts, and Lua."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from durable_llm_streams.stores.redis.client.script import Script
from durable_llm_streams.stores.redis.doctor.permissions import SCRIPTED
from tests.redis_servers import RedisServer

from .redis_model import ModelRedis
from .redis_model.commands import COMMANDS
from .redis_model.comparison import Both, RealRedis

pytestmark = pytest.mark.xdist_group("redis")

RANDOM = settings(
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RedisServer]:
    config = ["hash-max-listpack-value 1000000", "hash-max-listpack-entries 10000"]
    async with RedisServer(tmp_path_factory.mktemp("redis"), config=config) as running:
        yield running


@pytest.fixture
def real(server: RedisServer) -> Iterator[RealRedis]:
    with RealRedis(server.port) as connection:
        yield connection


# --- commands ------------------------------------------------------------------------------------

Word = st.SearchStrategy[str | bytes]

# Mostly keys of the right type, and one that may hold anything.
KEYS: Word = st.sampled_from(["text", "hash", "list", "set", "any"])
TEXT: Word = st.sampled_from(["text", "text", "text2", "any"])
HASH: Word = st.sampled_from(["hash", "hash", "hash2", "any"])
LIST: Word = st.sampled_from(["list", "list", "list", "any"])
SET: Word = st.sampled_from(["set", "set", "set", "any"])
NAMES: Word = st.sampled_from(["x", "y", "z", "", b"\xff\x00"])
TEXTS: Word = st.sampled_from(["1", "-5", "1.5", "", "text", b"\r\n\xfe"])
SCORES: Word = st.sampled_from(["0", "1", "1", "-2", "2.5", "1e3", "123456789012345678", "x"])
LOWS: Word = st.sampled_from(["-inf", "-inf", "(-2", "-2", "(0", "0", "(1", "1", "(x"])
HIGHS: Word = st.sampled_from(["+inf", "+inf", "(2.5", "2.5", "(1", "1", "(1e3", "-2", "y"])
FIRSTS: Word = st.sampled_from(["0", "0", "0", "1", "-2", "-9", "2"])
LASTS: Word = st.sampled_from(["-1", "-1", "1", "9", "-2", "0", "-9", "x"])
TIMES: Word = st.sampled_from(["500000", "5000000000", "0", "-1", "x"])
NOTHING: st.SearchStrategy[tuple[str, ...]] = st.just(())
WITH_SCORES = st.sampled_from([(), ("WITHSCORES",)])
LIMITS = st.sampled_from(
    [(), (), ("LIMIT", "0", "2"), ("LIMIT", "1", "1"), ("WITHSCORES", "LIMIT", "1", "2")]
)

Step = tuple[str | bytes, ...]


def command(
    name: str, *words: Word, options: st.SearchStrategy[tuple[str, ...]] = NOTHING
) -> st.SearchStrategy[Step]:
    return st.tuples(st.tuples(*words), options).map(lambda parts: (name, *parts[0], *parts[1]))


STEPS = st.one_of(
    command("SET", TEXT, TEXTS),
    command("SET", TEXT, TEXTS, st.sampled_from(["EX", "PX"]), TIMES),
    *(command(name, TEXT) for name in ("GET", "INCR")),
    *(command(name, KEYS, KEYS) for name in ("EXISTS", "DEL", "UNLINK", "RENAME")),
    *(command(name, KEYS) for name in ("PERSIST", "HGETALL", "HVALS", "LLEN", "ZCARD")),
    command("PEXPIRE", KEYS, TIMES),
    command("HSET", HASH, NAMES, TEXTS),
    command("HSET", HASH, NAMES, TEXTS, NAMES, TEXTS),
    command("HSETNX", HASH, NAMES, TEXTS),
    command("HINCRBY", HASH, NAMES, TEXTS),
    command("HGET", HASH, NAMES),
    command("HMGET", HASH, NAMES, NAMES),
    command("HDEL", HASH, NAMES, NAMES),
    *(command("RPUSH", LIST, TEXTS, TEXTS) for _ in range(3)),
    command("LRANGE", LIST, FIRSTS, LASTS),
    command("LTRIM", LIST, FIRSTS, LASTS),
    *(command("ZADD", SET, SCORES, NAMES) for _ in range(4)),
    command("ZADD", SET, SCORES, NAMES, SCORES, NAMES),
    command("ZREM", SET, NAMES, NAMES),
    command("ZSCORE", SET, NAMES),
    *(command(name, SET, FIRSTS, LASTS, options=WITH_SCORES) for name in ("ZRANGE", "ZREVRANGE")),
    command("ZRANGEBYSCORE", SET, LOWS, HIGHS, options=LIMITS),
    command("ZREVRANGEBYSCORE", SET, HIGHS, LOWS, options=LIMITS),
    command("PUBLISH", KEYS, TEXTS),
)

#: Runs the command that its arguments are.
RUN = Script("run", "return redis.call(unpack(ARGV))")


@settings(RANDOM, max_examples=400)
@given(steps=st.lists(STEPS, min_size=10, max_size=60))
def test_commands_reply_as_those_of_a_real_server(real: RealRedis, steps: list[Step]) -> None:
    both = Both(real)
    for step in steps:
        both.run(RUN, [], step)
    both.compare_everything()


def test_the_model_has_the_commands_of_the_scripts_and_no_other() -> None:
    assert set(SCRIPTED) == {name.decode() for name in COMMANDS} | {"PUBLISH"}


def test_a_key_lives_to_its_last_millisecond_and_no_longer() -> None:
    time = 1000
    model = ModelRedis(lambda: time)
    model.command(b"SET", b"k", b"v", b"PX", b"500")
    model.command(b"SET", b"another", b"v", b"PX", b"100")
    time = 1500
    assert model.command(b"PTTL", b"k") == 0
    assert model.keys() == ["k"]
    time = 1501
    assert model.command(b"GET", b"k") is None
    assert model.keys() == []


# --- Lua -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "return {1, 'a\\0b', {3, {}}, true, 3.7, -3.7, 1e15}",
        "return {1, nil, 3}",
        "return {1, false, 3}",
        "return nil",
        "return redis.call('GET', 'nowhere')",
        "return redis.call('HMGET', 'h', 'a', 'b')",
        "return redis.call('SET', 'k', 'v').ok",
        "return type(redis.call('GET', 'nowhere'))",
        "return redis.call('GET', KEYS[1])",
        "return redis.pcall('GET', KEYS[1])",
        "return redis.pcall('GET', KEYS[1]).err and 1",
        "return {err = 'MY error'}",
        "redis.call('SET', 'k', 0.1) return redis.call('GET', 'k')",
        "redis.call('SET', 'k', 1e17) return redis.call('GET', 'k')",
        "redis.call('ZADD', 'z', 1.5, 'm') return redis.call('ZRANGE', 'z', 0, -1, 'WITHSCORES')",
        "return {#KEYS, #ARGV, KEYS[1], ARGV[2], ARGV[9] or 'none'}",
        "local x = nil\nreturn x.y",
        "error('oops')",
        "this is no Lua",
        "#!lua flags=no-writes\nreturn 1",
        "return cjson.encode({1, 'a/b\\n\\t\"\\\\\\1\\127', {a = 'Ä'}, {'\\255'}, 15, true})",
        "return string.format('%.0f', 2^53)",
        "return {string.match('user|a|12|r', '^(%a*)|([^|]*)|(%d*)|(.*)$')}",
        "local t = {3, 1, 2} table.sort(t) return t",
        "return table.concat({1, 2.5, 'x'}, ',')",
    ],
)
def test_lua_replies_as_that_of_a_real_server(real: RealRedis, text: str) -> None:
    both = Both(real)
    both.run(RUN, [], ["RPUSH", "list", "element"])
    both.run(Script("snippet", text), ["list"], ["one", b"two\xff", "3"])
    both.compare_everything()


def test_scripts_take_and_return_more_than_luas_stack_holds(real: RealRedis) -> None:
    both = Both(real)
    many = [f"e{number}" for number in range(9000)]
    both.run(Script("count", "return {#KEYS, #ARGV, ARGV[#ARGV]}"), ["k", "l"], many)
    push = "for _, each in ipairs(ARGV) do redis.call('RPUSH', KEYS[1], each) end"
    both.run(Script("push", push), ["list"], many)
    both.run(Script("read", "return redis.call('LRANGE', KEYS[1], 0, -1)"), ["list"], [])
