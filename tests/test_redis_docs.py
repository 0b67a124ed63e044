"""docs/redis.md tells what there is: addresses, options, permissions, keys, channels, scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import aiohttp
import pytest

from durable_llm_streams.store import Retention
from durable_llm_streams.stores.redis import RedisAddress
from durable_llm_streams.stores.redis.client.address import _OPTIONS, _SCHEMES
from durable_llm_streams.stores.redis.doctor.permissions import acl_line
from durable_llm_streams.stores.redis.log import record_seconds
from durable_llm_streams.stores.redis.partitions import VERSION, partition_root, store_root
from durable_llm_streams.stores.redis.store import ECONOMY, PACE
from tests.app import Guest, read_until
from tests.fake_provider import FakeProvider, answer
from tests.processes import serving
from tests.redis_servers import RedisServer

PAGE = (Path(__file__).parents[1] / "docs" / "redis.md").read_text()
LUA = Path(__file__).parents[1] / "src/durable_llm_streams/stores/redis/lua"
SCRIPTS = {file.stem: file.read_text() for file in sorted(LUA.glob("*.lua"))}

#: `root .. ':name:'`, `KEYS[1] .. ':name'`
_BUILT = re.compile(r"\.\. ':([a-z]+(?::[a-z]+)*):?'")
_KEYED = re.compile(r"\bkey\('([a-z]+)'")
_LOOPED = re.compile(r"ipairs\(\{((?:'[a-z]+'(?:, )?)+)\}\)")
_PUBLISHED = re.compile(r"\bpublish\('([a-z])")
_EVERY_PUBLISH = re.compile(r"\bpublish\(")

#: What the column `Lives` says of keys with a TTL.
_PASSING = re.compile(r"^from |the same|a minute|an hour|a day")
TYPES = {"string": "string", "hash": "hash", "list": "list", "zset": "sorted set"}


class Row(NamedTuple):
    """A row of a table: its cells."""

    cells: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """What stands in backticks in the first cell."""
        return re.findall(r"`([^`]+)`", self.cells[0])


def rows(heading: str) -> Iterator[Row]:
    """The rows of the table whose first column has this heading."""
    found = re.search(rf"^\| {heading} \|.*\n\|[- |]+\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    assert found, heading
    for line in found[1].splitlines():
        cells = re.split(r"(?<!\\)\|", line)[1:-1]
        yield Row(tuple(cell.strip() for cell in cells))


def kind(pattern: str) -> str:
    """`log` of `{dls:N}:log:RUN`, `check:set` of `{dls:N}:check:set`."""
    _, _, rest = pattern.partition("}:")
    return ":".join(part for part in rest.split(":") if not part.isupper())


def made_by_scripts() -> set[str]:
    made: set[str] = set()
    for text in SCRIPTS.values():
        made.update(_BUILT.findall(text), _KEYED.findall(text))
        for listed in _LOOPED.findall(text):
            made.update(re.findall(r"'([a-z]+)'", listed))
    return made


def test_the_tables_name_exactly_the_keys_and_channels_of_the_scripts() -> None:
    tables = [row for table in ("Key", "Channel") for row in rows(table)]
    named = [kind(name) for row in tables for name in row.names]
    assert len(named) == len(set(named))
    assert set(named) == made_by_scripts()


def test_the_table_names_every_event() -> None:
    published = {found for text in SCRIPTS.values() for found in _PUBLISHED.findall(text)}
    calls = sum(len(_EVERY_PUBLISH.findall(text)) for text in SCRIPTS.values())
    known = sum(len(_PUBLISHED.findall(text)) for text in SCRIPTS.values())
    assert calls - 1 == known  # all but the function's own definition tell their kind at once
    assert {row.names[0] for row in rows("Event")} == published


def test_the_page_names_every_script_and_no_other() -> None:
    for name in SCRIPTS:
        assert f"`{name}`" in PAGE, name
    writers = {
        name
        for table in ("Key", "Channel")
        for row in rows(table)
        for name in re.findall(r"`([^`]+)`", row.cells[-1])
    }
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
    addresses = [
        name for row in rows("Mode") for name in re.findall(r"`([^`]+://[^`]+)`", row.cells[1])
    ]
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


@pytest.mark.promise("bounded")
async def test_every_key_has_the_type_and_the_ttl_of_the_table(
    tmp_path: Path,
) -> None:
    table = {kind(row.names[0]): row for row in rows("Key")}
    async with RedisServer(tmp_path) as redis, FakeProvider() as provider:
        settings = {"DLS_STORE": redis.url, "OPENAI_BASE_URL": provider.base_url}
        async with serving(tmp_path, settings) as server:
            jar = aiohttp.CookieJar(unsafe=True)
            async with aiohttp.ClientSession(cookie_jar=jar) as session:
                guest = Guest(server.url, session)
                assert (await guest.send()).end == "finish"
                provider.plan("stall_after=3")
                async with await guest.start() as stream:
                    await read_until(stream, lambda reading: reading.text == answer(3))
                    async with redis.client(decode_responses=True) as client:
                        active = (await client.zrange("{dls:0}:running", 0, -1))[0]
                        seen = set()
                        for key in [key async for key in client.scan_iter()]:
                            row = table[where(key)]
                            assert TYPES[str(await client.type(key))] == row.cells[1], key
                            forever = not _PASSING.search(row.cells[3]) or key.endswith(active)
                            assert (await client.pttl(key) == -1) == forever, key
                            if where(key) in ("meta", "run", "chat"):
                                told = re.findall(r"`([a-z]+)`", row.cells[2])
                                assert set(await client.hgetall(key)) <= set(told), key
                            seen.add(where(key))
    temporary = {name for name in table if name.startswith("check:")}
    assert table.keys() - seen == {"queue", "kept", "mark", "moving", *temporary}


def where(key: str) -> str:
    """The kind of a key as it is."""
    rest = key.partition("}:")[2]
    return rest.partition(":")[0]
