"""docs/redis.md lists what exists: addresses, options, permissions, keys, channels, scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from durable_llm_streams.model import Charge
from durable_llm_streams.store import Link, Retention
from durable_llm_streams.stores.redis import RedisAddress
from durable_llm_streams.stores.redis.client.address import _OPTIONS, _SCHEMES
from durable_llm_streams.stores.redis.doctor.permissions import acl_line
from durable_llm_streams.stores.redis.log import record_seconds
from durable_llm_streams.stores.redis.partitions import VERSION, partition_root, store_root
from durable_llm_streams.stores.redis.store import ECONOMY, PACE
from tests.contract.harness import HOUR, Talk, bounded, records
from tests.redis_servers import RedisServer, redis_server
from tests.redis_stores import RedisStores, elsewhere, stores, talk

__all__ = ["elsewhere", "redis_server", "stores", "talk"]

pytestmark = pytest.mark.xdist_group("redis")

PAGE = (Path(__file__).parents[1] / "docs" / "redis.md").read_text()
LUA = Path(__file__).parents[1] / "src/durable_llm_streams/stores/redis/lua"
SCRIPTS = {file.stem: file.read_text() for file in sorted(LUA.glob("*.lua"))}

#: `root .. ':name:'`, `KEYS[1] .. ':name'`
_BUILT = re.compile(r"\.\. ':([a-z]+(?::[a-z]+)*):?'")
_KEYED = re.compile(r"\bkey\('([a-z]+)'")
_LOOPED = re.compile(r"ipairs\(\{((?:'[a-z]+'(?:, )?)+)\}\)")
_PUBLISHED = re.compile(r"\bpublish\('([a-z])")

#: What the column `Lives` says of keys with a TTL.
_PASSING = re.compile(r"^from |the same|a minute|an hour|a day")
TYPES = {"string": "string", "hash": "hash", "list": "list", "zset": "sorted set"}


class Row(NamedTuple):
    """A row of a table."""

    cells: tuple[str, ...]
    names: list[str]  # what stands in backticks in the first cell


def code_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def rows(heading: str) -> Iterator[Row]:
    """The rows of the table whose first column has this heading."""
    found = re.search(rf"^\| {heading} \|.*\n\|[- |]+\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    assert found, heading
    for line in found[1].splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        yield Row(tuple(cells), code_in(cells[0]))


def kind(pattern: str) -> str:
    """`log` of `{dls:N}:log:RUN`, `check:set` of `{dls:N}:check:set`."""
    _, _, rest = pattern.partition("}:")
    return ":".join(part for part in rest.split(":") if not part.isupper())


def test_the_tables_name_exactly_the_keys_and_channels_of_the_scripts() -> None:
    tables = [row for table in ("Key", "Channel") for row in rows(table)]
    named = [kind(name) for row in tables for name in row.names]
    made: set[str] = set()
    for text in SCRIPTS.values():
        made.update(_BUILT.findall(text), _KEYED.findall(text))
        made.update(
            name for names in _LOOPED.findall(text) for name in re.findall(r"'([a-z]+)'", names)
        )
    assert sorted(named) == sorted(made)


def test_the_table_names_every_event() -> None:
    scripts = "".join(SCRIPTS.values())
    published = _PUBLISHED.findall(scripts)
    # The kind of all is plain, except for the function's own definition.
    assert scripts.count("publish(") - 1 == len(published)
    assert {row.names[0] for row in rows("Event")} == set(published)


def test_the_page_names_every_script_and_no_other() -> None:
    for name in SCRIPTS:
        assert f"`{name}`" in PAGE, name
    tables = [row for table in ("Key", "Channel") for row in rows(table)]
    writers = {name for row in tables for name in code_in(row.cells[-1])}
    read_only = {name for name, text in SCRIPTS.items() if "flags=no-writes" in text}
    parts = {name for name, text in SCRIPTS.items() if not text.startswith("#!lua")}
    assert writers == SCRIPTS.keys() - read_only - parts


def test_the_table_has_every_option_with_its_default() -> None:
    options = {row.names[0]: row for row in rows("Option")}
    assert options.keys() == _OPTIONS
    cluster = RedisAddress.parse("redis+cluster://host")
    for name in ("prefix", "timeout", "db", "partitions", "verify"):
        default = getattr(cluster, name)
        assert options[name].cells[1] == f"`{default:g}`" if name == "timeout" else f"`{default}`"
    for name in ("ca", "cert", "key", "sentinel_user", "sentinel_password"):
        assert getattr(cluster, name) is None


def test_every_scheme_has_its_address_and_every_address_is_one() -> None:
    named = [name for row in rows("Mode") for name in code_in(row.cells[1])]
    addresses = [name for name in named if re.search("://.", name)]
    assert {address.partition("://")[0] for address in addresses} == _SCHEMES.keys()
    for address in addresses:
        if not address.endswith("…"):
            RedisAddress.parse(address)


def test_the_acl_lines_are_what_the_program_prints() -> None:
    single = acl_line(RedisAddress.parse("redis://dls:PASSWORD@host"))
    assert f"\n{single}\n" in PAGE
    allowed = set(single.split())
    cluster = set(acl_line(RedisAddress.parse("redis+cluster://dls:PASSWORD@host")).split())
    assert "`+cluster|slots` stands in the place of `+role`" in PAGE
    assert (cluster - allowed, allowed - cluster) == ({"+cluster|slots"}, {"+role"})
    other = set(acl_line(RedisAddress.parse("redis://dls:PASSWORD@host/3")).split())
    assert other - allowed == {"+select"}


def test_the_numbers_of_the_page_are_those_of_the_code() -> None:
    assert f"Layout {VERSION}." in PAGE
    assert (partition_root("dls", 0), store_root("dls")) == ("{dls:0}", "{dls}")
    assert PACE == (0.002, 1, 0)
    assert "at most one call in 2 ms" in PAGE
    assert ECONOMY == (0.002, 50, 0.5)
    assert "one for 50 records, at most 500 ms" in PAGE
    retention = Retention(chat=0)
    assert record_seconds(retention) - retention.log == 30 * 24 * 3600
    assert "30 days more than its log's" in PAGE


@pytest.mark.promise("bounded", "no-leak")
async def test_every_key_has_the_type_and_the_ttl_of_the_table(
    talk: Talk, elsewhere: Talk, stores: RedisStores, redis_server: RedisServer
) -> None:
    table = {kind(row.names[0]): row for row in rows("Key")}
    await talk.store.check()
    await talk.answer(key="k1")
    cost = Charge("tokens", "ann", 1, 10, HOUR)
    claim = await talk.start(chat="c2", key="k2", charges=(cost,), reservation=(cost,))
    assert await talk.append(claim, records(3))
    reader = await elsewhere.waiting(claim.run.id, 3)
    active = (claim.run.id, (await talk.send(chat="c3")).run.id)
    await talk.answer(chat="c4")
    await talk.store.chats.delete("ann", "c4")
    await talk.store.visitors.sign_out("bob", 1, forget=0)
    await talk.store.visitors.keep_link("d", Link("ann", 1), seconds=120)
    seen = set()
    async with redis_server.client(decode_responses=True) as client:
        patterns = (f"{stores.root}:*", f"{store_root(stores.root[1:-3])}:*")
        for key in [key for each in patterns async for key in client.scan_iter(match=each)]:
            name = key.partition("}:")[2].partition(":")[0]
            row = table[name]
            assert TYPES[str(await client.type(key))] == row.cells[1], key
            forever = not _PASSING.search(row.cells[3]) or key.endswith(active)
            assert (await client.pttl(key) == -1) == forever, key
            if name in ("meta", "run", "chat"):
                fields = re.findall(r"`([a-z]+)`", row.cells[2])
                assert set(await client.hgetall(key)) <= set(fields), key
            seen.add(name)
    await talk.stop(claim.run.id)
    await bounded(reader)
    temporary = {name for name in table if name.startswith("check:")}
    assert table.keys() - seen == {"kept", "mark", "moving", *temporary}
