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
from durable_llm_streams.stores.redis.address import RedisAddress
from durable_llm_streams.stores.redis.checks import examine
from durable_llm_streams.stores.redis.dangers import findings, unfit
from durable_llm_streams.stores.redis.database import Database
from durable_llm_streams.stores.redis.permissions import SCRIPTED, acl_line
from durable_llm_streams.stores.redis.unusable import why_unusable
from tests.redis_databases import database, until_works
from tests.redis_servers import ClusterSetup, RedisServer, SentinelSetup

pytestmark = pytest.mark.promise("fit-store")

#: A server with nothing to find fault with.
SAFE: dict[str, Any] = {"appendfsync": "always"}


async def said(url: str) -> list[Finding]:
    async with database(url) as opened:
        return await examine(opened)


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


async def test_nothing_is_said_about_a_server_that_keeps_everything(tmp_path: Path) -> None:
    async with RedisServer(tmp_path, **SAFE) as server:
        assert await said(url(server)) == []
        assert await server.command("DBSIZE") == 0, "it leaves nothing behind"
        await server.command("HSET", "{dls}:meta", "version", "1", "partitions", "1")
        assert await said(url(server)) == []


# What stops the start: the way there


async def test_an_address_where_there_is_no_server(tmp_path: Path) -> None:
    place = f"127.0.0.1:{RedisServer(tmp_path).port}"
    for address, words in {
        f"redis://{place}": f"nobody listens at {place}",
        f"redis+cluster://{place}": f"nobody listens at {place}",
        "redis://no-such-host.invalid": "the host of no-such-host.invalid:6379 is not known",
        f"unix://{tmp_path}/none": f"there is no socket {tmp_path}/none",
    }.items():
        assert words in await fatal(address)


async def test_a_server_that_does_not_answer(tmp_path: Path) -> None:
    async with RedisServer(tmp_path) as server:
        server.freeze()
        assert "does not answer at 127.0.0.1" in await fatal(url(server, rest="?timeout=0.2"))
        server.thaw()


async def test_tls_where_there_is_none_and_none_where_there_is_tls(tmp_path: Path) -> None:
    async with RedisServer(tmp_path) as plain, RedisServer(tmp_path, tls=True) as tls:
        place = f"127.0.0.1:{plain.port}"
        assert f"speaks no TLS at {place}" in await fatal(f"rediss://{place}?timeout=0.5")
        place = f"127.0.0.1:{tls.port}"
        assert f"speaks TLS at {place}" in await fatal(f"redis://{place}")


async def test_certificates_that_cannot_be_trusted(tmp_path: Path) -> None:
    config = ["bind 127.0.0.1 127.0.0.2"]
    async with RedisServer(tmp_path, tls=True, config=config) as server:
        assert "by the option ca" in await fatal(url(server))
        assert "option ca, cert or key" in (
            await fatal(url(server, rest="?ca=/nowhere.pem"))
        ).replace("options", "option")
        other = f"rediss://127.0.0.2:{server.port}?ca={server.ca}"
        assert "Write the host as the certificate has it" in await fatal(other)
        assert (
            at("danger", await said(url(server, rest="?verify=none"))).count("may be anybody") == 1
        )
        assert "anybody" not in at("danger", await said(url(server, rest=f"?ca={server.ca}")))


async def test_a_server_that_wants_a_certificate_of_the_client(tmp_path: Path) -> None:
    async with RedisServer(tmp_path, tls=True, **SAFE) as server:
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


# What stops the start: the sign-in and the rights


async def test_a_wrong_password_or_user_and_one_where_none_is_wanted(tmp_path: Path) -> None:
    async with RedisServer(tmp_path, password="pw") as server, RedisServer(tmp_path) as free:
        assert "wants a password" in await fatal(url(server))
        assert "refuses the user or the password" in await fatal(url(server, ":wrong"))
        assert "refuses the user or the password" in await fatal(url(server, "nobody:pw"))
        assert "wants no password" in await fatal(url(free, ":pw"))


