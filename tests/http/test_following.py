"""Following a run over HTTP: from the start, from a cursor, to its end."""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import Any

import pytest
from msgspec import structs

from durable_llm_streams.errors import CursorLost, StoreUnavailable
from durable_llm_streams.fold import Fold
from durable_llm_streams.model import Cursor, Epoch, Span
from durable_llm_streams.server import streams
from durable_llm_streams.store import Page
from tests.app import App, Guest, Reading, begun, read_rest, read_until, story, text_of
from tests.waiting import until

STREAM = "/api/chat/c1/stream"


def after(cursor: object) -> dict[str, dict[str, str]]:
    return {"headers": {"Last-Event-ID": str(cursor)}}


async def test_without_an_active_run_there_is_nothing_to_follow(app: App, guest: Guest) -> None:
    unknown = await guest.get(STREAM)
    last = (await guest.send()).ids[-1]
    async with app.guest() as stranger:
        foreign = await stranger.get(STREAM)
    assert set(foreign.headers) == set(unknown.headers)
    for nothing in (
        unknown,
        foreign,
        await guest.get(STREAM),
        await guest.get(STREAM, **after(last)),
    ):
        assert (nothing.status, nothing.raw) == (204, b"")


@pytest.mark.promise("prefix")
async def test_a_second_reader_gets_the_text_so_far_and_then_live_text(
    app: App, guest: Guest
) -> None:
    async with begun(app, guest), await guest.open("GET", STREAM) as second:
        assert second.headers["content-type"] == "text/event-stream"
        assert second.headers["x-vercel-ai-ui-message-stream"] == "v1"
        caught_up = await read_until(second, lambda reading: reading.text == "Hello, ")
        assert caught_up.types[0] == "start"
        app.script.free()
        live = await read_rest(second)
        assert (live.text, live.end) == ("world.", "finish")


