"""Signing out, here and everywhere, and continuing on another device."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from starlette.requests import HTTPConnection
from yarl import URL

from durable_llm_streams.errors import StoreUnavailable
from durable_llm_streams.runs import Worker
from durable_llm_streams.server import Principal, create_app
from durable_llm_streams.server import sign_outs as server_sign_outs
from durable_llm_streams.server.devices import LINK_SECONDS
from durable_llm_streams.server.open_streams import OpenStreams, StreamVisitor
from durable_llm_streams.server.sign_outs import MARGIN_SECONDS, RECHECK_SECONDS, SignOuts
from durable_llm_streams.store import Link
from durable_llm_streams.stores.sqlite import SQLiteStore
from tests.app import CONFIG, App, Guest, read_rest, read_until, running_app, serving
from tests.faulty_store import FaultyStore
from tests.http.conftest import app_with

pytestmark = pytest.mark.promise("owned")

OUT, LINKS, USE = "/api/visitor/sign-out", "/api/visitor/links", "/api/visitor/links/use"


async def sign_out(guest: Guest, *, everywhere: bool = False) -> None:
    done = await guest.call("POST", OUT, json={"everywhere": everywhere})
    assert done.status == 204, done.raw


async def link_of(guest: Guest) -> str:
    made = await guest.call("POST", LINKS)
    assert (made.status, made.json["expires_in"]) == (200, LINK_SECONDS)
    token: str = made.json["token"]
    return token


async def use(guest: Guest, token: Any) -> Any:
    return await guest.call("POST", USE, json={"token": token})


async def chats(guest: Guest) -> list[str]:
    return [chat["id"] for chat in (await guest.get("/api/chats")).json["chats"]]


def cookies_of(guest: Guest) -> dict[str, str]:
    """What the browser keeps."""
    return {morsel.key: morsel.value for morsel in guest.session.cookie_jar}


@asynccontextmanager
async def copy_of(app: App, guest: Guest) -> AsyncIterator[Guest]:
    """Somebody who has a copy of a visitor's cookie, such as another browser."""
    async with app.guest() as other:
        other.session.cookie_jar.update_cookies(cookies_of(guest), URL(guest.url))
        yield other


async def test_signing_out_deletes_the_cookie_of_this_browser_alone(app: App, guest: Guest) -> None:
    await guest.send(chat="c1")
    async with copy_of(app, guest) as other:
        await sign_out(guest)
        assert cookies_of(guest) == {}
        assert await chats(guest) == []
        assert await chats(other) == ["c1"]


async def test_signing_out_everywhere_ends_every_copy_of_the_cookie(app: App, guest: Guest) -> None:
    await guest.send(chat="c1")
    async with copy_of(app, guest) as other, app.guest() as stranger:
        await stranger.send(chat="c2")
        await sign_out(other, everywhere=True)
        for one in (guest, other):
            assert (await one.get("/api/chats/c1")).status == 404
            assert await chats(one) == []
        assert await chats(stranger) == ["c2"]


async def test_without_a_cookie_there_is_nothing_to_sign_out(app: App, guest: Guest) -> None:
    for everywhere in (False, True):
        done = await guest.call("POST", OUT, json={"everywhere": everywhere})
        assert (done.status, "set-cookie" in done.headers) == (204, False)


async def test_open_streams_end_at_once_when_their_reader_signs_out_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_sign_outs, "RECHECK_SECONDS", 1e6)  # nothing else ends them
    async with (
        running_app(tmp_path) as app,
        app.guest() as guest,
        app.guest() as stranger,
        await stranger.open("GET", "/api/events") as theirs,
    ):
        await stranger.send(chat="c2")
        app.script.hold()
        await guest.get("/api/visitor")
        answer = await guest.start("Hi", chat="c1")
        feed = await guest.open("GET", "/api/events")
        await read_until(answer)
        await read_until(feed)
        await read_until(theirs)
        await sign_out(guest, everywhere=True)
        assert not (await read_rest(answer)).done, "the answer itself goes on"
        await read_rest(feed)
        await stranger.call("PATCH", "/api/chats/c2", json={"title": "Mine"})
        await read_until(theirs, lambda reading: b"Mine" in reading.raw)
        app.script.free()


