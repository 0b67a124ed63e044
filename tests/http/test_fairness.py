"""One visitor's flood, and what another one notices of it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import aiohttp
import pytest

from durable_llm_streams.model import Status
from durable_llm_streams.runs import Limits
from durable_llm_streams.server.newcomers import Newcomers
from tests.app import App, Guest, read_until
from tests.http.conftest import app_with
from tests.http.servers import place
from tests.waiting import until, within

FLOOD = 1050
FIRST_WORD_SECONDS = 2.0


@pytest.mark.promise("fair")
@pytest.mark.parametrize("settings", [{}, {"DLS_MAX_RUNS": "600"}], ids=["defaults", "600-runs"])
async def test_the_first_word_comes_within_two_seconds_under_a_flood_of_slow_runs(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    async with place(tmp_path, {"DLS_MODEL": "fake:rate=0.02", **settings}) as here:
        await flood(here.guest(), FLOOD)
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            other = Guest(here.servers[0].url, session)
            began = time.perf_counter()
            async with within("the first word"), await other.start() as response:
                assert (await read_until(response, lambda reading: reading.text != "")).text
            took = time.perf_counter() - began
        print(f"first word under {FLOOD:,} slow runs of another: {took * 1000:.0f} ms")
        assert took < FIRST_WORD_SECONDS


async def flood(guest: Guest, count: int) -> None:
    """Send so many messages, each in a chat of its own, and hold no connection."""
    (await guest.start(chat="first")).close()  # it brings the cookie
    room = asyncio.Semaphore(16)

    async def send(number: int) -> None:
        async with room, await guest.start(chat=f"f{number}") as response:
            assert response.status == 200

    async with within("the flood", seconds=120):
        await asyncio.gather(*(send(number) for number in range(count - 1)))


@pytest.mark.promise("fair")
@app_with(limits=Limits(concurrent_runs=2, per_owner=2, poll=60))
async def test_a_slot_that_becomes_free_goes_to_the_owner_who_has_none(app: App) -> None:
    app.script.hold()
    async with app.guest() as flooding, app.guest() as other:
        for number in range(5):
            (await flooding.start(chat=f"f{number}")).close()
        await until(lambda: app.worker.running == 2, what="two runs of one owner")
        async with await other.start(chat="c1"):
            stopped = await flooding.call("POST", "/api/chat/f0/stop")
            assert stopped.status == 200, stopped.raw
            await until(lambda: app.worker.running == 2, what="the slot to be taken")
            active = await app.store.operators.newest(active=True)
            running = [run.chat_id for run in active if run.status is Status.RUNNING]
            assert running == ["c1", "f1"]
        app.script.free()


@pytest.mark.promise("fair")
@app_with(limits=Limits(per_owner=1, waiting_per_owner=1))
async def test_more_messages_than_an_owner_may_have_are_refused(app: App, guest: Guest) -> None:
    app.script.hold()
    for number in (1, 2):
        (await guest.start(chat=f"c{number}", message_id="m1")).close()
    refused = await guest.send(chat="c3")
    assert (refused.status, refused.json["type"]) == (429, "urn:durable-llm-streams:too-many-runs")
    assert refused.headers["retry-after"] == "10"
    assert (refused.json["limit"], refused.json["retry_after"]) == (2, 10)
    assert refused.json["detail"].startswith("2 of your messages are being answered or wait")
    assert (await guest.get("/api/chats/c3")).status == 404
    async with app.guest() as other:
        (await other.start()).close()
    app.script.free()
    assert (await guest.send(chat="c1", message_id="m1")).status == 200, "it is a duplicate"
    await until(lambda: app.worker.running == 0, what="the end of all answers")
    assert (await guest.send(chat="c3")).status == 200


@pytest.mark.promise("fair")
@app_with(limits=Limits(concurrent_runs=1, queue=1))
async def test_messages_that_would_wait_behind_too_many_are_refused(app: App) -> None:
    app.script.hold()
    async with app.guest() as first, app.guest() as second, app.guest() as third:
        for guest in (first, second):
            (await guest.start()).close()
        refused = await third.send()
        assert (refused.status, refused.json["type"]) == (503, "urn:durable-llm-streams:queue-full")
        assert refused.headers["retry-after"] == "10"
        app.script.free()
        await until(lambda: app.worker.running == 0, what="the end of all answers")
        assert (await third.send()).status == 200
    assert app.errors == []


@pytest.mark.promise("fair")
@app_with(new_visitors=2)
async def test_no_more_new_visitors_of_one_address_may_send_than_the_limit(app: App) -> None:
    async with app.guest() as first, app.guest() as second, app.guest() as third:
        for guest in (first, second):
            assert (await guest.send()).status == 200
        assert (await third.get("/api/chats")).status == 200, "it has a cookie now, and no chat"
        refused = await third.send()
        assert refused.status == 429
        assert refused.json["type"] == "urn:durable-llm-streams:too-many-visitors"
        assert 3500 < int(refused.headers["retry-after"]) <= 3600
        assert (await third.get("/api/chats")).json["chats"] == []
        app.shared.newcomers = Newcomers(2)
        app.shared.newcomers.admit("127.0.0.1")
        app.shared.newcomers.admit("127.0.0.1")
        assert (await first.send(chat="c2")).status == 200, "its chats are in the store"
