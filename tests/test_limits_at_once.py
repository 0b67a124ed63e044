"""At a limit of N, exactly N of 2N messages are accepted, whoever sends them at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from durable_llm_streams.stores.sqlite import SQLiteStore
from tests.limits_sender import PROCESSES, accepted, rounds
from tests.redis_servers import RedisServer, redis_server
from tests.waiting import within

__all__ = ["redis_server"]

TIMES = 20
LIMIT = 20


@pytest.mark.promise("bounded-cost")
@pytest.mark.xdist_group("redis")
async def test_four_processes_pass_no_more_than_the_limit(redis_server: RedisServer) -> None:
    async with within(f"{TIMES} rounds of {PROCESSES} processes", seconds=60):
        totals = await rounds(f"{redis_server.url}?prefix=atonce", TIMES, LIMIT)
    assert totals == [LIMIT] * TIMES


@pytest.mark.promise("bounded-cost")
async def test_concurrent_messages_pass_no_more_than_the_limit(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "chats.db")
    try:
        totals = [await accepted(store, f"owner-{n}", 2 * LIMIT, LIMIT) for n in range(TIMES)]
    finally:
        await store.close()
    assert totals == [LIMIT] * TIMES