async def test_a_sign_out_reaches_other_processes_and_their_streams(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two applications over one store, as two processes on Redis have it."""
    assert RECHECK_SECONDS + MARGIN_SECONDS > 15 > 2 * RECHECK_SECONDS
    monkeypatch.setattr(server_sign_outs, "RECHECK_SECONDS", 0.05)
    async with running_app(tmp_path) as app, app.guest() as guest:
        worker = Worker(app.store, app.script, name="second")
        second = create_app(app.store, worker, CONFIG, ui=None)
        await guest.send(chat="c1")
        async with serving(second, worker) as (url, _, _), app.guest() as session:
            elsewhere = Guest(url, session.session)
            elsewhere.session.cookie_jar.update_cookies(cookies_of(guest), URL(guest.url))
            async with await elsewhere.open("GET", "/api/events") as feed:
                await read_until(feed)
                await sign_out(guest, everywhere=True)
                await read_rest(feed)
            assert (await elsewhere.get("/api/chats/c1")).status == 404


async def test_a_link_hands_the_visitor_on_to_another_browser(app: App, guest: Guest) -> None:
    await guest.send(chat="c1")
    token = await link_of(guest)
    async with app.guest() as phone:
        await phone.get("/api/visitor")
        used = await use(phone, token)
        assert (used.status, used.json) == (200, {"known": True})
        assert used.headers["cache-control"] == "no-store"
        assert await chats(phone) == await chats(guest) == ["c1"]
        await phone.send("From here", chat="c1", message_id="m9")
    assert ("user", "From here") in await guest.said()


async def test_a_link_is_used_once_however_many_use_it_at_once(app: App, guest: Guest) -> None:
    await guest.send(chat="c1")
    token = await link_of(guest)
    async with app.guest() as one, app.guest() as other:
        answers = await asyncio.gather(*(use(each, token) for each in (one, other) * 5))
        assert sorted(answer.status for answer in answers) == [200] + [404] * 9
        late = await use(other, token)
        assert late.status == 404
        assert "older than a minute" in late.json["detail"]


async def test_a_newer_link_replaces_the_earlier_one(app: App, guest: Guest) -> None:
    first, second = await link_of(guest), await link_of(guest)
    async with app.guest() as phone:
        assert (await use(phone, first)).status == 404
        assert (await use(phone, second)).status == 200


async def test_a_link_is_valid_for_a_minute(app: App, guest: Guest) -> None:
    now = await app.store.visitors.now()
    for seconds, status in ((LINK_SECONDS - 5, 200), (LINK_SECONDS + 5, 404)):
        token = f"{seconds:022d}"
        digest = hashlib.sha256(token.encode()).hexdigest()
        link = Link("visitor-1", now - seconds * 1000)
        await app.store.visitors.keep_link(digest, link, seconds=1000)
        assert (await use(guest, token)).status == status


async def test_a_link_ends_when_its_maker_signs_out_everywhere(app: App, guest: Guest) -> None:
    token = await link_of(guest)
    await sign_out(guest, everywhere=True)
    async with app.guest() as phone:
        assert (await use(phone, token)).status == 404


async def test_the_store_holds_no_token(app: App, guest: Guest) -> None:
    token = await link_of(guest)
    rows = app.store.file.connection.execute("SELECT * FROM link").fetchall()
    assert len(rows) == 1
    assert token not in str(rows)
    assert hashlib.sha256(token.encode()).hexdigest() in str(rows)
    assert len({await link_of(guest) for _ in range(20)}) == 20


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (OUT, b"", 400), (OUT, b"[]", 400), (OUT, b'{"everywhere": 1}', 400),
        (OUT, b'{"everywhere": "yes"}', 400), (OUT, b"{" * 900, 400), (OUT, b" " * 2000, 413),
        (USE, b"{}", 400), (USE, b'{"token": null}', 400), (USE, b'{"token": ""}', 400),
        (USE, b'{"token": "%s"}' % (b"a" * 23), 400), (USE, b'{"token": "\xff"}', 400),
        (USE, b'{"token": "%s"}' % (b"a" * 22), 404), (USE, b"x" * 2000, 413),
        (USE, b'{"token": "aaaaaaaaaaaaaaaaaaaaa\\n"}', 400),
    ],
)  # fmt: skip
async def test_a_wrong_body_is_refused_in_a_sentence(
    app: App, guest: Guest, path: str, body: bytes, status: int
) -> None:
    await guest.send(chat="c1")
    json = {"Content-Type": "application/json"}
    refused = await guest.call("POST", path, data=body, headers=json)
    assert refused.status == status, refused.raw
    assert refused.json["detail"].endswith(".")
    form = await guest.call("POST", path, data=body, headers={"Content-Type": "text/plain"})
    assert form.status == 415, "a page of another site can send this without asking"
    assert await chats(guest) == ["c1"]


async def by_header(_: HTTPConnection) -> Principal:
    return Principal("ann")


@app_with(authenticate=by_header)
async def test_where_an_application_signs_in_there_is_nothing_to_hand_on(app: App) -> None:
    async with app.guest() as ann:
        for path, body in ((OUT, {"everywhere": True}), (LINKS, {}), (USE, {"token": "a" * 22})):
            refused = await ann.call("POST", path, json=body)
            assert refused.status == 404
            assert "application signs its users" in refused.json["detail"]


@app_with(proxies=["127.0.0.1"])
async def test_over_https_every_cookie_of_ours_is_deleted_and_no_other(app: App) -> None:
    https = {"X-Forwarded-Proto": "https"}
    async with app.guest() as guest:
        plain = (await guest.get("/api/visitor")).headers["set-cookie"].partition(";")[0]
        found = await guest.get("/api/visitor", headers=https)
        host = found.headers["set-cookie"].partition(";")[0]
        sent = {**https, "Cookie": f"{plain}; {host}; dls_visitor=another; theme=dark"}
    deleted = SimpleCookie()
    async with (
        app.guest() as guest,
        await guest.open("POST", OUT, json={}, headers=sent) as done,
    ):
        for line in done.headers.getall("set-cookie"):
            deleted.load(line)
    assert {morsel.key for morsel in deleted.values()} == {
        each.partition("=")[0] for each in (plain, host)
    }
    for morsel in deleted.values():
        assert (morsel["max-age"], morsel["path"], morsel["secure"]) == ("0", "/", True)


class Clock:
    """A monotonic clock that stands until it is moved."""

    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


async def test_the_store_is_asked_once_in_five_seconds_for_a_visitor(tmp_path: Path) -> None:
    real = SQLiteStore(tmp_path / "chats.db")
    store, clock = FaultyStore(real), Clock()
    sign_outs = SignOuts(store.visitors, 1000, monotonic=clock)
    await sign_outs.open()
    for _ in range(100):
        assert await sign_outs.not_before("ann") == 0
    assert store.calls.count("signed_out") == 1
    clock.seconds += RECHECK_SECONDS - 0.1
    await real.visitors.sign_out("ann", 5_000, forget=0)
    assert await sign_outs.not_before("ann") == 0
    clock.seconds += 0.2
    assert await sign_outs.not_before("ann") == 5
    assert store.calls.count("signed_out") == 2
    await real.close()


async def test_what_is_not_known_to_be_signed_in_is_refused(tmp_path: Path) -> None:
    real = SQLiteStore(tmp_path / "chats.db")
    store, clock = FaultyStore(real), Clock()
    sign_outs = SignOuts(store.visitors, 1000, monotonic=clock)
    await sign_outs.open()
    await real.visitors.sign_out("ann", 5_000, forget=0)
    assert await sign_outs.not_before("ann") == 5
    store.down = True
    clock.seconds += 100
    assert await sign_outs.not_before("ann") == 5, "what was known before still counts"
    with pytest.raises(StoreUnavailable):
        await sign_outs.not_before("bob")
    await real.close()


async def test_one_call_asks_for_all_open_streams(tmp_path: Path) -> None:
    real = SQLiteStore(tmp_path / "chats.db")
    store = FaultyStore(real)
    sign_outs = SignOuts(store.visitors, 1000)
    await sign_outs.open()
    streams = OpenStreams()
    await sign_outs.end_streams(streams)
    assert "signed_out" not in store.calls
    forever = asyncio.Event()
    tasks = [asyncio.create_task(_wait(forever)) for _ in range(400)]
    for number, task in enumerate(tasks):
        streams.add(task, visitor=StreamVisitor(f"v{number}", 4.0))
    await real.visitors.sign_out("v7", 5_000, forget=0)
    await sign_outs.end_streams(streams)
    assert store.calls.count("signed_out") == 1
    assert [number for number, task in enumerate(tasks) if streams.is_ending(task)] == [7]
    forever.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert [number for number, task in enumerate(tasks) if task.cancelled()] == [7]
    await real.close()


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


async def test_the_age_of_a_cookie_is_a_setting(tmp_path: Path) -> None:
    config = structs.replace(CONFIG, cookie_age=100.0)
    async with running_app(tmp_path, config) as app, app.guest() as guest:
        first = await guest.get("/api/visitor")
        assert "Max-Age=100;" in first.headers["set-cookie"]
