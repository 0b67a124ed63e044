"""Three servers, two hundred answers, and every three seconds one of the servers is killed."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from pathlib import Path

import pytest

from tests.fake_provider import FakeProvider, answer
from tests.redis_faults.fleet import Fleet, fleet
from tests.redis_faults.oracle import shown
from tests.redis_servers import RedisServer, redis_server

__all__ = ["redis_server"]

pytestmark = [pytest.mark.xdist_group("redis_faults_storm"), pytest.mark.timeout(240)]

ANSWERS = 200
WORDS = 80
AT_ONCE = 40
KILL_SECONDS = 3.0


async def killing(servers: Fleet, rng: random.Random, over: asyncio.Event) -> int:
    """Every three seconds a server is killed and started again. Returns how often."""
    due = asyncio.get_running_loop().time()
    for kills in itertools.count():
        due += KILL_SECONDS
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(due):
                await over.wait()
        if over.is_set():
            return kills
        victim = rng.choice(servers.servers)
        await victim.kill()
        await victim.start()
    raise AssertionError


@pytest.mark.promise("takeover", "prefix", "one-end", "one-clean-answer")
async def test_every_answer_is_complete_and_once_whoever_is_killed(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    rng = random.Random(5)
    async with FakeProvider() as provider:
        settings = {
            "OPENAI_BASE_URL": provider.base_url,
            "DLS_MODEL": f"fake:tokens={WORDS},rate=20",
            "DLS_PREFILL": "fake*",
            "DLS_LEASE": "1",
        }
        url = f"{redis_server.url}?prefix=storm"
        async with fleet(tmp_path, url, 3, settings) as servers, servers.watched():
            over, turns = asyncio.Event(), asyncio.Semaphore(AT_ONCE)
            kills = asyncio.create_task(killing(servers, rng, over))

            async def ask(number: int) -> None:
                urls = [server.url for server in servers.servers]
                rng.shuffle(urls)
                async with turns:
                    reader = servers.reader(f"chat-{number}", *urls).ask(f"Question {number}")
                    await reader.ended

            async with asyncio.TaskGroup() as questions:
                for number in range(ANSWERS):
                    questions.create_task(ask(number))
            over.set()
            assert await kills >= 3
            await servers.verify()
            epochs = [await servers.oracle.epoch(reader) for reader in servers.readers]
            assert max(epochs) > 1, "nothing was taken over"
            for reader in servers.readers:
                assert shown(servers.oracle.log(reader).records) == answer(WORDS)
