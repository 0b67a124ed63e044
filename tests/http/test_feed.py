"""`GET /api/events`: all tabs of a visitor get the changes of its chats, and no others do."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from durable_llm_streams.errors import StoreUnavailable
from durable_llm_streams.runs import Limits
from durable_llm_streams.server import streams
from durable_llm_streams.store import Changes
from tests.app import HELLO, JSON, App, Guest, Reading, begun, read_rest
from tests.http.conftest import app_with
from tests.waiting import until, within

FEED = "/api/events"
ANSWERED = ["chat-created", "run-started", "run-ended"]


@pytest.fixture
async def guest(app: App) -> AsyncIterator[Guest]:
    """A returning visitor: the cookie is there before the first request."""
    async with app.guest() as guest:
        await guest.get("/api/models")
        yield guest


class Feed:
    """An open feed: what it brought so far."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self._raw = b""

    @property
    def reading(self) -> Reading:
        return Reading(self.response.status, self.response.headers, self._raw)

    async def until(self, *kinds: str) -> list[JSON]:
        """Everything it brought, once there are events of these types, in this order."""
        async with within(f"a feed of {kinds}", lambda: self.reading.types):
            while self.reading.types != list(kinds):
                assert len(self.reading.types) < len(kinds), self.reading.types
                await self._more()
        return [frame.chunk for frame in self.reading.frames]

    async def until_last(self, kind: str) -> list[JSON]:
        """Everything it brought, once the last event is of this type."""
        async with within(f"a feed that ends with {kind}", lambda: self.reading.types):
            while self.reading.types[-1] != kind:
                await self._more()
        return [frame.chunk for frame in self.reading.frames]

    async def comments(self, count: int) -> None:
        async with within(f"{count} comments", lambda: self.reading.comments):
            while self.reading.comments.count("keep-alive") < count:
                await self._more()

    async def end(self) -> Reading:
        """The whole of it, when it has ended cleanly."""
        self._raw += (await read_rest(self.response)).raw
        return self.reading

    async def _more(self) -> None:
        part = await self.response.content.readany()
        assert part, f"The feed ended too early: {self._raw!r}"
        self._raw += part


@asynccontextmanager
async def feed(guest: Guest, after: str = "", header: str = "") -> AsyncGenerator[Feed, None]:
    """An open feed of a visitor."""
    params = {"after": after} if after else {}
    headers = {"Last-Event-ID": header} if header else {}
    async with await guest.open("GET", FEED, params=params, headers=headers) as response:
        assert response.status == 200
        yield Feed(response)


async def test_a_first_feed_opens_with_nothing_and_asks_to_list_the_chats(guest: Guest) -> None:
    await guest.send()
    async with feed(guest) as events:
        assert await events.until("open") == [{"type": "open", "complete": False}]
        headers = events.response.headers
        assert headers["content-type"] == "text/event-stream"
        assert headers["cache-control"] == "no-cache, no-transform"
        assert headers["x-accel-buffering"] == "no"
        assert headers["x-content-type-options"] == "nosniff"
        assert "content-length" not in headers
        assert events.reading.retry == 1000
        assert events.reading.ids[0]


@pytest.mark.promise("feed")
async def test_an_answer_is_published_from_its_start_to_its_end(app: App, guest: Guest) -> None:
    async with feed(guest) as events, begun(app, guest) as (response, reading):
        _, created, started = await events.until("open", *ANSWERED[:2])
        (row,) = (await guest.get("/api/chats")).json["chats"]
        assert row["active"] is True
        assert created == {"type": "chat-created", "chat": row}
        about = {
            "run": response.headers["x-run-id"], "message": reading.records[0].chunk["messageId"],
        }  # fmt: skip
        assert started == {"type": "run-started", "chat": row, **about}
        app.script.free()
        *_, ended = await events.until("open", *ANSWERED)
        (row,) = (await guest.get("/api/chats")).json["chats"]
        assert row["active"] is False
        assert ended == {"type": "run-ended", "chat": row, **about, "status": "finished"}
        assert len(set(events.reading.ids)) == 4


@pytest.mark.promise("feed")
@app_with(limits=Limits(attempts=1))
async def test_failures_stops_renames_and_deletions_are_published(app: App, guest: Guest) -> None:
    async with feed(guest) as events:
        await events.until("open")
        app.script.pieces = [RuntimeError("broken")]
        assert (await guest.send(chat="c2")).end == "error"
        app.errors.clear()
        app.script.pieces = HELLO
        renamed = await guest.call("PATCH", "/api/chats/c2", json={"title": "Trees"})
        kinds = ["open", *ANSWERED, "chat-renamed"]
        *_, failed, event = await events.until(*kinds)
        assert failed["status"] == "failed"
        assert event == {"type": "chat-renamed", "chat": renamed.json}
        async with begun(app, guest):
            await guest.call("DELETE", "/api/chats/c1")
            # What happened to a chat before is removed with it, so its end may be missing.
            *_, deleted = await events.until_last("chat-deleted")
            assert deleted == {"type": "chat-deleted", "id": "c1"}
        app.script.free()


