"""A planned end of a server: streams end cleanly, and the answer goes on afterwards."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from durable_llm_streams.store import Page
from tests.app import Guest, read_rest, read_until, running_app, story
from tests.processes import serving
from tests.waiting import within

SAID = 5
MORE = 20


@pytest.mark.promise("hand-over", "prefix")
async def test_a_terminated_server_lets_its_streams_go_and_the_next_one_goes_on(
    tmp_path: Path,
) -> None:
    settings = {"DLS_DEMO_TOKENS_PER_SECOND": "100", "DLS_GRACE": "0"}
    jar = aiohttp.CookieJar(unsafe=True)
    async with serving(tmp_path, settings) as server, aiohttp.ClientSession(cookie_jar=jar) as http:
        guest = Guest(server.url, http)
        await guest.get("/api/chats")  # the cookie
        async with await guest.start("Hi", message_id="m1") as response:
            run = response.headers["x-run-id"]
            await read_until(response, lambda reading: len(reading.text) > 20)
            async with await guest.open("GET", "/api/chat/c1/stream") as other:
                ending = asyncio.create_task(server.terminate())
                # A body that was cut short would raise: these are complete, without an end.
                await read_rest(response)
                first = await read_rest(other)
        assert first.end == ""
        assert not first.done
        assert first.text
        await _refused(guest)
        assert await ending == 0
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


@pytest.mark.promise("hand-over")
async def test_what_was_flushed_last_is_sent_before_a_stream_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_app(tmp_path) as app, app.guest() as guest:
        read = app.store.read

        async def read_deaf(run: str, after: int, *, wait: float = 0.0, **more: int) -> Page:
            if wait and after > SAID:
                await asyncio.Event().wait()  # nobody tells this reader that there is more
            return await read(run, after, wait=wait, **more)

        monkeypatch.setattr(app.store, "read", read_deaf)
        app.script.pieces = said = [f"{number} " for number in range(SAID + MORE)]
        app.script.hold()
        async with await guest.start() as response:
            app.script.allow(SAID)
            first = await read_until(response, lambda reading: len(reading.records) > SAID)
            app.script.allow(MORE)
            run, written = response.headers["x-run-id"], len(first.records)
            async with within(f"{MORE} more records", lambda: written):
                while written < len(first.records) + MORE:
                    written = (await read(run, written, wait=1.0)).next_seq - 1
            await app.shared.hand_over()
            rest = await read_rest(response)
        assert len(first.text) > 0
        assert first.text + rest.text == "".join(said)
        assert (rest.end, rest.done) == ("", False)


async def _refused(guest: Guest) -> None:
    """While it ends, a server takes no new message."""
    try:
        reading = await guest.send("Too late", chat="late")
    except aiohttp.ClientConnectionError:
        return
    assert reading.status == 503
    assert "retry-after" in reading.headers
