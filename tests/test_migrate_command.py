"""`dls migrate` in processes of its own: killed, interrupted, and what a server makes of it."""

from __future__ import annotations

import asyncio
import itertools
import random
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from tests.app import Guest, text_of
from tests.histories import Histories, whole
from tests.migrating import serving as opened_store
from tests.processes import serving
from tests.redis_servers import RedisServer, keys_without_ttl, redis_server
from tests.test_cli import Ended, assert_refused, dls, ended, started
from tests.waiting import within

__all__ = ["redis_server"]

pytestmark = [pytest.mark.xdist_group("redis"), pytest.mark.timeout(300)]

_NUMBERS = itertools.count(1)


@pytest.fixture
def prefix() -> str:
    return f"command{next(_NUMBERS)}"


async def migrate(source: str, target: str) -> Ended:
    return await dls("migrate", source, target, environment={})


async def until(
    process: asyncio.subprocess.Process, condition: Callable[[], Awaitable[bool]]
) -> bool:
    """Wait until something is so; False if the process has ended before."""
    async with within("the target to change, or the end of dls migrate"):
        while not await condition():
            if process.returncode is not None:
                return False
            await asyncio.sleep(0.001)
    return True


async def history(address: str, chats: int) -> Histories:
    async with opened_store(address) as store:
        histories = Histories(store, 1)
        await histories.write(chats)
    return histories


@pytest.mark.promise("migration")
async def test_killed_again_and_again_it_ends_with_every_chat_once(
    redis_server: RedisServer, tmp_path: Path, prefix: str
) -> None:
    source, target = f"sqlite:///{tmp_path}/chats.db", f"{redis_server.url}?prefix={prefix}"
    chats = 400
    orders = (await history(source, chats)).orders
    rng, kills = random.Random(1), 0
    async with redis_server.client() as client:

        async def copied() -> int:
            return int(await client.zcard(f"{{{prefix}:0}}:ages"))

        while await copied() < chats:
            process = await started("migrate", source, target, environment={})
            goal = await copied() + rng.randint(1, 120)

            async def enough(goal: int = goal) -> bool:
                return await copied() >= goal

            if not await until(process, enough):
                break
            process.kill()
            await ended(process)
            kills += 1
        assert kills >= 3
        result = await migrate(source, target)
        assert result.status == 0, result
        assert f"All {chats} chats are the same at both ends." in result.out
        # Each run that is put in draws a number.
        assert await client.get(f"{{{prefix}:0}}:number") == b"%d" % len(orders)
    lasting = await keys_without_ttl(redis_server.url, f"{{{prefix}:0}}:moving")
    assert lasting == [], "what a killed migration has left would stay for ever"
    async with opened_store(source) as one, opened_store(target) as other:
        assert await whole(one, orders) == await whole(other, orders)


@pytest.mark.promise("migration")
async def test_interrupted_it_says_that_it_goes_on(
    redis_server: RedisServer, tmp_path: Path, prefix: str
) -> None:
    source, target = f"sqlite:///{tmp_path}/chats.db", f"{redis_server.url}?prefix={prefix}"
    await history(source, 300)
    process = await started("migrate", source, target, environment={})

    async def begun() -> bool:
        return bool(await redis_server.command("EXISTS", f"{{{prefix}:0}}:ages"))

    assert await until(process, begun)
    process.send_signal(signal.SIGINT)
    result = await ended(process)
    assert result.status == 130
    assert result.out == ""
    *_, last = result.err.strip().splitlines()
    assert last == "dls: Interrupted. Start the same command again: it goes on where it was."
    assert "Traceback" not in result.err
    assert (await migrate(source, target)).status == 0


@pytest.mark.promise("migration")
async def test_a_conflict_is_listed_and_left_alone(
    redis_server: RedisServer, tmp_path: Path, prefix: str
) -> None:
    source, target = f"sqlite:///{tmp_path}/chats.db", f"{redis_server.url}?prefix={prefix}"
    await history(source, 5)
    assert (await migrate(source, target)).status == 0
    async with opened_store(target) as store:
        (chat, *_) = (await store.chats("ann")).chats
        await store.rename("ann", chat.id, "Another [bold]title[/]")
    result = await migrate(source, target)
    assert result.status == 1
    lines = result.out.splitlines()
    assert lines[0] == (
        f"Not copied, or not the same: chat {chat.id} has another title, head or time there."
    )
    assert lines[1] == "0 chats copied, 4 were there already."
    assert lines[2].startswith("4 chats are the same at both ends, 1 are not")


async def test_what_cannot_be_done_is_one_line(redis_server: RedisServer, tmp_path: Path) -> None:
    file = f"sqlite:///{tmp_path}/chats.db"
    assert_refused(await migrate(file, redis_server.url), "There is no store at", "chats.db")
    await history(file, 1)
    assert_refused(await migrate(file, file), "the same store")
    assert_refused(await migrate(file, "redis://127.0.0.1:1/0"), "redis://127.0.0.1:1/0")
    assert_refused(await migrate(file, f"sqlite:///{tmp_path}"), "is a folder")
    assert_refused(await migrate("nonsense", file), "nonsense", "sqlite:///PATH")
    assert_refused(await migrate("redis://:secret@127.0.0.1:1/0", file), "127.0.0.1:1/0")
    async with opened_store(file):
        assert_refused(await migrate(file, redis_server.url), "server is running", "Stop it")


@pytest.mark.promise("migration", "takeover")
async def test_a_server_on_the_target_finishes_the_answer_that_was_cut(
    redis_server: RedisServer, tmp_path: Path, prefix: str
) -> None:
    target = f"{redis_server.url}?prefix={prefix}"
    question = "Tell me something long"
    slow = {"DLS_DEMO_TOKENS_PER_SECOND": "50"}
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        async with serving(tmp_path, slow) as server:
            source = server.environment["DLS_STORE"]
            guest = Guest(server.url, session)
            response = await guest.start(question)
            begun = b""
            async with within("20 deltas", lambda: begun[-200:]):
                while begun.count(b'"text-delta"') < 20:
                    begun += await response.content.readany()
            refused = await migrate(source, target)
            assert_refused(refused, "server is running")
            await server.kill()
            response.close()
        whole_text = await said(tmp_path / "whole", question)

        result = await migrate(source, target)
        assert (result.status, "All 1 chats are the same" in result.out) == (0, True), result

        settings = {"DLS_STORE": target, "DLS_DEMO_TOKENS_PER_SECOND": "1000"}
        async with serving(tmp_path, settings) as server:
            guest = Guest(server.url, session)
            async with within("the end of the answer"):
                while (chat := (await guest.get("/api/chats/c1")).json)["active_run"] is not None:
                    await asyncio.sleep(0.05)
            asked, answer = chat["messages"]
            assert text_of(asked) == question
            assert text_of(answer) == whole_text
            assert [chat["id"] for chat in (await guest.get("/api/chats")).json["chats"]] == ["c1"]
            refused = await migrate(target, f"sqlite:///{tmp_path}/other.db")
            assert_refused(refused, "Servers are running on redis://", "Stop them")


async def said(folder: Path, question: str) -> str:
    """What the demo answers when nothing happens to it."""
    folder.mkdir()
    settings = {"DLS_DEMO_TOKENS_PER_SECOND": "0"}
    async with serving(folder, settings) as server, aiohttp.ClientSession() as session:
        return (await Guest(server.url, session).send(question)).text
