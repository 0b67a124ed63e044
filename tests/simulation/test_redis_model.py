"""The model of Redis replies what a real one replies, byte for byte: commands, Lua, refusals."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from durable_llm_streams.stores.redis.script import Script
from tests.redis_servers import RedisServer

from .redis_model import ModelRedis
from .redis_model.comparison import Both, RealRedis, Step

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
TEXTS: Word = st.sampled_from(
    ["1", "-5", "9223372036854775807", "007", "1.5", "", "text", b"\r\n\xfe"]
)
SCORES: Word = st.sampled_from(
    ["0", "0", "1", "1", "1", "-2", "-2", "2.5", "2.5", "1e3", "+inf", "-inf", "nan", "x"]
)
LOWS: Word = st.sampled_from(["-inf", "-inf", "(-2", "-2", "(0", "0", "(1", "1", "(x"])
HIGHS: Word = st.sampled_from(["+inf", "+inf", "(2.5", "2.5", "(1", "1", "(1e3", "-2", "y"])
FIRSTS: Word = st.sampled_from(["0", "0", "0", "1", "-2", "-9", "2", "01"])
LASTS: Word = st.sampled_from(["-1", "-1", "1", "9", "-2", "0", "-9", "x"])
TIMES: Word = st.sampled_from(["500000", "5000000000", "0", "-1", "x", "9223372036854775807"])
UNITS: Word = st.sampled_from(["EX", "PX", "px", "NO"])
WITH_SCORES = st.sampled_from([(), (), ("WITHSCORES",), ("withscores",), ("NOSUCH",)])
LIMITS = st.sampled_from(
    [
        (),
        (),
        (),
        (),
        ("LIMIT", "0", "2"),
        ("limit", "1", "-1"),
        ("LIMIT", "-1", "2"),
        ("LIMIT", "0", "x"),
        ("LIMIT", "1"),
        ("WITHSCORES", "LIMIT", "1", "1"),
    ]
)


def command(name: str, *words: Word) -> st.SearchStrategy[Step]:
    return st.tuples(st.just(name), *words)


def ending_in(
    before: st.SearchStrategy[Step], more: st.SearchStrategy[tuple[str, ...]]
) -> st.SearchStrategy[Step]:
    return st.tuples(before, more).map(lambda parts: parts[0] + parts[1])


COMMANDS = st.one_of(
    command("SET", TEXT, TEXTS),
    command("set", TEXT, TEXTS, UNITS, TIMES),
    command("SET", TEXT, TEXTS, st.just("EX")),
    command("GET", TEXT),
    command("INCR", TEXT),
    command("EXISTS", KEYS, KEYS),
    command("DEL", KEYS, KEYS),
    command("UNLINK", KEYS),
    command("RENAME", KEYS, KEYS),
    command("TYPE", KEYS),
    *(command(name, KEYS, TIMES) for name in ("EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT")),
    command("PEXPIRE", KEYS, TIMES, st.just("NO")),
    *(command(name, KEYS) for name in ("TTL", "PTTL", "PERSIST", "HGETALL", "HVALS", "LLEN")),
    command("HSET", HASH, NAMES, TEXTS),
    command("HSET", HASH, NAMES, TEXTS, NAMES, TEXTS),
    command("HSET", HASH, NAMES, TEXTS, NAMES),
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
    command("ZADD", SET, SCORES, NAMES, SCORES),
    command("ZREM", SET, NAMES, NAMES),
    command("ZSCORE", SET, NAMES),
    command("ZCARD", SET),
    ending_in(command("ZRANGE", SET, FIRSTS, LASTS), WITH_SCORES),
    ending_in(command("ZREVRANGE", SET, FIRSTS, LASTS), WITH_SCORES),
    ending_in(command("ZRANGEBYSCORE", SET, LOWS, HIGHS), LIMITS),
    ending_in(command("ZREVRANGEBYSCORE", SET, HIGHS, LOWS), LIMITS),
    command("PUBLISH", KEYS, TEXTS),
    command("GET"),
    command("HSET", HASH, NAMES),
    command("NOSUCH", KEYS, TEXTS),
    command("SCRIPT", st.just("EXISTS"), st.just("0" * 40)),
    command("SCRIPT", st.just("NOSUCH")),
    command("EVALSHA", st.just("0" * 40), st.sampled_from(["0", "1", "-1", "x"])),
)


@settings(RANDOM, max_examples=500)
@given(steps=st.lists(COMMANDS, min_size=10, max_size=60))
def test_commands_reply_as_those_of_a_real_server(real: RealRedis, steps: list[Step]) -> None:
    both = Both(real)
    for step in steps:
        both.ask(*step)
    both.compare_everything()


# --- scripts -------------------------------------------------------------------------------------

SNIPPETS = [
    "return 1",
    "return {1, 2, {3, 'a'}, false, true, 5}",
    "return {1, nil, 3}",
    "return nil",
    "return 3.7",
    "return -3.7",
    "return 1e15",
    "return tostring(1e15)",
    "return 'a\\0b'",
    "return {}",
    "return {ok = 'fine'}",
    "return {err = 'MY error'}",
    "return {err = 'a\\nb'}",
    "return {1, {ok = 'fine'}}",
    "return redis.status_reply('FINE')",
    "return redis.error_reply('MY error')",
    "return redis.error_reply('-MY error')",
    "return redis.error_reply('oops')",
    "return redis.call('GET', 'nowhere')",
    "local v = redis.call('GET', KEYS[1]) return v",
    "return redis.pcall('GET', KEYS[1])",
    "return redis.pcall('GET', KEYS[1]).err",
    "local f, e = pcall(redis.call, 'GET', KEYS[1]) return e.err",
    "local v = redis.call('NOSUCH') return v",
    "local v = redis.call('GET') return v",
    "local v = redis.call('GET', {}) return v",
    "local v = redis.call('GET', true) return v",
    "local v = redis.call('EVAL', 'return 1', 0) return v",
    "return type(redis.call('SET', 'k', 'v'))",
    "local v = redis.call('HSET', 'h', 'f') return v",
    "return redis.call('SET', 'k', 'v').ok",
    "return redis.call('set', 'k', 12345678901234567890)",
    "redis.call('SET', 'k', 0.1) return redis.call('GET', 'k')",
    "redis.call('SET', 'k', 1e17) return redis.call('GET', 'k')",
    "redis.call('SET', 'k', -5) return redis.call('INCR', 'k')",
    "redis.call('ZADD', 'z', 1.5, 'm') return redis.call('ZRANGE', 'z', 0, -1, 'WITHSCORES')",
    "return redis.call('HMGET', 'h', 'a', 'b')",
    "return {redis.call('HMGET', 'h', 'a', 'b')[1] == false}",
    "return #KEYS .. ' ' .. #ARGV .. ' ' .. ARGV[2]",
    "return ARGV",
    "return unpack(ARGV)",
    "return #{unpack(ARGV, 1, 2)}",
    "local t = {} for i = 1, 9000 do t[i] = i end return #{unpack(t)}",
    "nowhere = 1",
    "return nowhere",
    "local x = nil\nreturn x.y",
    "error('oops')",
    "error()",
    "error(5)",
    "error({err = 'MY error'})",
    "\n\nerror('oops')",
    "local function f() error('oops') end\nf()",
    "this is no Lua",
    "#!lua flags=no-writes\nreturn redis.call('GET', 'k')",
    "#!lua flags=no-writes\nlocal v = redis.call('SET', 'k', 'v')\nreturn v",
    "#!lua flags=no-writes\nlocal v = redis.call('PUBLISH', 'k', 'v')\nreturn v",
    "#!lua flags=nosuch\nreturn 1",
    "#!lisp\nreturn 1",
    "#!lua nosuch\nreturn 1",
    "#!lua\nerror('oops')",
    "#!lua\n\nlocal x = 1\nredis.call('INCR', KEYS[1])",
    "return cjson.encode({1, 'a/b\\n\\t\"\\\\\\1\\127', {}, {a = 1}, 1.5, 1e20, true})",
    "return cjson.encode({[1] = 1, [3] = 3})",
    "local v = cjson.encode({[1] = 1, [40] = 3}) return v",
    "return cjson.encode('\\255')",
    "return cjson.encode({a = false})",
    "return cjson.encode({[2] = 'x', y = 1})",
    "local v = cjson.encode(0/0) return v",
    "local v = cjson.encode({redis.call}) return v",
    "return string.format('%.0f', 2^53)",
    "return {string.match('user|a|12|r', '^(%a*)|([^|]*)|(%d*)|(.*)$')}",
    "return math.huge == 1/0",
    "local t = {3, 1, 2} table.sort(t) return t",
    "return table.concat({1, 2.5, 'x'}, ',')",
]


@pytest.mark.parametrize("text", SNIPPETS)
def test_lua_replies_as_that_of_a_real_server(real: RealRedis, text: str) -> None:
    both = Both(real)
    both.ask("RPUSH", "list", "element")
    both.ask("EVAL", text, 1, "list", "one", b"two\xff", "3")
    both.ask("EVALSHA", Script("snippet", text).sha, 1, "list", "one", b"two\xff", "3")
    both.compare_everything()


def test_scripts_take_and_give_more_than_luas_stack_holds(real: RealRedis) -> None:
    both = Both(real)
    many = [f"e{number}" for number in range(9000)]
    both.ask("EVAL", "return {#KEYS, #ARGV, ARGV[#ARGV]}", 2, "k", "l", *many)
    both.ask("RPUSH", "list", *many)
    both.ask("EVAL", "return redis.call('LRANGE', KEYS[1], 0, -1)", 1, "list")
    both.ask("EVAL", "return redis.call('HMGET', KEYS[1], unpack(ARGV))", 1, "h", *many[:7000])


# --- what may be wrong with a server -------------------------------------------------------------


async def test_a_full_server_refuses_as_a_real_one_does(tmp_path: Path) -> None:
    async with RedisServer(tmp_path) as server:
        with RealRedis(server.port) as real:
            both = Both(real)
            both.ask("SET", "k", "v")
            real.ask("CONFIG", "SET", "maxmemory", "1")
            both.model.full = True
            for step in WRITES:
                both.ask(*step)


async def test_a_replica_refuses_as_a_real_one_does(tmp_path: Path) -> None:
    async with RedisServer(tmp_path) as master, RedisServer(tmp_path) as server:
        with RealRedis(server.port) as real:
            both = Both(real)
            real.ask("REPLICAOF", "127.0.0.1", master.port)
            both.model.replica = True
            for step in WRITES:
                both.ask(*step)


WRITES: list[Step] = [
    ("GET", "k"), ("SET", "k", "v"), ("DEL", "k"), ("RPUSH", "l", "e"), ("PEXPIRE", "k", 5000000),
    ("EVAL", "local v = redis.call('SET', 'k', 'v') return v", 0),
    ("EVAL", "local v = redis.call('DEL', 'k') return v", 0),
    ("EVAL", "return redis.call('GET', 'nowhere')", 0),
    ("EVAL", "#!lua\nreturn 1", 0),
    ("EVAL", "#!lua\nlocal v = redis.call('SET', 'k', 'v') return v", 0),
    ("EVAL", "#!lua flags=allow-oom\nlocal v = redis.call('SET', 'k', 'v') return v", 0),
    ("EVAL", "#!lua flags=no-writes\nreturn redis.call('GET', 'nowhere')", 0),
]  # fmt: skip


def test_a_key_lives_to_its_last_millisecond_and_no_longer() -> None:
    time = 1000
    model = ModelRedis(lambda: time)
    client = model.connect("somebody", lambda message: None)
    model.execute(client, [b"SET", b"k", b"v", b"PX", b"500"])
    model.execute(client, [b"SET", b"another", b"v", b"PX", b"100"])
    time = 1500
    assert model.execute(client, [b"PTTL", b"k"]) == b":0\r\n"
    assert model.ttl("k") == 0
    assert model.keys() == ["k"]
    time = 1501
    assert model.execute(client, [b"GET", b"k"]) == b"$-1\r\n"
    assert not model.keys()


def test_who_looks_on_is_told_of_every_step_that_wrote_and_of_no_other() -> None:
    told: list[tuple[str, list[bytes]]] = []
    model = ModelRedis(lambda: 0)
    model.on_write(lambda process, keys: told.append((process, list(keys))))
    client = model.connect("somebody", lambda message: None)
    script = (
        b"redis.call('SET', 'a', 1) redis.call('DEL', 'b', 'c') redis.call('INCR', 'a') error()"
    )
    for words in (
        [b"GET", b"a"],
        [b"EVAL", b"return redis.call('GET', 'a')", b"0"],
        [b"EVAL", script, b"0"],
        [b"RENAME", b"a", b"d"],
        [b"PUBLISH", b"a", b"b"],
    ):
        model.execute(client, words)
    assert told == [("somebody", [b"a", b"b", b"c"]), ("somebody", [b"a", b"d"])]
