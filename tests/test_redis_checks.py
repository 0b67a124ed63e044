"""What is said about real Redis servers before they are trusted with answers."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from durable_llm_streams.errors import StoreUnavailable
from durable_llm_streams.stores.finding import Finding, Level
from durable_llm_streams.stores.redis.client.address import RedisAddress
from durable_llm_streams.stores.redis.client.database import Database
from durable_llm_streams.stores.redis.doctor.checks import examine
from durable_llm_streams.stores.redis.doctor.dangers import findings, unfit
from durable_llm_streams.stores.redis.doctor.erasing import kept_on_disk
from durable_llm_streams.stores.redis.doctor.permissions import SCRIPTED, acl_line
from durable_llm_streams.stores.redis.doctor.unusable import why_unusable
from durable_llm_streams.stores.redis.partitions import VERSION
from tests.redis_databases import database, until_works
from tests.redis_servers import ClusterSetup, RedisServer, SentinelSetup
from tests.waiting import until

pytestmark = pytest.mark.promise("fit-store")

#: A server with nothing to find fault with.
SAFE: dict[str, Any] = {"appendfsync": "always"}
ERASING = "keeps what is deleted in its append-only file until it rewrites that"


def config(*lines: str, **setup: Any) -> dict[str, Any]:
    """A server with these lines in its redis.conf."""
    return setup | {"config": lines}


async def said(url: str) -> list[Finding]:
    """All but the note on erasing, which every append-only file gets."""
    async with database(url) as opened:
        return [finding for finding in await examine(opened) if ERASING not in finding.text]


async def fatal(url: str) -> str:
    """The one line with which a server does not start."""
    (finding,) = await said(url)
    assert finding.level == "fatal", finding
    assert "\n" not in finding.text
    assert finding.text.startswith(RedisAddress.parse(url).redacted)
    return finding.text


def at(level: Level, found: list[Finding]) -> str:
    return "\n".join(finding.text for finding in found if finding.level == level)


def url(server: RedisServer, user: str = "", rest: str = "/0") -> str:
    scheme = "redis" if server.ca is None else "rediss"
    return f"{scheme}://{user}{'@' if user else ''}127.0.0.1:{server.port}{rest}"


async def test_a_server_that_keeps_everything_gets_no_warning(tmp_path: Path) -> None:
    async with RedisServer(tmp_path, **SAFE) as server:
        assert await said(url(server)) == []
        assert await server.command("DBSIZE") == 0, "it leaves nothing behind"
        await server.command("HSET", "{dls}:meta", "version", "1", "partitions", "1")
        assert await said(url(server)) == []


# What stops the start

TLS, PASSWORD = {"tls": True}, {"password": "pw"}
REPLICA = {"config": ["replicaof 127.0.0.1 1"], "acl": ["app on >pw ~* &* +@all -role"]}
#: A Sentinel with one service, whose master is down; and one that also needs a password.
SENTINEL = {"sentinel": True, "config": ["sentinel monitor chats 127.0.0.1 1 1"]}
GUARDED = {"sentinel": True, "config": ["requirepass pw", *SENTINEL["config"]]}  # type: ignore[misc]


@pytest.mark.parametrize(
    ("setup", "address", "words"),
    [
        ({}, "rediss://{place}?timeout=0.5", "speaks no TLS at {place}"),
        (TLS, "redis://{place}", "speaks TLS at {place}"),
        (TLS, "rediss://{place}", "by the option ca"),
        (TLS, "rediss://{place}?ca=/nowhere.pem", "options ca, cert or key"),
        (TLS, "rediss://127.1:{port}?ca={ca}", "Write the host as the certificate has it"),
        (PASSWORD, "redis://{place}", "wants a password"),
        (PASSWORD, "redis://:wrong@{place}", "refuses the user or the password"),
        (PASSWORD, "redis://nobody:pw@{place}", "refuses the user or the password"),
        ({}, "redis://:pw@{place}", "wants no password"),
        ({}, "redis://{place}/99", "has no database 99"),
        ({}, "redis+cluster://{place}", "is no Redis Cluster"),
        ({}, "redis+sentinel://{place}/chats", "is no Sentinel"),
        (REPLICA, "redis://{place}", "is a replica"),
        (REPLICA, "redis://app:pw@{place}", "is a replica"),
        (config('rename-command EVAL ""'), "redis://{place}", "runs no scripts"),
        (config('rename-command EVALSHA ""'), "redis://{place}", "runs no scripts"),
        (config('rename-command SELECT ""'), "redis://{place}/1", "(ERR unknown command 'SELECT'"),
        (config("maxmemory 1"), "redis://{place}", "is full (maxmemory)"),
        (config("min-replicas-to-write 1"), "redis://{place}", "nothing without its replicas"),
        (SENTINEL, "redis://{place}", "is a Sentinel"),
        (SENTINEL, "redis+cluster://{place}", "is no Redis Cluster"),
        (SENTINEL, "redis+sentinel://{place}/other", "service other. They know chats."),
        (GUARDED, "redis+sentinel://{place}/s", "sentinel_password"),
        (GUARDED, "redis+sentinel://{place}/s?sentinel_password=wrong", "sentinel_password"),
        (GUARDED, "redis+sentinel://{place}/chats?sentinel_password=pw", "at 127.0.0.1:1."),
    ],
)
async def test_a_server_that_cannot_be_a_store_is_refused_with_what_to_change(
    tmp_path: Path, setup: Mapping[str, Any], address: str, words: str
) -> None:
    async with RedisServer(tmp_path, **setup) as server:
        there = {"place": f"127.0.0.1:{server.port}", "port": server.port, "ca": server.ca}
        assert words.format(**there) in await fatal(address.format(**there))


async def test_a_server_that_is_not_there_or_does_not_answer(tmp_path: Path) -> None:
    async with RedisServer(tmp_path) as server:
        server.freeze()
        assert "does not answer at 127.0.0.1" in await fatal(url(server, rest="?timeout=0.2"))
        place = f"127.0.0.1:{server.port}"
    for address, words in {
        f"redis://{place}": f"nobody listens at {place}",
        f"redis+cluster://{place}": f"nobody listens at {place}",
        f"redis+sentinel://{place}/chats": f"nobody listens at {place}",
        "redis://no-such-host.invalid": "the host of no-such-host.invalid:6379 is not known",
        "redis://two..dots": "the host of two..dots:6379 is not known",
        f"unix://{tmp_path}/none": f"there is no socket {tmp_path}/none",
    }.items():
        assert words in await fatal(address)


async def test_a_server_that_requires_a_client_certificate(tmp_path: Path) -> None:
    async with RedisServer(tmp_path, tls=True, **SAFE) as server:
        assert "may be anybody" in at("danger", await said(url(server, rest="?verify=none")))
        assert await said(url(server, rest=f"?ca={server.ca}")) == []
        await server.command("CONFIG", "SET", "tls-auth-clients", "yes")
        assert "options cert and key" in await fatal(url(server, rest=f"?ca={server.ca}"))
        pair = server.folder / "server.pem"  # the same authority has signed it
        assert await said(url(server, rest=f"?ca={server.ca}&cert={pair}&key={pair}")) == []
        assert await said(url(server, rest=f"?ca={server.ca}&cert={pair}")) == []


async def test_a_certificate_that_has_run_out_is_to_be_renewed() -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "certificate has expired"
    failure = ConnectionError("Error 1 connecting to h:1. Failed.")
    failure.__cause__ = error
    assert "Renew it" in str(await why_unusable(RedisAddress.parse("rediss://h:1"), failure))


@pytest.mark.parametrize(
    ("rights", "rest", "words"),
    [
        ("~* &* +@all -evalsha -eval", "/0", "eval"),
        ("~* &* +@all -evalsha", "/0", "evalsha"),
        ("~* &* +@all -zadd -publish", "/0", "PUBLISH, ZADD|ZADD, PUBLISH"),
        ("~other* &* +@all", "/0", "the keys ~{dls}* and ~{dls:*"),
        ("~* &other* +@all", "/0", "PUBLISH"),
        ("~* &* +@all -subscribe", "/0", "subscribe"),
        ("~* &* +@all -ping", "/0", "ping"),
        ("~* &* +@all -select", "/1", "select"),
        ("~* &* +@all -hgetall", "/0", "HGETALL"),
    ],
)
async def test_missing_rights_are_named_with_the_line_that_grants_them(
    tmp_path: Path, rights: str, rest: str, words: str
) -> None:
    async with RedisServer(tmp_path, acl=[f"app on >pw {rights}"], **SAFE) as server:
        text = await fatal(url(server, "app:pw", rest))
        assert any(f"what is needed: {part} (" in text for part in words.split("|"))
        assert "pw" not in text
        line = text[text.index("ACL SETUSER") :].replace("PASSWORD", "pw")
        await server.command(*line.split())
        assert await said(url(server, "app:pw", rest)) == []


async def test_the_line_gives_what_is_needed_and_no_more(tmp_path: Path) -> None:
    address = RedisAddress.parse("redis://app:pw@127.0.0.1?prefix=my")
    line = acl_line(address).replace("PASSWORD", "pw").split()
    commands = [word[1:] for word in line if word.startswith("+")]
    async with RedisServer(tmp_path, **SAFE) as server:
        await server.command(*line)
        place = url(server, "app:pw", "?prefix=my")
        assert await said(place) == []
        assert "~{dls}*" in await fatal(url(server, "app:pw"))
        for command in commands:
            await server.command("ACL", "SETUSER", "app", f"-{command}")
            found = await said(place)
            if command == "role":
                assert found == [], "a server need not tell its role"
            elif command in ("info", "config|get"):
                assert at("note", found), command
            else:
                assert [finding.level for finding in found] == ["fatal"], command
                assert command in found[0].text.partition("This is enough")[0].lower()
            await server.command("ACL", "SETUSER", "app", f"+{command}")
        assert await said(place) == []


def test_every_command_of_the_scripts_is_tried() -> None:
    used = set()
    for file in resources.files("durable_llm_streams.stores.redis").joinpath("lua").iterdir():
        if file.name != "permissions.lua":
            used |= set(re.findall(r"\bp?call\(\s*'([A-Z]+)'", file.read_text("utf-8")))
    assert used
    assert used <= set(SCRIPTED)
    assert sorted(set(SCRIPTED) - used) == [], "a right that nothing needs"


async def test_a_store_of_a_newer_version_or_of_other_partitions(tmp_path: Path) -> None:
    async with RedisServer(tmp_path) as server:
        await server.command("HSET", "{dls}:meta", "version", VERSION + 1, "partitions", "1")
        assert "newer version" in await fatal(url(server))
        await server.command("HSET", "{dls}:meta", "version", VERSION, "partitions", "16")
        assert "16 partitions" in await fatal(url(server))
        assert "newer" not in str(await said(url(server, rest="?prefix=other")))


@pytest.mark.parametrize(
    ("info", "refused"),
    [
        ({"redis_version": "6.2.14"}, True),
        ({"redis_version": "6.2"}, True),
        ({"redis_version": "7.0.0"}, False),
        ({"redis_version": "10.0.1"}, False),
        ({"redis_version": "7.2.4", "server_name": "valkey", "valkey_version": "9.0.0"}, False),
        ({}, False),
    ],
)
def test_a_server_must_not_be_too_old(info: Mapping[str, str], refused: bool) -> None:
    reason = unfit(info, "single")
    assert (reason is not None) is refused
    assert not refused or "7.0" in str(reason)


async def test_a_state_that_passes_is_no_finding(tmp_path: Path) -> None:
    async with RedisServer(tmp_path, config=["maxclients 1"]) as server:
        first = await until_works(Database(RedisAddress.parse(url(server))).subscriber)
        with pytest.raises(StoreUnavailable, match="too many clients"):
            await said(url(server))
        await first.close()


# Warnings and notes


@pytest.mark.parametrize(
    ("setup", "level", "words"),
    [
        ({}, "danger", "keeps nothing on its disk"),
        (config("save 3600 1"), "danger", "only writes snapshots"),
        (config("save 3600 1"), "note", "stop-writes-on-bgsave-error yes"),
        ({"appendfsync": "no"}, "danger", "appendfsync no"),
        ({"appendfsync": "everysec"}, "note", "may lose the last second"),
        (
            config("maxmemory 100mb", "maxmemory-policy volatile-lru", **SAFE),
            *("danger", "maxmemory-policy volatile-lru"),
        ),
        (config("maxmemory-policy allkeys-lru", **SAFE), "note", "has no limit now"),
        (config('rename-command CONFIG ""', **SAFE), "note", "CONFIG GET is refused"),
        (config('rename-command INFO ""', **SAFE), "note", "INFO is refused"),
    ],
)
async def test_a_server_that_may_lose_answers_gets_a_warning(
    tmp_path: Path, setup: Mapping[str, Any], level: Level, words: str
) -> None:
    async with RedisServer(tmp_path, **setup) as server:
        found = await said(url(server))
        assert at(level, found).count(words) == 1
        assert [finding.level for finding in found] == sorted(finding.level for finding in found)
        if "appendfsync" in setup:
            assert len(found) == 1


@pytest.mark.parametrize(
    ("info", "words"),
    [
        ({"aof_enabled": "1", "aof_last_write_status": "err"}, "append-only file"),
        ({"aof_enabled": "1", "rdb_last_bgsave_status": "err"}, "snapshot"),
    ],
)
def test_a_disk_that_fails_is_a_danger(info: Mapping[str, str], words: str) -> None:
    danger, _ = findings(info, {}, "single")
    assert danger.level == "danger"
    assert words in danger.text


@pytest.mark.promise("erased")
async def test_how_long_deleted_words_stay_on_the_disk_is_told_of_a_server(tmp_path: Path) -> None:
    async with RedisServer(tmp_path, **SAFE) as server, database(url(server)) as opened:
        (note,) = await examine(opened)
        assert note.level == "note"
        assert f"{ERASING}: not since it started 1 min ago." in note.text


@pytest.mark.promise("erased")
@pytest.mark.parametrize(
    ("uptime", "rewrites", "words"),
    [
        ("59", "0", ": not since it started 1 min ago. BGREWRITEAOF"),
        ("7200", "1", ": once since it started 2 hours ago. BGREWRITEAOF"),
        ("172800", "12", ": 12 times since it started 2 days ago. BGREWRITEAOF"),
        ("", "", ". BGREWRITEAOF"),
    ],
)
def test_how_long_an_append_only_file_keeps_deleted_words_is_told(
    uptime: str, rewrites: str, words: str
) -> None:
    info = {"aof_enabled": "1", "uptime_in_seconds": uptime, "aof_rewrites": rewrites}
    (note,) = kept_on_disk(info)
    assert f"{ERASING}{words}" in note.text


def test_without_an_append_only_file_nothing_is_said_about_it() -> None:
    assert list(kept_on_disk({"aof_enabled": "0"})) == []


async def test_a_sentinels_master_without_a_replica_is_a_danger(tmp_path: Path) -> None:
    async with SentinelSetup(tmp_path, appendfsync="always") as setup:
        found = await said(setup.url)
        assert at("danger", found) == ""
        assert "min-replicas-to-write 1" in at("note", found)
        master = await setup.master()
        (replica,) = [server for server in setup.servers if server is not master]
        await replica.kill()
        await until(
            lambda: master.command("INFO", "replication"),
            lambda info: info["connected_slaves"] == 0,
            "the master to notice that its replica is gone",
        )
        assert "has no replica" in at("danger", await said(setup.url))


async def test_the_servers_of_a_cluster_are_looked_at_one_by_one(tmp_path: Path) -> None:
    async with ClusterSetup(tmp_path) as setup, database(setup.url) as opened:
        odd = setup.servers[1]
        await odd.command("CONFIG", "SET", "maxmemory", "100mb")
        await odd.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        shared, own = at("danger", await said(setup.url)).splitlines()
        assert "keeps nothing on its disk" in shared
        assert own.startswith(f"127.0.0.1:{odd.port} deletes chats")
        await opened.command("HSET", "{dls}:meta", "version", "1", "partitions", "16")
        assert "?partitions=16" in await fatal(setup.url + "?partitions=4")
        assert at("fatal", await said(setup.url)) == ""


async def test_one_server_of_a_cluster_is_reported_and_the_acl_line_works_there(
    tmp_path: Path,
) -> None:
    async with ClusterSetup(tmp_path, appendfsync="always") as setup:
        address = setup.url.replace("://", "://app:pw@")
        line = acl_line(RedisAddress.parse(address)).replace("PASSWORD", "pw")
        for server in setup.servers:
            await server.command(*line.split())
        notes = await said(address)
        assert {finding.level for finding in notes} <= {"note"}
        assert "refused" not in at("note", notes)
        for server in setup.servers:
            assert "redis+cluster://" in await fatal(url(server))
            await server.command("ACL", "SETUSER", "app", "~*", "&*", "+@all", "-info")
        without_info = [await fatal(url(server, "app:pw")) for server in setup.servers[:2]]
        assert any("redis+cluster://" in text for text in without_info)
