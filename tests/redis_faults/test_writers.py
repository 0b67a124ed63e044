"""Who writes an answer dies, freezes, ends or lives in another time: another one goes on."""

from __future__ import annotations

import asyncio
import random
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest

from durable_llm_streams.providers import demo
from durable_llm_streams.runs import Prompt, Turn
from tests.redis_faults.fleet import asking, fleet, providers, until
from tests.redis_faults.oracle import shown, text_of
from tests.redis_servers import RedisServer, redis_server

__all__ = ["redis_server"]

pytestmark = [pytest.mark.xdist_group("redis_faults_writers"), pytest.mark.timeout(180)]

QUESTION = "How?"
ANSWER = demo.answer(Prompt(model="demo", turns=[Turn("user", QUESTION)], said=""))

#: The clock of a server, a minute fast: the module `site` reads this file at the start.
A_MINUTE_FAST = """
import time
now, now_ns = time.time, time.time_ns
time.time = lambda: now() + 60
time.time_ns = lambda: now_ns() + 60_000_000_000
"""


def place(server: RedisServer, name: str) -> str:
    """The address of a store of a test's own."""
    return f"{server.url}?prefix={name}"


@pytest.mark.promise("takeover", "prefix", "one-clean-answer")
@pytest.mark.parametrize("seed", [1, 2])
async def test_an_answer_survives_the_death_of_its_writers_at_any_record(
    tmp_path: Path, redis_server: RedisServer, seed: int
) -> None:
    rng = random.Random(seed)
    url, settings = (
        place(redis_server, f"kill{seed}"),
        {"DLS_LEASE": "1", "DLS_DEMO_TOKENS_PER_SECOND": "120"},
    )
    async with fleet(tmp_path, url, 3, settings) as servers:
        readers = [servers.reader(f"chat-{number}").ask(QUESTION) for number in range(3)]
        first = readers[0]
        servers.reader(first.chat, *(each.url for each in reversed(servers.servers))).follow()
        async with servers.watched():
            for _ in range(2):
                await first.reaches(first.last + rng.randint(1, 100))
                victim = await until("one writes it", lambda: servers.writer(redis_server, first))
                await victim.kill()
            (left,) = (number for number, each in enumerate(servers.servers) if each.running)
            await servers.verify(server=left)
        assert len(servers.oracle.log(first).spans) >= 3
        for reader in readers:
            assert shown(servers.oracle.log(reader).records) == ANSWER


@pytest.mark.promise("fencing")
async def test_a_frozen_writer_that_wakes_up_writes_nothing_and_hangs_up(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    url, settings, chats = place(redis_server, "freeze"), {"DLS_LEASE": "1"}, range(5)
    async with (
        providers() as (first, second),
        fleet(tmp_path, url, settings=settings, each=[asking(first), asking(second)]) as servers,
    ):
        frozen, living = servers.servers
        first.plan(*["tokens=10000,rate=50,word=old" for _ in chats])
        second.plan(*["tokens=100,rate=50,word=new" for _ in chats])
        there = [servers.reader(f"chat-{n}", frozen.url).ask("Go") for n in chats]
        elsewhere = [servers.reader(f"chat-{n}", living.url).follow() for n in chats]
        async with servers.watched():
            for reader in elsewhere:
                await reader.reaches(20)
            frozen.freeze()
            for reader in elsewhere:
                await until("it is taken over", partial(servers.oracle.taken_over, reader))
                await reader.reaches(reader.last + 10)
            assert first.open == len(chats)
            frozen.thaw()
            async with asyncio.timeout(5):
                for number in chats:
                    await (await first.request(number)).ended.wait()
            assert all(request.closed_early for request in first.requests)
            await servers.verify()
        for reader in there:
            log = servers.oracle.log(reader)
            old, new = (text_of(log.written_under(span)).split() for span in range(2))
            assert len(log.spans) == 2
            assert old == [f"old{n}" for n in range(1, len(old) + 1)]
            assert new == [f"new{n}" for n in range(1, 101)]
        assert len(second.requests) == len(chats)


@pytest.mark.promise("hand-over")
async def test_a_planned_end_hands_its_answers_over_at_once(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    url, settings = place(redis_server, "term"), {"DLS_LEASE": "30", "DLS_GRACE": "0"}
    async with fleet(tmp_path, url, settings=settings) as servers:
        ending, staying = servers.servers
        readers = [servers.reader(f"chat-{number}").ask(QUESTION) for number in range(10)]
        elsewhere = [servers.reader(r.chat, staying.url).follow() for r in readers]
        async with servers.watched():
            for reader in (*readers, *elsewhere):
                await reader.reaches(20)
            seen = {reader: len(reader.frames) for reader in (*readers, *elsewhere)}
            assert await ending.terminate() == 0
            await servers.verify(server=1)
        for reader in readers:
            log = servers.oracle.log(reader)
            assert len(log.spans) == 2
            assert reader.clean_ends == 1
            assert shown(log.records) == ANSWER
            assert b"reset-step" not in b"".join(log.records)
        assert max(reader.longest_gap(count) for reader, count in seen.items()) < 5
        assert "Traceback" not in ending.log.read_text()


@pytest.mark.promise("takeover")
async def test_a_clock_that_is_a_minute_fast_changes_nothing(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    (tmp_path / "sitecustomize.py").write_text(A_MINUTE_FAST)
    fast = {"PYTHONPATH": str(tmp_path)}
    url, settings = place(redis_server, "clock"), {"DLS_LEASE": "1"}
    async with fleet(tmp_path, url, settings=settings, each=[{}, fast]) as servers:
        right, ahead = servers.servers
        of_right = servers.reader("right", right.url, ahead.url).ask(QUESTION)
        of_ahead = servers.reader("ahead", ahead.url, right.url).ask(QUESTION)
        async with servers.watched():
            for reader in (of_right, of_ahead):
                await reader.reaches(150)  # for longer than two leases
                assert await servers.oracle.epoch(reader) == 1, "taken from its living writer"
            right_time, fast_time = [
                datetime.fromisoformat((await servers.chat(reader.chat))["created_at"])
                for reader in (of_right, of_ahead)
            ]
            assert (fast_time - right_time).total_seconds() > 30, "its clock is not fast"
            await ahead.kill()
            await servers.verify()
        assert await servers.oracle.epoch(of_ahead) > 1
        assert await servers.oracle.epoch(of_right) == 1


@pytest.mark.promise("takeover")
async def test_a_question_asked_here_is_read_there_and_finished_there_within_seven_seconds(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    settings = {"DLS_LEASE": "5"}  # the default
    async with fleet(tmp_path, place(redis_server, "done"), settings=settings) as servers:
        here, there = servers.servers
        asker = servers.reader("chat", here.url, there.url).ask("Be short?")
        other = servers.reader("chat", there.url).follow()
        async with servers.watched():
            await asyncio.gather(asker.reaches(50), other.reaches(50))
            loop = asyncio.get_running_loop()
            await here.kill()
            killed = loop.time()
            await servers.verify(server=1)
        for reader in (asker, other):
            assert reader.came[-1] - killed < 7
            assert reader.longest_gap() > 2, "there was nothing to take over"
        assert other.sources == [there.url]
