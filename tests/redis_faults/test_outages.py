"""Redis is killed, frozen, cut off or loses its last moments: everybody waits, or is told."""

from __future__ import annotations

import asyncio
import shutil
from functools import partial
from pathlib import Path

import pytest

from durable_llm_streams.model import Cursor
from tests.redis_faults.fleet import Fleet, asking, fleet, providers, refused, until
from tests.redis_faults.oracle import shown, text_of
from tests.redis_faults.reader import Reader
from tests.redis_servers import RedisServer, redis_server
from tests.tcp_proxy import TcpProxy

__all__ = ["redis_server"]

pytestmark = [pytest.mark.xdist_group("redis_faults_outages"), pytest.mark.timeout(180)]

QUESTION = "How?"


async def asked(servers: Fleet, count: int, record: int) -> list[Reader]:
    """So many questions, spread over the servers, each answered up to a record."""
    urls = [server.url for server in servers.servers]
    readers = []
    for number in range(count):
        turned = urls[number % len(urls) :] + urls[: number % len(urls)]
        readers.append(servers.reader(f"chat-{number}", *turned).ask(QUESTION))
    for reader in readers:
        await reader.reaches(record)
    return readers


async def all_ready(servers: Fleet) -> bool:
    statuses = [await servers.status("/readyz", n) for n in range(len(servers.servers))]
    return statuses == [200] * len(statuses)


async def none_ready(servers: Fleet) -> bool:
    statuses = [await servers.status("/readyz", n) for n in range(len(servers.servers))]
    return statuses == [503] * len(statuses)


@pytest.mark.promise("seen-is-durable", "prefix", "outage")
async def test_a_redis_that_is_killed_and_comes_back_has_lost_nothing_that_was_seen(
    tmp_path: Path,
) -> None:
    async with (
        RedisServer(tmp_path, appendfsync="always") as redis,
        fleet(tmp_path, redis.url) as servers,
    ):
        readers = await asked(servers, 6, 30)
        async with servers.watched():
            for record in (60, 120):
                await redis.kill()
                await until("nobody is ready", lambda: none_ready(servers))
                await redis.start()
                for reader in readers:
                    await reader.reaches(record)
            await servers.verify()
        assert not any(reader.lost for reader in readers)
        for reader in readers:
            assert len(reader.sources) == 1, (reader.clean_ends, reader.statuses, reader.sources)


@pytest.mark.promise("lost-tail-is-told")
async def test_a_redis_that_has_lost_its_last_moments_is_found_out(tmp_path: Path) -> None:
    settings = {"DLS_LEASE": "1"}
    async with (
        RedisServer(tmp_path, appendfsync="everysec") as redis,
        fleet(tmp_path, redis.url, settings=settings) as servers,
    ):
        (reader,) = await asked(servers, 1, 40)
        other = servers.reader("chat-0", servers.servers[1].url).follow()
        await other.reaches(40)
        kept = tmp_path / "kept"
        shutil.copytree(redis.folder / "appendonlydir", kept)
        await asyncio.gather(reader.reaches(100), other.reaches(100))
        await redis.kill()
        shutil.rmtree(redis.folder / "appendonlydir")
        shutil.copytree(kept, redis.folder / "appendonlydir")
        before = {each: list(each.frames) for each in (reader, other)}
        await redis.start()
        for each in (reader, other):
            async with asyncio.timeout(30):
                await each.ended
            assert each.lost
            assert each.frames == before[each], "other text under an old cursor"
            assert each.statuses[-1] == 410
        # Whoever starts over from the chat reads it to its end.
        again = servers.reader("chat-0").follow()
        await servers.verify(again)
        log = servers.oracle.log(again)
        assert len(log.spans) == 2
        assert log.spans[1].first < Cursor.parse(before[reader][-1].id).seq
        stale = {"Last-Event-ID": before[reader][-1].id}
        for server in servers.servers:
            url = f"{server.url}/api/chat/chat-0/stream"
            async with servers.http.get(url, headers=stale) as response:
                assert response.status == 410


