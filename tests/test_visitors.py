"""Whose is it? Cookies, hooks, and that nobody gets at what is not theirs."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest
from itsdangerous import Signer, TimestampSigner
from starlette.requests import HTTPConnection

from durable_llm_streams.server import Unauthenticated, Visitor
from durable_llm_streams.server.visitors import COOKIE, anonymous
from tests.app import App, Guest, read_until, running_app, user

DAY = 24 * 3600
HTTPS = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7"}


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    async with running_app(tmp_path) as app:
        yield app


@pytest.fixture
async def guest(app: App) -> AsyncIterator[Guest]:
    async with app.guest() as guest:
        yield guest


def connection(cookie: str | None = None, scheme: str = "http") -> HTTPConnection:
    headers = [] if cookie is None else [(b"cookie", f"{COOKIE}={cookie}".encode("latin-1"))]
    return HTTPConnection(
        {"type": "http", "scheme": scheme, "server": ("chat.example", 80), "path": "/",
         "headers": headers}
    )  # fmt: skip


def cookie_of(visitor: Visitor) -> str:
    return SimpleCookie(visitor.headers["set-cookie"])[COOKIE].value


@pytest.mark.promise("owned")
async def test_a_new_visitor_gets_a_cookie_that_scripts_cannot_read() -> None:
    visitor = await anonymous(b"k" * 32)(connection())
    morsel = SimpleCookie(visitor.headers["set-cookie"])[COOKIE]
    assert morsel["httponly"] is True
    assert morsel["samesite"] == "Lax"
    assert morsel["path"] == "/"
    assert int(morsel["max-age"]) == 365 * 24 * 3600
    assert morsel["domain"] == ""
    assert not morsel["secure"]
    assert len(visitor.owner) > 24


async def test_over_https_the_cookie_is_secure() -> None:
    visitor = await anonymous(b"k" * 32)(connection(scheme="https"))
    assert SimpleCookie(visitor.headers["set-cookie"])[COOKIE]["secure"] is True


async def test_a_cookie_is_known_again_by_every_server_of_the_store() -> None:
    first = await anonymous(b"k" * 32)(connection())
    again = await anonymous(b"k" * 32)(connection(cookie_of(first)))
    assert again == Visitor(first.owner)


@pytest.mark.promise("owned")
async def test_no_two_visitors_are_the_same() -> None:
    authenticate = anonymous(b"k" * 32)
    owners = {(await authenticate(connection())).owner for _ in range(100)}
    assert len(owners) == 100


async def test_a_cookie_is_renewed_once_a_week_and_stays_the_same_visitors() -> None:
    clock = [1_800_000_000.0]
    authenticate = anonymous(b"k" * 32, now=lambda: clock[0])
    visitor = await authenticate(connection())
    owner, cookie = visitor.owner, cookie_of(visitor)
    for days, renewed in [(6.9, False), (0.2, True), (6.9, False), (300, True), (3000, True)]:
        clock[0] += days * DAY
        visitor = await authenticate(connection(cookie))
        assert visitor.owner == owner
        assert ("set-cookie" in visitor.headers) is renewed
        if renewed:
            morsel = SimpleCookie(visitor.headers["set-cookie"])[COOKIE]
            assert (morsel["httponly"], int(morsel["max-age"])) == (True, 365 * DAY)
            assert morsel.value != cookie
            cookie = morsel.value


async def test_a_cookie_from_the_future_is_renewed() -> None:
    early = await anonymous(b"k" * 32, now=lambda: 1_900_000_000.0)(connection())
    late = await anonymous(b"k" * 32, now=lambda: 1_800_000_000.0)(connection(cookie_of(early)))
    assert late.owner == early.owner
    assert "set-cookie" in late.headers


async def test_a_cookie_without_a_time_is_still_known_and_is_renewed() -> None:
    old = Signer(b"k" * 32, salt=COOKIE).sign("visitor-1").decode()
    visitor = await anonymous(b"k" * 32)(connection(old))
    assert visitor.owner == "visitor-1"
    assert await anonymous(b"k" * 32)(connection(cookie_of(visitor))) == Visitor("visitor-1")


@pytest.mark.promise("owned")
@pytest.mark.parametrize(
    "cookie",
    [
        "",
        "visitor-1",
        "visitor-1.",
        ".",
        "visitor-1.AAAAAAAAAAAAAAAAAAAAAAAAAAA",
        Signer(b"another key", salt=COOKIE).sign("visitor-1").decode(),
        Signer(b"k" * 32, salt="another use").sign("visitor-1").decode(),
        Signer(b"k" * 32, salt=COOKIE).sign("visitor-1").decode()[:-1],
        TimestampSigner(b"another key", salt=f"{COOKIE} with time").sign("visitor-1").decode(),
        TimestampSigner(b"k" * 32, salt="another use").sign("visitor-1").decode(),
        TimestampSigner(b"k" * 32, salt=f"{COOKIE} with time").sign("visitor-1").decode()[1:],
        Signer(b"k" * 32, salt=f"{COOKIE} with time").sign("visitor-1").decode(),
        "x" + Signer(b"k" * 32, salt=COOKIE).sign("visitor-1").decode(),
        "é\xff.\xff",
        '"\\303\\377"',
        "x" * 8000,
    ],
    ids=itertools.count(),  # some hold the time
)
async def test_a_cookie_that_was_not_signed_here_counts_as_none(cookie: str) -> None:
    visitor = await anonymous(b"k" * 32)(connection(cookie))
    assert visitor.owner not in ("", "visitor-1", "xvisitor-1")
    assert cookie_of(visitor) != cookie


@pytest.mark.promise("owned")
async def test_the_header_of_a_proxy_is_not_trusted_unless_the_server_is_told_to(
    tmp_path: Path,
) -> None:
    async with running_app(tmp_path) as app, app.guest() as guest:
        assert "Secure" not in (await guest.get("/api/chats", headers=HTTPS)).headers["set-cookie"]
    behind = running_app(tmp_path, proxy_headers=True, forwarded_allow_ips="127.0.0.1")
    async with behind as app, app.guest() as guest:
        assert "Secure" in (await guest.get("/api/chats", headers=HTTPS)).headers["set-cookie"]


async def test_the_cookie_comes_with_the_first_answer_whichever_it_is(app: App) -> None:
    for method, path in (("GET", "/api/chats"), ("GET", "/api/models")):
        async with app.guest() as guest:
            assert "set-cookie" in (await guest.call(method, path)).headers
            assert "set-cookie" not in (await guest.call(method, path)).headers
    async with app.guest() as guest:
        assert "set-cookie" in (await guest.send(chat="mine")).headers
        assert "set-cookie" not in (await guest.get("/api/chats/mine")).headers


@pytest.mark.promise("owned")
async def test_a_forged_cookie_opens_nothing_and_is_replaced(app: App, guest: Guest) -> None:
    owner = SimpleCookie((await guest.send()).headers["set-cookie"])[COOKIE].value
    forged = {"Cookie": f"{COOKIE}={owner.rpartition('.')[0]}.{'A' * 27}"}
    async with app.guest() as thief:
        reading = await thief.get("/api/chats", headers=forged)
        assert reading.json["chats"] == []
        assert "set-cookie" in reading.headers


@pytest.mark.promise("owned")
@pytest.mark.parametrize("active", [True, False])
async def test_what_is_not_yours_looks_like_what_is_not_there(
    app: App, guest: Guest, active: bool
) -> None:
    if active:
        app.script.hold()
    async with (
        await guest.start("Mine", chat="c1", message_id="m1") as response,
        app.guest() as thief,
    ):
        reading = await read_until(response, lambda r: bool(r.records) if active else r.done)
        run, cursor = response.headers["x-run-id"], reading.ids[0]
        calls: list[tuple[str, str, dict[str, Any]]] = [
            ("GET", "/api/chats/@", {}),
            ("GET", "/api/chats/@?leaf=m1", {}),
            ("GET", "/api/chat/@/stream", {}),
            ("GET", f"/api/chat/@/stream?after={cursor}", {}),
            ("GET", "/api/chat/@/stream", {"headers": {"Last-Event-ID": cursor}}),
            ("POST", "/api/chat/@/stop", {}),
            ("POST", f"/api/chat/@/stop?run={run}", {}),
            ("PATCH", "/api/chats/@", {"json": {"title": "Stolen"}}),
            ("DELETE", "/api/chats/@", {}),
            ("POST", "/api/chat", {"trigger": "regenerate-message"}),
            ("POST", "/api/chat", {"trigger": "regenerate-message", "messageId": "m1"}),
            ("POST", "/api/chat", {"message": user("m2", "Stolen"), "messageId": "m1"}),
        ]  # fmt: skip
        for method, path, options in calls:
            answers = []
            for chat in ("c1", "unknown"):
                more = {"json": {"id": chat, **options}} if path == "/api/chat" else options
                answers.append(await thief.call(method, path.replace("@", chat), **more))
            mine, unknown = answers
            assert (mine.status, mine.raw) == (unknown.status, unknown.raw), (method, path)
            assert mine.status == 404, (method, path)
        for body in ({"message": user("m1", "Mine")}, {"message": user("t1", "Hello?")}):
            assert (await thief.post({"id": "c1", **body})).status == 404
        assert (await thief.get("/api/chats")).json["chats"] == []
        app.script.free()
        if active:
            end = await read_until(response, lambda reading: reading.done)
            assert end.end == "finish"
    assert await guest.said() == [("user", "Mine"), ("assistant", "Hello, world.")]
    assert (await guest.chat())["title"] == "Mine"


@pytest.mark.promise("owned")
async def test_a_run_of_ones_own_other_chat_does_not_open_somebody_elses(
    app: App, guest: Guest
) -> None:
    mine = await guest.send(chat="c1")
    async with app.guest() as other:
        theirs = await other.send(chat="c2")
        reading = await guest.get(f"/api/chat/c1/stream?after={theirs.ids[0]}")
        unknown = await guest.get("/api/chat/c1/stream?after=nosuchrun.00000001.abcd")
        assert (reading.status, reading.raw) == (unknown.status, unknown.raw)
        run = theirs.headers["x-run-id"]
        reading = await guest.call("POST", f"/api/chat/c1/stop?run={run}")
        unknown = await guest.call("POST", "/api/chat/c1/stop?run=nosuchrun")
        assert (reading.status, unknown.status) == (404, 404)
        assert mine.headers["x-run-id"] != run


@pytest.mark.promise("owned")
async def test_a_hook_tells_who_asks(tmp_path: Path) -> None:
    async def by_header(connection: HTTPConnection) -> Visitor:
        name = connection.headers.get("x-user")
        if not name:
            raise Unauthenticated("Sign in first.")
        return Visitor(name, {"x-greeting": name})

    async with running_app(tmp_path, authenticate=by_header) as app:
        async with app.guest(headers={"X-User": "ann"}) as ann:
            reading = await ann.send()
            assert reading.headers["x-greeting"] == "ann"
            assert "set-cookie" not in reading.headers
        async with app.guest(headers={"X-User": "bob"}) as bob:
            assert (await bob.get("/api/chats/c1")).status == 404
        async with app.guest() as nobody:
            for method, path in (
                ("GET", "/api/chats"), ("GET", "/api/chats/c1"), ("GET", "/api/models"),
                ("POST", "/api/chat"), ("GET", "/api/chat/c1/stream"),
                ("POST", "/api/chat/c1/stop"), ("PATCH", "/api/chats/c1"),
                ("DELETE", "/api/chats/c1"), ("GET", "/api/events"),
            ):  # fmt: skip
                reading = await nobody.call(method, path)
                assert reading.status == 401
                assert reading.headers["content-type"] == "application/problem+json"
                assert reading.json["detail"] == "Sign in first."
            assert (await nobody.get("/readyz")).status == 200
