"""Retention on Redis: several processes count the time; stamps of an earlier version count too."""

from __future__ import annotations

import pytest

from durable_llm_streams.errors import CursorLost
from durable_llm_streams.store import Retention
from tests.contract.harness import DAY, HOUR, Talk, delete_some
from tests.redis_servers import RedisServer, redis_server
from tests.redis_stores import RedisStores, elsewhere, stores, talk

__all__ = ["elsewhere", "redis_server", "stores", "talk"]

pytestmark = pytest.mark.xdist_group("redis")

YEAR = 365 * DAY


@pytest.mark.promise("bounded")
async def test_processes_that_look_at_the_same_clock_count_each_minute_once(
    talk: Talk, elsewhere: Talk
) -> None:
    run = await talk.answer()
    for _ in range(59):
        await talk.look()
        talk.clock.advance(20)
        await elsewhere.look()
        talk.clock.advance(40)
    assert await talk.expire() == 0
    assert await elsewhere.expire() == 0
    talk.clock.advance(120)
    assert await elsewhere.expire() == 1
    with pytest.raises(CursorLost):
        await talk.store.log.read(run.id, 0)


@pytest.mark.promise("bounded")
async def test_a_process_whose_own_clock_is_a_year_ahead_deletes_nothing(
    talk: Talk, elsewhere: Talk
) -> None:
    run = await talk.answer()
    for _ in range(5):
        assert await delete_some(elsewhere.store, Retention(log=HOUR, chat=DAY)) == 0
        assert await talk.expire() == 0
        talk.clock.advance(60)
    assert await talk.chat_ids() == ["c1"]
    assert len(await talk.log(run.id)) == 1


@pytest.mark.promise("bounded")
async def test_a_jump_of_the_server_counts_little_however_many_processes_look(
    talk: Talk, elsewhere: Talk
) -> None:
    run = await talk.answer()
    for _ in range(3):
        for jump in (YEAR, -YEAR):
            talk.clock.jump(jump)
            for process in (talk, elsewhere, elsewhere, talk):
                assert await process.expire() == 0
            talk.clock.advance(60)
    assert await talk.chat_ids() == ["c1"]
    assert len(await talk.log(run.id)) == 1


@pytest.mark.promise("bounded")
async def test_stamps_of_an_earlier_version_go_on_counting(
    talk: Talk, stores: RedisStores, redis_server: RedisServer
) -> None:
    """It stamped by the wall clock, and had no key `clock`."""
    now, runs = talk.clock(), {}
    stamps = {
        "young": now,
        "old": now - round(HOUR * 900),
        "of 1970": 100_000,
        "ahead": now + round(YEAR * 1000),
    }
    for chat, stamp in stamps.items():
        runs[chat] = await talk.answer(chat=chat)
        await redis_server.command("ZADD", f"{stores.root}:ages", stamp, chat)
        await redis_server.command("ZADD", f"{stores.root}:ended", stamp, runs[chat].id)
    await redis_server.command("DEL", f"{stores.root}:clock")
    await talk.crash()
    assert await talk.expire() == 0
    await talk.pass_time(HOUR / 5)
    assert await talk.expire() == 1
    with pytest.raises(CursorLost):
        await talk.store.log.read(runs["old"].id, 0)
    await talk.pass_time(HOUR)
    assert await talk.expire() == 3
    assert sorted(await talk.chat_ids()) == sorted(stamps)
    await talk.pass_time(DAY - HOUR)
    assert await talk.expire() == 4
    assert await talk.chat_ids() == []


@pytest.mark.promise("bounded")
async def test_a_server_of_an_earlier_version_may_write_along_with_new_ones(
    talk: Talk, stores: RedisStores, redis_server: RedisServer
) -> None:
    """The store's time is behind the clock; what the old server stamps seems to be to come."""
    await talk.look()
    talk.clock.jump(YEAR)
    await talk.look()
    await talk.answer()
    await redis_server.command("ZADD", f"{stores.root}:ages", talk.clock(), "c1")
    await talk.pass_time(DAY - 600)
    await talk.expire()
    assert await talk.chat_ids() == ["c1"]
    await talk.pass_time(1200)
    await talk.expire()
    assert await talk.chat_ids() == []
