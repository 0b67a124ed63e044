"""Redis is killed, frozen, cut off or loses its last writes: readers wait, or start over."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from tests.crash.rig import QUESTION, rig
from tests.redis_servers import RedisServer
from tests.tcp_proxy import TcpProxy
from tests.waiting import until

pytestmark = [pytest.mark.xdist_group("crash_outages"), pytest.mark.timeout(300)]


@pytest.mark.promise("lost-tail-is-told")
async def test_a_redis_that_has_lost_its_last_writes_is_found_out(tmp_path: Path) -> None:
    async with (
        RedisServer(tmp_path, appendfsync="everysec") as redis,
        rig(tmp_path, redis.url, settings={"DLS_LEASE": "1"}) as it,
    ):
        (reader,) = await it.asked(1, 40)
        other = it.reader("chat-0", it.servers[1].url).follow()
        await other.reaches(40)
        kept = tmp_path / "kept"
        shutil.copytree(redis.folder / "appendonlydir", kept)
        await asyncio.gather(reader.reaches(100), other.reaches(100))
        await redis.kill()
        shutil.rmtree(redis.folder / "appendonlydir")
        shutil.copytree(kept, redis.folder / "appendonlydir")
        readings = [reader.reading, other.reading]
        before = [list(reading.frames) for reading in readings]
        await redis.start()
        for each in (reader, other):
            await each.finish()
        assert [reading.lost for reading in readings] == [410, 410]
        assert [reading.frames for reading in readings] == before, "other text, same cursor"
        again = it.reader("chat-0").follow()  # a client that starts over reads it to its end
        await it.verify(again)
        log = it.log(again)
        assert len(log.spans) == 2
        stale = before[0][-1].cursor
        assert log.spans[1].first < stale.seq
        for server in it.servers:
            url, headers = f"{server.url}/api/chat/chat-0/stream", {"Last-Event-ID": str(stale)}
            async with it.http.get(url, headers=headers) as response:
                assert response.status == 410


@pytest.mark.promise("outage")
@pytest.mark.parametrize("kind", ["frozen", "refusing"])
async def test_an_outage_of_ten_seconds_is_waited_out(tmp_path: Path, kind: str) -> None:
    async with RedisServer(tmp_path) as redis, TcpProxy(redis.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}?timeout=1"
        async with rig(tmp_path, url) as it:
            readers = await it.asked(4, 30)
            readings = [reader.reading for reader in readers]
            async with it.watched():
                outage = asyncio.create_task(asyncio.sleep(10))
                if kind == "frozen":
                    redis.freeze()
                else:
                    await proxy.set("refuse")
                    proxy.cut()
                await it.all_answer(503)
                seen = [reading.last for reading in readings]
                late = it.reader("late").ask(QUESTION)
                await until(lambda: late.reading.statuses, what="a send to be refused")
                comments = [reading.comments for reading in readings]
                await outage
                assert [reading.last for reading in readings] == seen
                for reading, count in zip(readings, comments, strict=True):
                    assert reading.comments > count, "no sign of life"
                if kind == "frozen":
                    redis.thaw()
                else:
                    await proxy.set("pass")
                await it.all_answer(200)
                await it.verify()
            assert set(late.reading.statuses) == {503}
            for reader in readers:
                assert len(reader.reading.sources) == 1, "a stream did not wait"
                if kind == "refusing":
                    assert await it.epoch(reader) == 1, "taken from a living writer"


@pytest.mark.promise("hand-over", "outage")
async def test_a_planned_end_during_an_outage_is_no_error(tmp_path: Path) -> None:
    settings = {"DLS_LEASE": "1", "DLS_GRACE": "0"}
    async with (
        RedisServer(tmp_path, appendfsync="always") as redis,
        rig(tmp_path, f"{redis.url}?timeout=1", 1, settings) as it,
    ):
        await it.asked(2, 30)
        await redis.kill()
        await it.all_answer(503)
        assert await it.servers[0].terminate() == 0
        log = it.servers[0].log.read_text()
        assert "ERROR" not in log, log
        await redis.start()
        await it.servers[0].start()
        await it.verify()


@pytest.mark.promise("outage")
async def test_streams_that_have_waited_for_long_enough_end_cleanly(tmp_path: Path) -> None:
    async with RedisServer(tmp_path) as redis, TcpProxy(redis.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}?timeout=1"
        async with rig(tmp_path, url, settings={"DLS_STORE_PATIENCE": "1"}) as it:
            readers = await it.asked(4, 30)
            await proxy.set("refuse")
            proxy.cut()
            readings = [reader.reading for reader in readers]
            await until(
                lambda: [reading.clean_ends for reading in readings],
                lambda counts: counts == [1] * len(readings),
                "every stream to end cleanly, once",
            )
            await until(
                lambda: [reading.statuses for reading in readings],
                lambda statuses: all(503 in each for each in statuses),
                "every reader to be refused",
            )
            await proxy.set("pass")
            await it.verify()
