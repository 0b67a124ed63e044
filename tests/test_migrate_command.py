"""`dls migrate` in processes of its own: killed, interrupted, and what a server makes of it."""

from __future__ import annotations

import random
import signal
from asyncio.subprocess import Process
from pathlib import Path

import aiohttp
import pytest

from tests.app import Guest, read_until, text_of
from tests.migrating import Partition, file, partition, redis, told, written
from tests.migrating import serving as opened_store
from tests.processes import serving
from tests.redis_servers import keys_without_ttl, redis_server
from tests.test_cli import Ended, assert_refused, dls, ended, started
from tests.waiting import until

__all__ = ["file", "partition", "redis", "redis_server"]

pytestmark = [pytest.mark.xdist_group("redis"), pytest.mark.timeout(300)]

INTERRUPTED = "Interrupted. Start the same command again: it goes on where it was."


async def migrate(source: str, target: str) -> Ended:
    return await dls("migrate", source, target, environment={})


@pytest.mark.promise("migration")
async def test_interrupted_and_killed_again_and_again_it_ends_with_every_chat_once(
    file: str, redis: str, partition: Partition
) -> None:
    chats = 400
    orders = await written(file, chats=chats)
    rng, ends = random.Random(1), 0
    async with partition.server.client() as client:

        async def copied() -> int:
            return int(await client.zcard(f"{partition.root}:ages"))

        while await copied() < chats:
            process = await started("migrate", file, redis, environment={})
            # The first one is interrupted early, so that it cannot end before the signal.
            goal = await copied() + (rng.randint(1, 120) if ends else 1)

            def is_over(found: int, goal: int = goal, process: Process = process) -> bool:
                return found >= goal or process.returncode is not None

            if await until(copied, is_over, f"{goal} chats, or the end of dls migrate") < goal:
                break
            process.send_signal(signal.SIGKILL if ends else signal.SIGINT)
            result = await ended(process)
            if not ends:
                *_, last = result.err.strip().splitlines()
                assert (result.status, result.out) == (130, ""), result
                assert last == f"dls: {INTERRUPTED}"
                assert "Traceback" not in result.err
            ends += 1
        assert ends >= 4
        result = await migrate(file, redis)
        assert result.status == 0, result
        assert f"All {chats} chats are the same at both ends." in result.out
        # Each run that is put in draws a number.
        assert await client.get(f"{partition.root}:number") == b"%d" % len(orders)
    lasting = await keys_without_ttl(partition.server.url, f"{partition.root}:moving")
    assert lasting == [], "what a killed migration has left would stay for ever"
    assert await told(file, orders) == await told(redis, orders)


@pytest.mark.promise("migration")
async def test_a_conflict_is_listed_and_left_alone(file: str, redis: str) -> None:
    await written(file, chats=5)
    assert (await migrate(file, redis)).status == 0
    async with opened_store(redis) as store:
        (chat, *_) = (await store.chats.page("ann")).chats
        await store.chats.rename("ann", chat.id, "Another [bold]title[/]")
    result = await migrate(file, redis)
    assert result.status == 1
    first, second, third, *_ = result.out.splitlines()
    said = f"chat {chat.id} of ann has another title, head or time there."
    assert first == f"Not copied, or not the same: {said}"
    assert second == "0 chats copied, 4 were there already."
    assert third.startswith("4 chats are the same at both ends, 1 are not")


async def test_what_cannot_be_done_is_one_line(file: str, redis: str, tmp_path: Path) -> None:
    assert_refused(await migrate(file, redis), "There is no store at", "chats.db")
    await written(file, chats=1)
    assert_refused(await migrate(file, f"sqlite:///{tmp_path}"), "is a folder")
    assert_refused(await migrate("nonsense", file), "nonsense", "sqlite:///PATH")
    unreachable = await migrate("redis://:secret@127.0.0.1:1/0", file)
    assert_refused(unreachable, "redis://", "127.0.0.1:1/0")
    assert "secret" not in unreachable.err


@pytest.mark.promise("migration", "takeover")
async def test_a_server_on_the_target_finishes_the_answer_that_was_cut(
    redis: str, tmp_path: Path
) -> None:
    question = "Tell me something long"
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        async with serving(tmp_path, {"DLS_DEMO_TOKENS_PER_SECOND": "50"}) as server:
            source = server.environment["DLS_STORE"]
            response = await Guest(server.url, session).start(question)
            await read_until(response, lambda reading: len(reading.text) > 60)
            assert_refused(await migrate(source, redis), "server is running", "Stop it")
            await server.kill()
            response.close()
        whole_text = await said(tmp_path / "whole", question)

        result = await migrate(source, redis)
        assert (result.status, "All 1 chats are the same" in result.out) == (0, True), result

        settings = {"DLS_STORE": redis, "DLS_DEMO_TOKENS_PER_SECOND": "1000"}
        async with serving(tmp_path, settings) as server:
            guest = Guest(server.url, session)
            chat = await until(
                lambda: guest.get("/api/chats/c1"), lambda reply: reply.json["active_run"] is None
            )
            asked, answer = chat.json["messages"]
            assert text_of(asked) == question
            assert text_of(answer) == whole_text
            assert [chat["id"] for chat in (await guest.get("/api/chats")).json["chats"]] == ["c1"]
            refused = await migrate(redis, f"sqlite:///{tmp_path}/other.db")
            assert_refused(refused, "Servers are running on redis://", "Stop them")


async def said(folder: Path, question: str) -> str:
    """What the demo answers when nothing happens to it."""
    folder.mkdir()
    settings = {"DLS_DEMO_TOKENS_PER_SECOND": "0"}
    async with serving(folder, settings) as server, aiohttp.ClientSession() as session:
        return (await Guest(server.url, session).send(question)).text