async def test_a_database_that_does_not_exist(tmp_path: Path) -> None:
    async with RedisServer(tmp_path) as server:
        assert "has no database 99" in await fatal(url(server, rest="/99"))


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


async def test_the_line_is_enough_for_a_cluster(tmp_path: Path) -> None:
    async with ClusterSetup(tmp_path, appendfsync="always") as setup:
        places = ",".join(f"{host}:{port}" for host, port in setup.addresses)
        address = RedisAddress.parse(f"redis+cluster://app:pw@{places}")
        for server in setup.servers:
            await server.command(*acl_line(address).replace("PASSWORD", "pw").split())
        found = await said(f"redis+cluster://app:pw@{places}")
        assert {finding.level for finding in found} <= {"note"}
        assert "refused" not in at("note", found)


def test_every_command_of_the_scripts_is_tried() -> None:
    used = set()
    for file in resources.files("durable_llm_streams.stores.redis").joinpath("lua").iterdir():
        if file.name != "permissions.lua":
            used |= set(re.findall(r"\bp?call\(\s*'([A-Z]+)'", file.read_text("utf-8")))
    assert used
    assert used <= set(SCRIPTED)
    assert sorted(set(SCRIPTED) - used) == [], "a right that nothing needs"


# What stops the start: the server


async def test_a_replica(tmp_path: Path) -> None:
    async with (
        RedisServer(tmp_path) as master,
        RedisServer(tmp_path, config=[f"replicaof 127.0.0.1 {master.port}"]) as replica,
    ):
        assert "is a replica" in await fatal(url(replica))
        rights = "app on >pw ~* &* +@all -role"
        await replica.command("ACL", "SETUSER", *rights.split())
        assert "is a replica" in await fatal(url(replica, "app:pw"))


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("EVAL", "runs no scripts"),
        ("EVALSHA", "runs no scripts"),
        ("SELECT", "answers with an error (unknown command 'SELECT'"),
    ],
)
async def test_a_server_without_a_command(tmp_path: Path, command: str, words: str) -> None:
    async with RedisServer(tmp_path, config=[f'rename-command {command} ""']) as server:
        assert words in await fatal(url(server, rest="/1"))


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        (("maxmemory", "1"), "is full (maxmemory)"),
        (("min-replicas-to-write", "1"), "takes nothing without its replicas"),
    ],
)
async def test_a_server_that_takes_no_writes(
    tmp_path: Path, setting: tuple[str, str], words: str
) -> None:
    async with RedisServer(tmp_path) as server:
        await server.command("CONFIG", "SET", *setting)
        assert words in await fatal(url(server))


async def test_one_kind_of_server_given_as_another(tmp_path: Path) -> None:
    async with RedisServer(tmp_path) as server, SentinelSetup(tmp_path) as setup:
        place = f"127.0.0.1:{server.port}"
        assert "is no Redis Cluster" in await fatal(f"redis+cluster://{place}")
        assert "is no Sentinel" in await fatal(f"redis+sentinel://{place}/chats")
        assert "is a Sentinel" in await fatal(url(setup.sentinels[0]))
        assert "is no Redis Cluster" in await fatal(
            f"redis+cluster://127.0.0.1:{setup.sentinels[0].port}"
        )
    async with ClusterSetup(tmp_path) as cluster:
        single = cluster.servers[0]
        assert "redis+cluster://" in await fatal(url(single))
        rights = "app on >pw ~* &* +@all -info"
        for server in cluster.servers:
            await server.command("ACL", "SETUSER", *rights.split())
        found = [await fatal(url(server, "app:pw")) for server in cluster.servers[:2]]
        assert any("redis+cluster://" in text for text in found)


async def test_sentinels_that_know_no_such_service_or_are_not_there(tmp_path: Path) -> None:
    async with SentinelSetup(tmp_path) as setup:
        wrong = setup.url.replace(f"/{setup.service}/", "/other/")
        text = await fatal(wrong)
        assert "no Sentinel knows the service other" in text
        assert f"They know {setup.service}." in text
        for sentinel in setup.sentinels:
            await sentinel.kill()
        assert "nobody listens" in await fatal(setup.url)