@pytest.mark.promise("outage")
@pytest.mark.parametrize("kind", ["frozen", "refusing"])
async def test_an_outage_of_ten_seconds_is_waited_out(tmp_path: Path, kind: str) -> None:
    async with RedisServer(tmp_path) as redis, TcpProxy(redis.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}?timeout=1"
        async with fleet(tmp_path, url) as servers:
            readers = await asked(servers, 4, 30)
            loop = asyncio.get_running_loop()
            async with servers.watched():
                began = loop.time()
                if kind == "frozen":
                    redis.freeze()
                else:
                    await proxy.set("refuse")
                    proxy.cut()
                await until("nobody is ready", lambda: none_ready(servers), began + 5 - loop.time())
                seen = [reader.last for reader in readers]
                late = servers.reader("late").ask(QUESTION)
                await until("a send is refused", partial(refused, late))
                comments = [reader.comments for reader in readers]
                await asyncio.sleep(max(0.0, began + 10 - loop.time()))  # the outage's length
                assert [reader.last for reader in readers] == seen
                for reader, count in zip(readers, comments, strict=True):
                    assert reader.comments > count, "no sign of life"
                if kind == "frozen":
                    redis.thaw()
                else:
                    await proxy.set("pass")
                await until("all are ready", lambda: all_ready(servers))
                await servers.verify()
            for reader in readers:
                assert len(reader.sources) == 1, "a stream did not wait"
            if kind == "refusing":
                for reader in readers:
                    assert await servers.oracle.epoch(reader) == 1, "taken from a living writer"


@pytest.mark.promise("outage")
async def test_streams_that_have_waited_for_long_enough_end_cleanly(tmp_path: Path) -> None:
    settings = {"DLS_STORE_PATIENCE": "1"}
    async with RedisServer(tmp_path) as redis, TcpProxy(redis.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}?timeout=1"
        async with fleet(tmp_path, url, settings=settings) as servers:
            readers = await asked(servers, 4, 30)
            await proxy.set("refuse")
            proxy.cut()
            for reader in readers:
                await until("it ended cleanly", partial(ended_cleanly, reader))
            await until("its reader is told to wait", partial(refused, readers[0]))
            await proxy.set("pass")
            await servers.verify()


async def ended_cleanly(reader: Reader) -> bool:
    return reader.clean_ends == 1


@pytest.mark.promise("fencing")
async def test_a_server_that_is_cut_off_loses_its_answers_and_writes_nothing_afterwards(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    chats, prefix = range(5), "?prefix=cut&timeout=1"
    async with (
        providers() as (first, second),
        TcpProxy(redis_server.port) as proxy,
        fleet(
            tmp_path,
            redis_server.url + prefix,
            settings={"DLS_LEASE": "1", "DLS_CONTINUE": "off"},
            each=[
                {**asking(first), "DLS_STORE": f"redis://127.0.0.1:{proxy.port}{prefix}"},
                asking(second),
            ],
        ) as servers,
    ):
        cut, living = servers.servers
        first.plan(*["tokens=10000,rate=50,word=old" for _ in chats])
        second.plan(*["tokens=100,rate=50,word=new" for _ in chats])
        there = [servers.reader(f"chat-{n}", cut.url).ask("Go") for n in chats]
        elsewhere = [servers.reader(f"chat-{n}", living.url).follow() for n in chats]
        async with servers.watched():
            for reader in (*there, *elsewhere):
                await reader.reaches(20)
            await proxy.set("hang")
            for reader in elsewhere:
                await until("it is taken over", partial(servers.oracle.taken_over, reader))
                await reader.reaches(reader.last + 10)
            await proxy.set("pass")
            async with asyncio.timeout(5):
                for number in chats:
                    await (await first.request(number)).ended.wait()
            await servers.verify(server=1)
            await until("it works again", lambda: servers.status("/readyz", 0))
        for reader in there:
            log = servers.oracle.log(reader)
            old, new = (text_of(log.written_under(span)).split() for span in range(2))
            assert len(log.spans) == 2
            assert old == [f"old{n}" for n in range(1, len(old) + 1)]
            assert new == [f"new{n}" for n in range(1, 101)]
            assert shown(log.records).split() == new