@pytest.mark.promise("feed")
@pytest.mark.parametrize("where", ["header", "after", "both"])
async def test_a_feed_continues_after_the_last_event(app: App, guest: Guest, where: str) -> None:
    async with feed(guest) as events:
        await events.until("open")
        await guest.send()
        seen = await events.until("open", *ANSWERED)
        ids = events.reading.ids
    await until(lambda: len(app.shared.streams) == 0)
    for index, last in enumerate(ids):
        header = last if where != "after" else ""
        after = {"header": "", "after": last, "both": ids[0]}[where]
        async with feed(guest, after, header) as events:
            opened, *rest = await events.until("open", *ANSWERED[index:])
            assert opened == {"type": "open", "complete": True}
            assert rest == seen[index + 1 :]
            assert events.reading.ids == ids[index:]


@pytest.mark.promise("feed", "foreign-bytes")
@pytest.mark.parametrize("position", ["nonsense", "0-0", "x" * 5000, "é", "%0A"])
async def test_an_invalid_position_lists_the_chats_again(guest: Guest, position: str) -> None:
    async with feed(guest, after=position) as events:
        assert await events.until("open") == [{"type": "open", "complete": False}]
        assert events.reading.ids[0] != position
        await guest.send()
        await events.until("open", *ANSWERED)


@pytest.mark.promise("owned")
async def test_a_feed_shows_no_changes_of_other_owners(app: App, guest: Guest) -> None:
    async with app.guest() as other, feed(guest) as mine:
        await other.get("/api/models")
        await mine.until("open")
        async with (
            feed(other) as theirs, feed(other, header=mine.reading.ids[0]) as stolen,
        ):  # fmt: skip
            await guest.send("Mine")
            await mine.until("open", *ANSWERED)
            await other.send("Theirs", chat="c2")
            for events in (theirs, stolen):
                _, *told = await events.until("open", *ANSWERED)
                assert {event["chat"]["id"] for event in told} == {"c2"}


async def test_a_visitor_without_a_cookie_gets_one_with_the_feed(app: App) -> None:
    async with app.guest() as guest, feed(guest) as events:
        assert "set-cookie" in events.response.headers
        await guest.send()
        await events.until("open", *ANSWERED)


async def test_a_silent_feed_sends_comments_and_continues(
    app: App, guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.01)
    async with feed(guest) as events:
        await events.comments(3)
        await guest.send()
        await events.until("open", *ANSWERED)


@pytest.mark.promise("no-leak")
async def test_a_feed_is_released_after_a_disconnect(app: App, guest: Guest) -> None:
    async with feed(guest) as events:
        await events.until("open")
        assert len(app.shared.streams) == 1
        events.response.close()
    await until(lambda: len(app.shared.streams) == 0)
    assert app.store.feed._subscribers._subscribed == {}


async def test_a_draining_server_ends_its_feeds_and_opens_none(app: App, guest: Guest) -> None:
    async with feed(guest) as events:
        await events.until("open")
        app.shared.drain()
        assert (await events.end()).types == ["open"]
    refused = await guest.get(FEED)
    assert refused.status == 503
    assert refused.json["type"].endswith(":shutting-down")
    app.errors.clear()


@pytest.mark.promise("feed", "outage")
async def test_a_feed_waits_out_an_outage_of_the_store(
    app: App, guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with feed(guest) as events:
        await events.until("open")
        with monkeypatch.context() as outage:
            outage.setattr(app.store.feed, "changes", unavailable)
            await guest.call("POST", "/api/chat", json=guest.body("Hi"))
            await events.comments(2)
            refused = await guest.get(FEED)
            assert refused.status == 503
            assert "retry-after" in refused.headers
        await events.until("open", *ANSWERED)
    app.errors.clear()


async def unavailable(*_: Any, **__: Any) -> Changes:
    raise StoreUnavailable("Gone.")


@pytest.mark.promise("feed")
async def test_a_feed_with_a_gap_ends_so_that_its_reader_reconnects(
    app: App, guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = app.store.feed.changes

    async def forgetful(owner: str, after: str | None, *, wait: float = 0.0) -> Changes:
        return await changes(owner, None if wait else after)

    monkeypatch.setattr(app.store.feed, "changes", forgetful)
    async with feed(guest) as events:
        assert (await events.end()).types == ["open"]