async def test_sentinels_that_want_a_password(tmp_path: Path) -> None:
    config = ["requirepass pw", "sentinel monitor chats 127.0.0.1 1 1"]
    async with RedisServer(tmp_path, sentinel=True, config=config) as sentinel:
        place = f"redis+sentinel://127.0.0.1:{sentinel.port}/chats"
        assert "sentinel_password" in await fatal(place)
        assert "sentinel_password" in await fatal(f"{place}?sentinel_password=wrong")
        # It signs in, and is told where the master is said to be.
        assert "nobody listens at 127.0.0.1:1." in await fatal(f"{place}?sentinel_password=pw")


async def test_a_store_of_a_newer_version_or_of_other_partitions(tmp_path: Path) -> None:
    async with RedisServer(tmp_path) as server:
        await server.command("HSET", "{dls}:meta", "version", "2", "partitions", "1")
        assert "newer version" in await fatal(url(server))
        await server.command("HSET", "{dls}:meta", "version", "1", "partitions", "16")
        assert "16 partitions" in await fatal(url(server))
        assert "newer" not in str(await said(url(server, rest="?prefix=other")))


async def test_a_cluster_whose_partitions_are_others(tmp_path: Path) -> None:
    async with ClusterSetup(tmp_path) as setup, database(setup.url) as opened:
        await opened.command("HSET", "{dls}:meta", "version", "1", "partitions", "16")
        assert "?partitions=16" in await fatal(setup.url + "?partitions=4")
        assert at("fatal", await said(setup.url)) == ""


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


# What is dangerous, and what is good to know


@pytest.mark.parametrize(
    ("setup", "level", "words"),
    [
        ({}, "danger", "keeps nothing on its disk"),
        ({"config": ["save 3600 1"]}, "danger", "only writes snapshots"),
        ({"config": ["save 3600 1"]}, "note", "stop-writes-on-bgsave-error yes"),
        ({"appendfsync": "no"}, "danger", "appendfsync no"),
        ({"appendfsync": "everysec"}, "note", "may lose the last second"),
        (
            SAFE | {"config": ["maxmemory 100mb", "maxmemory-policy volatile-lru"]},
            "danger",
            "maxmemory-policy volatile-lru",
        ),
        (SAFE | {"config": ["maxmemory-policy allkeys-lru"]}, "note", "has no limit now"),
        (SAFE | {"config": ['rename-command CONFIG ""']}, "note", "CONFIG GET is refused"),
        (SAFE | {"config": ['rename-command INFO ""']}, "note", "INFO is refused"),
    ],
)
async def test_a_server_that_may_lose_answers_is_told(
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
    (finding,) = findings(info, {}, "single")
    assert finding.level == "danger"
    assert words in finding.text


async def test_a_sentinels_master_without_a_replica_is_a_danger(tmp_path: Path) -> None:
    async with SentinelSetup(tmp_path, appendfsync="always") as setup:
        found = await said(setup.url)
        assert at("danger", found) == ""
        assert "min-replicas-to-write 1" in at("note", found)
        master = await setup.master()
        for server in setup.servers:
            if server is not master:
                await server.kill()
        async with database(setup.url) as opened:

            async def alone() -> None:
                info: bytes = await opened.command("INFO", "replication")
                if b"connected_slaves:0" not in info:
                    raise StoreUnavailable("The replica is still connected.")

            await until_works(alone)
        assert "has no replica" in at("danger", await said(setup.url))


async def test_what_all_servers_of_a_cluster_share_is_said_once(tmp_path: Path) -> None:
    async with ClusterSetup(tmp_path) as setup:
        odd = setup.servers[1]
        await odd.command("CONFIG", "SET", "maxmemory", "100mb")
        await odd.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        found = at("danger", await said(setup.url)).splitlines()
        assert len(found) == 2
        assert "keeps nothing on its disk" in found[0]
        assert found[1].startswith(f"127.0.0.1:{odd.port} deletes chats")