@pytest.fixture
def outage(app: App, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """While it is set, nothing can be read from the store."""
    read, down = app.store.log.read, asyncio.Event()

    async def read_or_fail(*place: Any, **options: Any) -> Page:
        if not down.is_set():
            page = await read(*place, **options)
            if not down.is_set():
                return page
        raise StoreUnavailable("Gone.")

    monkeypatch.setattr(app.store.log, "read", read_or_fail)
    return down


@pytest.mark.promise("outage")
async def test_a_stream_waits_out_an_outage_of_the_store(
    app: App, guest: Guest, outage: asyncio.Event
) -> None:
    async with begun(app, guest) as (first, _):
        outage.set()
        app.script.allow(1)
        await read_until(first, lambda reading: reading.comments.count("keep-alive") > 1)
        outage.clear()
        app.script.free()
        assert (await read_rest(first)).end == "finish"


@pytest.mark.promise("outage")
async def test_a_stream_ends_cleanly_when_an_outage_of_the_store_lasts_too_long(
    app: App, guest: Guest, outage: asyncio.Event
) -> None:
    app.shared.streams.store_timeout = 0.0
    async with begun(app, guest) as (first, reading):
        outage.set()
        app.script.allow(1)
        assert not (await read_rest(first)).done
    outage.clear()
    app.script.free()
    rest = await guest.get(STREAM, **after(reading.ids[-1]))
    assert rest.end == "finish"


@pytest.mark.promise("outage")
async def test_outages_with_an_answer_between_them_are_not_added_up(
    app: App, guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, failing = app.store.log.read, itertools.cycle([True, False])

    async def fail_every_second_time(*place: Any, wait: float = 0.0, **options: Any) -> Page:
        if wait and next(failing):
            raise StoreUnavailable("Gone.")
        return await read(*place, wait=wait, **options)

    async with begun(app, guest) as (_, reading):
        app.shared.streams.store_timeout = 0.0  # one more failure than one, and it is over
        monkeypatch.setattr(streams, "_OUTAGE_SECONDS", 0.01)
        monkeypatch.setattr(app.store.log, "read", fail_every_second_time)
        async with await guest.open("GET", STREAM, **after(reading.ids[0])) as again:
            await read_until(again, lambda reading: reading.text == "Hello, ")
            app.script.free()
            assert (await read_rest(again)).end == "finish"


@pytest.fixture
def lost(app: App, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Once it is set, the store is in an earlier state, and on from there under another epoch."""
    read, is_lost = app.store.log.read, asyncio.Event()

    async def read_another(*place: Any, **options: Any) -> Page:
        page = await read(*place, **options)
        other = (Span(1, Epoch(2, "0ther")),)
        return structs.replace(page, spans=other) if is_lost.is_set() else page

    monkeypatch.setattr(app.store.log, "read", read_another)
    return is_lost


@pytest.mark.promise("lost-tail-is-told")
async def test_a_reader_of_records_lost_since_gets_an_error_and_no_other_text(
    app: App, guest: Guest, lost: asyncio.Event
) -> None:
    async with begun(app, guest) as (first, reading):
        lost.set()
        app.script.free()
        rest = await read_rest(first)
        assert ("world" in rest.text, rest.done) == (False, False)
    assert (await guest.get(STREAM, **after(reading.ids[-1]))).status == 410


@pytest.mark.promise("lost-tail-is-told")
async def test_a_reader_that_resumes_at_the_end_gets_no_text_of_another_epoch(
    app: App, guest: Guest, lost: asyncio.Event
) -> None:
    """The store loses the reader's record behind the check of its cursor."""
    async with begun(app, guest) as (_, reading):
        pass
    async with await guest.open("GET", STREAM, **after(reading.ids[-1])) as again:
        lost.set()
        app.script.free()
        rest = await read_rest(again)
    assert ("world" in rest.text, rest.done) == (False, False)


@pytest.mark.promise("prefix")
@pytest.mark.parametrize("where", ["header", "query", "both"])
async def test_a_cursor_gives_only_the_records_after_it(app: App, guest: Guest, where: str) -> None:
    async with begun(app, guest) as (_, reading):
        pass
    cursor = reading.ids[-1]
    query = f"?after={cursor if where == 'query' else reading.ids[0]}" if where != "header" else ""
    options = after(cursor) if where != "query" else {}
    app.script.free()
    rest = await guest.get(STREAM + query, **options)
    assert rest.status == 200
    assert rest.text == "world."
    assert rest.ids[0] > cursor
    assert rest.done


@pytest.mark.promise("foreign-bytes", "lost-tail-is-told")
async def test_a_cursor_of_no_answer_is_refused_and_one_of_another_chat_is_lost(
    guest: Guest,
) -> None:
    await guest.send()
    other = (await guest.send(chat="c2")).ids[2]
    for cursors, status, kind in (
        (("garbage", "a.b.c", "..", "é", "x" * 5000, "1", "a.00000001.zz"), 400, "invalid-cursor"),
        ((other, "nosuchrun.00000003.00"), 410, "cursor-lost"),
    ):
        for cursor in cursors:
            reading = await guest.get(STREAM, params={"after": cursor})
            assert (reading.status, reading.json["type"].rpartition(":")[2]) == (status, kind)
    assert (await guest.get(STREAM, params={"after": ""})).status == 204


@pytest.mark.promise("lost-tail-is-told")
@pytest.mark.parametrize(
    "change", [{"seq": 11}, {"seq": 0xFFFFFFFF}, {"token": "0badf00d"}, {"token": ""}]
)
@pytest.mark.parametrize("active", [True, False])
async def test_a_cursor_that_the_log_does_not_hold_is_lost(
    app: App, guest: Guest, change: dict[str, object], active: bool
) -> None:
    async with begun(app, guest) as (response, reading):
        cursor = Cursor.parse(reading.ids[0])._replace(**change)  # type: ignore[arg-type]
        if not active:
            app.script.free()
            await read_rest(response)
        lost = await guest.get(STREAM, **after(cursor))
        assert lost.status == 410
        assert lost.json["type"].endswith(":cursor-lost")
        app.script.free()


@pytest.mark.promise("history-is-fold")
async def test_catching_up_merges_deltas_into_the_same_text(app: App, guest: Guest) -> None:
    app.script.pieces = pieces = [f'{number} "\\\u2028 ' for number in range(2000)]
    app.script.hold()
    async with await guest.start() as live:
        app.script.allow(2000)
        run = live.headers["x-run-id"]
        page = await until(lambda: app.store.log.read(run, 0), lambda page: page.last == 3 + 2000)
        async with await guest.open("GET", STREAM) as late:
            caught_up = await read_until(late, lambda r: r.text == "".join(pieces))
            assert len(caught_up.records) < 50
            assert caught_up.ids[-1] == str(Cursor(run, page.last, page.spans[-1].epoch.token))
            app.script.free()
            await read_rest(late)
    whole = await guest.get(STREAM, **after(Cursor.beginning(run)))
    assert len(whole.records) < 50
    stored = await app.store.log.read(run, 0, max_bytes=1 << 30)
    told = Fold.of([frame.data.encode() for frame in whole.records])
    assert told.message() == Fold.of(stored.records).message()


async def test_a_silent_stream_sends_comments(
    app: App, guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.01)
    async with begun(app, guest) as (response, _):
        await read_until(response, lambda r: r.comments.count("keep-alive") >= 2)
        app.script.free()
        await read_rest(response)


async def test_a_client_that_leaves_does_not_stop_the_run(app: App, guest: Guest) -> None:
    async with begun(app, guest) as (response, _):
        response.close()
    await until(lambda: len(app.shared.streams) == 0)
    assert app.worker.running == 1
    app.script.free()
    await until(lambda: app.worker.running == 0)
    assert await guest.said() == [("user", "Hi"), ("assistant", "Hello, world.")]


@pytest.mark.promise("bounded")
async def test_a_stalled_reader_does_not_slow_others(app: App, guest: Guest) -> None:
    app.script.pieces = ["x" * 10_000] * 1000  # more than all buffers between
    async with await guest.start() as slow:
        reading = await guest.get(STREAM)
        assert len(reading.text) == 10_000_000
        await until(lambda: app.worker.running == 0)
        assert len(app.shared.streams) == 1
        late = await read_until(slow, lambda reading: reading.raw.endswith(b"[DONE]\n\n"))
        assert late.text == reading.text


@pytest.mark.promise("lost-tail-is-told")
async def test_a_log_that_goes_while_it_is_read_ends_the_stream_without_an_end(
    app: App, guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = app.store.log.read

    async def read_what_is_left(run: str, after: int, *, wait: float = 0, **more: Any) -> Page:
        if wait and after > 3:  # a reader; the worker waits for nothing
            raise CursorLost
        return await read(run, after, wait=wait, **more)

    async with begun(app, guest):
        monkeypatch.setattr(app.store.log, "read", read_what_is_left)
        reading = await guest.get(STREAM)
        assert (reading.text, reading.done) == ("Hello, ", False)
        app.script.free()


async def test_while_the_server_drains_nothing_is_followed(app: App, guest: Guest) -> None:
    async with begun(app, guest) as (response, _):
        app.shared.drain()
        assert not (await read_rest(response)).done
    for reading in (await guest.get(STREAM), await guest.send("Two")):
        assert reading.status == 503
        assert int(reading.headers["retry-after"]) > 0
        assert reading.json["type"].endswith(":shutting-down")
    app.script.free()
    app.errors.clear()


PIECES = [f'{number} "\u2028\n😀\\ ' for number in range(400)]


@pytest.mark.promise("prefix")
async def test_resuming_at_every_event_joins_to_the_whole(app: App, guest: Guest) -> None:
    app.script.pieces = PIECES[:60]
    app.script.hold()
    async with await guest.start() as live:
        app.script.free()
        whole = await read_rest(live)
    await guest.send("Two")  # a run before the last one can be followed as well
    for index, frame in enumerate(whole.records[:-1], 1):
        rest = await guest.get(STREAM, headers={"Last-Event-ID": frame.id})
        assert story([*whole.records[:index], *rest.records]) == story(whole.records)
        assert rest.done


@pytest.mark.promise("prefix", "history-is-fold")
async def test_a_snapshot_and_what_follows_its_cursor_are_the_whole_message(
    app: App, guest: Guest
) -> None:
    rng = random.Random(11)
    app.script.pieces = PIECES
    app.script.hold()
    async with await guest.start():
        moments: list[tuple[str, str, asyncio.Task[Reading]]] = []
        for _ in range(40):
            app.script.allow(rng.randrange(10))
            for _ in range(rng.randrange(6)):
                await asyncio.sleep(0)
            chat = await guest.chat()
            cursor = chat["active_run"]["cursor"]
            answer = chat["messages"][-1]
            shown = text_of(answer) if answer["role"] == "assistant" else ""
            rest = asyncio.create_task(guest.get(f"{STREAM}?after={cursor}"))
            moments.append((cursor, shown, rest))
        app.script.free()
        await asyncio.gather(*(rest for _, _, rest in moments))
    text = "".join(PIECES)
    assert await guest.said() == [("user", "Hi"), ("assistant", text)]
    for cursor, shown, task in moments:
        reading = task.result()
        assert shown + reading.text == text
        assert all(found > cursor for found in reading.ids)
        assert reading.done
