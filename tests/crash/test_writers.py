"""A writer is frozen, cut off or has a wrong clock: another continues, and it is fenced."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from tests.crash.rig import QUESTION, asking, providers, rig, shown, words
from tests.redis_servers import RedisServer, redis_server
from tests.tcp_proxy import TcpProxy
from tests.waiting import within

__all__ = ["redis_server"]

pytestmark = [pytest.mark.xdist_group("crash_writers"), pytest.mark.timeout(300)]

#: The clock of a server, a minute fast: the module `site` reads this file at the start.
A_MINUTE_FAST = """
import time
now, now_ns = time.time, time.time_ns
time.time = lambda: now() + 60
time.time_ns = lambda: now_ns() + 60_000_000_000
"""


@pytest.mark.promise("fencing")
@pytest.mark.parametrize("kind", ["frozen", "cut off"])
async def test_a_writer_that_lost_its_answers_writes_nothing_and_hangs_up(
    tmp_path: Path, redis_server: RedisServer, kind: str
) -> None:
    chats, prefix = range(5), f"?prefix={kind.replace(' ', '')}&timeout=1"
    async with (
        providers() as (first, second),
        TcpProxy(redis_server.port) as proxy,
        rig(
            tmp_path,
            redis_server.url + prefix,
            settings={"DLS_LEASE": "1", "DLS_CONTINUE": "off"},
            each=[
                {**asking(first), "DLS_STORE": f"redis://127.0.0.1:{proxy.port}{prefix}"},
                asking(second),
            ],
        ) as it,
    ):
        losing, living = it.servers
        first.plan(*["tokens=10000,rate=50,word=old" for _ in chats])
        second.plan(*["tokens=100,rate=50,word=new" for _ in chats])
        there = [it.reader(f"chat-{n}", losing.url).ask("Go") for n in chats]
        elsewhere = [it.reader(f"chat-{n}", living.url).follow() for n in chats]
        async with it.watched():
            for reader in (*there, *elsewhere):
                await reader.reaches(20)
            if kind == "frozen":
                losing.freeze()
            else:
                await proxy.set("hang")
            for reader in elsewhere:
                await it.taken_over(reader)
                await reader.reaches(reader.last + 10)
            if kind == "frozen":
                losing.thaw()
            else:
                await proxy.set("pass")
            for number in chats:
                async with within("the old writer to hang up", lambda: first.open):
                    await (await first.request(number)).ended.wait()
            assert all(request.closed_early for request in first.requests)
            await it.all_answer(200)
            await it.verify(server=1)
        for reader in there:
            log = it.log(reader)
            old, new = (words(log.written_under(span)) for span in range(2))
            assert len(log.spans) == 2
            assert old == [f"old{n}" for n in range(1, len(old) + 1)]
            assert new == shown(log.records).split() == [f"new{n}" for n in range(1, 101)]
        assert len(second.requests) == len(chats)


@pytest.mark.promise("takeover")
async def test_a_clock_that_is_a_minute_fast_changes_nothing(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    (tmp_path / "sitecustomize.py").write_text(A_MINUTE_FAST)
    fast = {"PYTHONPATH": str(tmp_path)}
    url, settings = f"{redis_server.url}?prefix=clock", {"DLS_LEASE": "1"}
    async with rig(tmp_path, url, settings=settings, each=[{}, fast]) as it:
        right, ahead = it.servers
        of_right = it.reader("right", right.url, ahead.url).ask(QUESTION)
        of_ahead = it.reader("ahead", ahead.url, right.url).ask(QUESTION)
        async with it.watched():
            times = []
            for reader in (of_right, of_ahead):
                await reader.reaches(150)  # for longer than two leases
                assert await it.epoch(reader) == 1, "taken from its living writer"
                _, chat = await it.get(f"/api/chats/{reader.reading.chat}")
                times.append(datetime.fromisoformat(chat["created_at"]))
            assert (times[1] - times[0]).total_seconds() > 30, "its clock is not fast"
            await ahead.kill()
            await it.verify()
        assert await it.epoch(of_ahead) > 1
        assert await it.epoch(of_right) == 1
