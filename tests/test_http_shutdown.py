"""A planned end of a server process: streams end cleanly, and the answer goes on afterwards."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp

from tests.app import SECONDS, Guest, Reading, read_until, story
from tests.processes import serving


async def test_a_terminated_server_lets_its_streams_go_and_the_next_one_goes_on(
    tmp_path: Path,
) -> None:
    settings = {"DLS_DEMO_TOKENS_PER_SECOND": "100"}
    jar = aiohttp.CookieJar(unsafe=True)
    async with serving(tmp_path, settings) as server, aiohttp.ClientSession(cookie_jar=jar) as http:
        guest = Guest(server.url, http)
        await guest.get("/api/chats")  # the cookie
        async with await guest.start("Hi", message_id="m1") as response:
            run = response.headers["x-run-id"]
            await read_until(response, lambda reading: len(reading.text) > 20)
            async with await guest.open("GET", "/api/chat/c1/stream") as other:
                loop = asyncio.get_running_loop()
                began = loop.time()
                ending = asyncio.create_task(server.terminate())
                async with asyncio.timeout(SECONDS):
                    # A body that was cut short would raise: these are complete, without an end.
                    await response.read()
                    first = Reading(other.status, other.headers, await other.read())
        assert first.end == ""
        assert not first.done
        assert first.text
        await _refused(guest)
        assert await ending == 0
        assert loop.time() - began < 10
        assert "Traceback" not in server.log.read_text()
        assert not server.store.with_name("chats.db-wal").exists(), "the store was not closed"

        await server.start()
        rest = await guest.get("/api/chat/c1/stream", headers={"Last-Event-ID": first.ids[-1]})
        assert rest.status == 200
        assert rest.done
        whole = await guest.post(guest.body("Hi", message_id="m1"))
        assert whole.headers["x-run-id"] == run
        assert story([*first.records, *rest.records]) == story(whole.records)
        assert await guest.said() == [("user", "Hi"), ("assistant", whole.text)]
        assert "reset-step" not in whole.types
        assert await server.terminate() == 0


async def _refused(guest: Guest) -> None:
    """While it ends, a server takes no new message."""
    try:
        reading = await guest.send("Too late", chat="late")
    except aiohttp.ClientConnectionError:
        return
    assert reading.status == 503
    assert "retry-after" in reading.headers
