"""A planned end of real processes: short answers end here, long ones continue elsewhere."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import aiohttp
import pytest

from durable_llm_streams.store import Page
from tests.app import App, Guest, read_rest, read_until, text_of
from tests.fake_provider import answer
from tests.http.servers import ALL, SAID, STALLS, WHOLE, place, read_said, whole
from tests.processes import ServerProcess
from tests.waiting import until, within

pytestmark = pytest.mark.promise("hand-over")

SLOW = f"tokens={ALL},rate=20"  # two seconds

#: Longer than any test may take: a server that waits for its end fails the test.
ENDLESS = {"DLS_GRACE": "600"}
STREAM = "/api/chat/c1/stream"


async def told_to_end(server: ServerProcess, number: int = signal.SIGTERM) -> None:
    """Send a signal, and wait until the server reports that it takes no work."""
    os.kill(server.pid, number)
    async with aiohttp.ClientSession() as http:
        await until(lambda: server.ready(http), lambda ready: not ready)


async def exit_status(server: ServerProcess) -> int:
    """Wait for the end of a process that is shutting down."""
    await until(lambda: not server.running, what="the end of the server")
    assert "Traceback" not in server.log.read_text()
    assert server._process is not None
    status = server._process.returncode
    assert status is not None
    return status


@pytest.mark.parametrize("settings", [ENDLESS, {}], ids=["a long grace", "by default"])
async def test_an_answer_that_is_short_enough_ends_on_the_connection_where_it_began(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    async with place(tmp_path, settings) as here:
        here.provider.plan(SLOW)
        guest, server = here.guest(), here.servers[0]
        async with await guest.start() as stream:
            first = await read_until(stream, lambda reading: len(reading.records) > SAID)
            await told_to_end(server)
            rest = await read_rest(stream)
        assert (rest.end, rest.done, whole(first, rest)) == ("finish", True, answer(ALL))
        assert await exit_status(server) == 0  # with the last answer, not with the grace
        assert not server.store.with_name("chats.db-wal").exists(), "the store was not closed"
        await server.start()
        message = (await guest.chat())["messages"][1]
        assert (text_of(message), message["metadata"]["attempts"]) == (answer(ALL), 1)
        assert len(here.provider.requests) == 1


async def test_a_longer_answer_continues_at_another_server_at_once(tmp_path: Path) -> None:
    async with place(tmp_path, {"DLS_GRACE": "0.5"}, servers=2) as here:
        here.provider.plan(STALLS, WHOLE)
        async with await here.guest(0).start() as stream:
            first = await read_said(stream)
            ending = asyncio.create_task(here.servers[0].terminate())
            end = await read_rest(stream)
        assert (end.end, end.done) == ("", False)
        last = [*first.ids, *end.ids][-1]
        rest = await here.guest(1).get(STREAM, headers={"Last-Event-ID": last})
        assert rest.done
        assert whole(first, end, rest) == answer(ALL)
        assert await ending == 0
        log = here.servers[0].log.read_text()
        assert "Finishing 1 answers" in log
        assert "Handing over 1 answers" in log


async def test_while_it_finishes_a_server_is_read_and_stopped_but_takes_no_message(
    tmp_path: Path,
) -> None:
    async with place(tmp_path, ENDLESS) as here:
        here.provider.plan(STALLS)
        guest, server = here.guest(), here.servers[0]
        async with await guest.start() as stream, await guest.open("GET", "/api/events") as feed:
            await read_said(stream)
            kept = await guest.get("/healthz")
            assert "Connection" not in kept.headers
            await told_to_end(server)
            assert (await guest.get("/healthz")).status == 200
            refused = await guest.send("Too late", chat="late")
            assert refused.status == 503
            assert int(refused.headers["Retry-After"]) > 0
            assert refused.headers["Connection"] == "close"  # and no request meets a closed one
            assert refused.json["type"].endswith(":shutting-down")
            assert (await guest.get("/api/chats/late")).status == 404
            async with await guest.open("GET", STREAM) as resumed:
                await read_said(resumed)
                assert (await guest.call("POST", "/api/chat/c1/stop")).status == 200
                assert (await read_rest(resumed)).end == "abort"
            assert (await read_rest(stream)).end == "abort"
            assert (await read_rest(feed)).types[-1] == "run-ended"
        assert await exit_status(server) == 0


@pytest.mark.parametrize(
    "signals",
    [(signal.SIGTERM, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT), (signal.SIGINT,)],
    ids=lambda signals: " ".join(each.name for each in signals),
)
async def test_a_second_signal_and_ctrl_c_hand_over_at_once(
    tmp_path: Path, signals: tuple[signal.Signals, ...]
) -> None:
    async with place(tmp_path, ENDLESS) as here:
        here.provider.plan(STALLS, WHOLE)
        guest, server = here.guest(), here.servers[0]
        async with await guest.start() as stream, await guest.open("GET", STREAM) as other:
            first = await read_said(stream)
            for number in signals[:-1]:
                await told_to_end(server, number)
            os.kill(server.pid, signals[-1])
            # A body that was cut short would raise: these are complete, without an end.
            for each in (stream, other):
                end = await read_rest(each)
                assert (end.end, end.done) == ("", False)
        assert await exit_status(server) == 0
        await server.start()
        rest = await guest.get(STREAM, headers={"Last-Event-ID": first.ids[-1]})
        assert whole(first, rest) == answer(ALL)


async def test_what_was_flushed_last_is_sent_before_a_stream_ends(
    app: App, guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = app.store.log.read

    async def read_deaf(run: str, after: int, *, wait: float = 0.0, **more: int) -> Page:
        if wait and after > SAID:
            await asyncio.Event().wait()  # this reader is not notified that there is more
        return await read(run, after, wait=wait, **more)

    monkeypatch.setattr(app.store.log, "read", read_deaf)
    app.script.pieces = said = [f"{number} " for number in range(SAID + ALL)]
    app.script.hold()
    async with await guest.start() as response:
        app.script.allow(SAID)
        first = await read_until(response, lambda reading: len(reading.records) > SAID)
        app.script.allow(ALL)
        run, written = response.headers["x-run-id"], len(first.records)
        async with within(f"{ALL} more records", lambda: written):
            while written < len(first.records) + ALL:
                written = (await read(run, written, wait=1.0)).next_seq - 1
        await app.shared.hand_over()
        rest = await read_rest(response)
    assert first.text + rest.text == "".join(said)
    assert (rest.end, rest.done) == ("", False)
