"""What was old in the source of a migration is as old in its target, whatever the clocks say."""

from __future__ import annotations

from pathlib import Path

import pytest

from durable_llm_streams.errors import CursorLost
from tests.contract.harness import DAY, HOUR, Talk
from tests.migrating import migrate
from tests.redis_servers import RedisServer, redis_server
from tests.sqlite_stores import SQLiteStores

__all__ = ["redis_server"]

pytestmark = pytest.mark.xdist_group("redis")

PREFIX = "ages"


async def aged(stores: SQLiteStores, hours: float) -> str:
    """A file with a chat of which nothing happened for so long. Returns its run."""
    talk = Talk(stores, await stores.open())
    run = await talk.answer()
    await talk.pass_time(hours * HOUR)
    await stores.clean_up()
    return run.id


@pytest.mark.promise("migration", "bounded")
async def test_ages_are_taken_along_there_and_back(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    there.mkdir()
    back.mkdir()
    stores, other = SQLiteStores(there), SQLiteStores(back)
    run_id = await aged(stores, hours=40)
    redis = f"{redis_server.url}?prefix={PREFIX}"
    assert (await migrate(f"sqlite:///{stores.path}", redis)).conflicts == []

    root = f"{{{PREFIX}:0}}"
    left = await redis_server.command("PTTL", f"{root}:chat:c1")
    assert abs(left / 1000 - (365 * DAY - 40 * HOUR + DAY)) < HOUR
    assert await redis_server.command("PTTL", f"{root}:log:{run_id}") > 23 * HOUR * 1000

    assert (await migrate(redis, f"sqlite:///{other.path}")).conflicts == []
    talk = Talk(other, await other.open())
    try:
        assert await talk.expire(log_age=42 * HOUR, chat_age=44 * HOUR) == 0
        await talk.pass_time(HOUR)
        assert await talk.expire(log_age=42 * HOUR, chat_age=44 * HOUR) == 0
        await talk.pass_time(2 * HOUR)
        assert await talk.expire(log_age=42 * HOUR, chat_age=44 * HOUR) == 1
        with pytest.raises(CursorLost):
            await talk.store.read(run_id, 0)
        await talk.pass_time(2 * HOUR)
        assert await talk.expire(log_age=42 * HOUR, chat_age=44 * HOUR) == 1
        assert await talk.chat_ids() == []
    finally:
        await other.clean_up()
