"""Whose is it? Cookies, hooks, and that nobody gets at what is not theirs."""

from __future__ import annotations

import itertools
from http.cookies import Morsel, SimpleCookie
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from itsdangerous import Signer, TimestampSigner
from starlette.requests import HTTPConnection

from durable_llm_streams.server import Unauthenticated, Visitor
from durable_llm_streams.server.visitors import COOKIE, anonymous, cookie_name
from tests.app import App, Guest, read_until, running_app, user

DAY = 24 * 3600
HTTPS = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7"}


SECRET = b"k" * 32
NAME = cookie_name(SECRET)


def connection(
    cookie: str | None = None, scheme: str = "http", name: str = NAME, **more: str
) -> HTTPConnection:
    """A request with one cookie, or with several, as a browser sends them."""
    pairs = [] if cookie is None else [(name, cookie)]
    line = "; ".join(f"{name}={value}" for name, value in [*pairs, *more.items()])
    headers = [(b"cookie", line.encode("latin-1"))] if line else []
    return HTTPConnection(
        {"type": "http", "scheme": scheme, "server": ("chat.example", 80), "path": "/",
         "headers": headers}
    )  # fmt: skip


def given(visitor: Visitor) -> Morsel[str]:
    """The one cookie of an answer."""
    (morsel,) = SimpleCookie(visitor.headers["set-cookie"]).values()
    return morsel


def cookie_of(visitor: Visitor) -> str:
    return given(visitor).value


@pytest.mark.promise("owned")
async def test_a_new_visitor_gets_a_cookie_that_scripts_cannot_read() -> None:
    visitor = await anonymous(SECRET)(connection())
    assert not visitor.known
    morsel = given(visitor)
    assert morsel["httponly"] is True
    assert morsel["samesite"] == "Lax"
    assert morsel["path"] == "/"
    assert int(morsel["max-age"]) == 365 * 24 * 3600
    assert morsel["domain"] == ""
    assert not morsel["secure"]
    assert len(visitor.owner) > 24


async def test_over_https_the_cookie_is_secure() -> None:
    visitor = await anonymous(b"k" * 32)(connection(scheme="https"))
    assert given(visitor)["secure"] is True


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
            morsel = given(visitor)
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
@pytest.mark.parametrize("is_timed", [True, False])
async def test_a_cookie_of_the_old_name_is_still_known_and_gets_the_new_one(is_timed: bool) -> None:
    timed, untimed = TimestampSigner(SECRET, salt=f"{COOKIE} with time"), Signer(SECRET, COOKIE)
    old = (timed if is_timed else untimed).sign("visitor-1").decode()
    visitor = await anonymous(SECRET)(connection(old, name=COOKIE))
    assert (visitor.owner, visitor.known) == ("visitor-1", True)
    assert given(visitor).key == NAME
    again = connection(cookie_of(visitor), **{COOKIE: old})
    assert await anonymous(SECRET)(again) == Visitor("visitor-1")


@pytest.mark.promise("owned")
async def test_servers_of_two_stores_on_one_host_leave_each_others_cookies_alone() -> None:
    other = b"o" * 32
    foreign = Signer(other, salt=COOKIE).sign("visitor-of-another").decode()
    jar = {COOKIE: foreign}
    owners: dict[bytes, str] = {}
    for secret in (SECRET, other, SECRET, other):
        visitor = await anonymous(secret)(connection(**jar))
        if "set-cookie" in visitor.headers:
            jar[given(visitor).key] = cookie_of(visitor)
        owners.setdefault(secret, visitor.owner)
        assert visitor.owner == owners[secret]
    assert owners[other] == "visitor-of-another"
    assert owners[SECRET] != owners[other]
    assert jar[COOKIE] == foreign
    assert set(jar) == {COOKIE, NAME, cookie_name(other)}


async def test_of_two_cookies_of_one_name_the_first_that_is_ours_counts() -> None:
    """A browser sends the one with the longest path first (RFC 6265, section 5.4)."""
    signer = TimestampSigner(SECRET, salt=f"{COOKIE} with time")
    longer, shorter = (signer.sign(f"visitor-{number}").decode() for number in (1, 2))
    for line in (f"{longer}; {NAME}={shorter}", f"broken; {NAME}={longer}"):
        assert (await anonymous(SECRET)(connection(line))).owner == "visitor-1"


async def test_where_other_sites_are_let_in_the_cookie_goes_with_their_requests() -> None:
    authenticate = anonymous(SECRET, cross_site=True)
    first = await authenticate(connection(scheme="https"))
    assert (given(first)["samesite"], given(first)["secure"]) == ("None", True)
    known = connection(cookie_of(first), "https", given(first).key)
    assert await authenticate(known) == Visitor(first.owner)
    plain = await authenticate(connection())
    assert given(plain)["samesite"] == "Lax"  # browsers refuse the other without https


async def test_a_cookie_from_before_other_sites_were_let_in_is_not_lost() -> None:
    own = await anonymous(SECRET)(connection(scheme="https"))
    shared = await anonymous(SECRET, cross_site=True)(connection(cookie_of(own), "https"))
    assert shared.owner == own.owner
    assert given(shared).key != NAME
    both = {NAME: cookie_of(own), given(shared).key: cookie_of(shared)}
    authenticate = anonymous(SECRET, cross_site=True)
    assert await authenticate(connection(scheme="https", **both)) == Visitor(own.owner)
    framed = await authenticate(connection(scheme="https"))  # the own one is kept back there
    both[given(shared).key] = cookie_of(framed)
    assert await authenticate(connection(scheme="https", **both)) == Visitor(own.owner)


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
    behind = running_app(tmp_path, proxies=["127.0.0.1"])
    async with behind as app, app.guest() as guest:
        assert "Secure" in (await guest.get("/api/chats", headers=HTTPS)).headers["set-cookie"]
    behind = running_app(tmp_path, proxies=["203.0.113.1"])
    async with behind as app, app.guest() as guest:
        assert "Secure" not in (await guest.get("/api/chats", headers=HTTPS)).headers["set-cookie"]


@pytest.mark.parametrize(
    ("headers", "secure"),
    [
        ({"X-Forwarded-Proto": "https, http"}, True),
        ({"X-Forwarded-Proto": "HTTPS"}, True),
        ({"X-Forwarded-Proto": " Https ,http"}, True),
        ({"X-Forwarded-Proto": "http, https"}, False),
        ({"X-Forwarded-Proto": "gopher"}, False),
        ({"X-Forwarded-Proto": ""}, False),
        ({"Forwarded": "for=192.0.2.60;proto=https;by=203.0.113.43"}, True),
        ({"Forwarded": 'For="[2001:db8::1]:80"; Proto="HTTPS", for=10.0.0.1;proto=http'}, True),
        ({"Forwarded": "for=192.0.2.60, proto=https"}, False),
        ({"X-Forwarded-Proto": "http", "Forwarded": "proto=https"}, False),
    ],
    ids=itertools.count(),
)
async def test_the_first_proxy_tells_the_scheme_that_the_browser_used(
    tmp_path: Path, headers: dict[str, str], secure: bool
) -> None:
    async with running_app(tmp_path, proxies=["127.0.0.1"]) as app, app.guest() as guest:
        cookie = (await guest.get("/api/chats", headers=headers)).headers["set-cookie"]
        assert ("Secure" in cookie) is secure


async def test_a_client_can_see_whether_its_cookie_comes_back(app: App, guest: Guest) -> None:
    for known in (False, True, True):
        reading = await guest.get("/api/visitor")
        assert (reading.status, reading.json) == (200, {"known": known})
        assert ("set-cookie" in reading.headers) is not known
        assert reading.headers["cache-control"] == "no-store"
    async with app.guest(cookie_jar=aiohttp.DummyCookieJar()) as forgetful:
        for _ in range(2):
            assert (await forgetful.get("/api/visitor")).json == {"known": False}


async def test_who_loses_the_cookie_and_with_it_the_chat_is_told_so(app: App, guest: Guest) -> None:
    async with app.guest(cookie_jar=aiohttp.DummyCookieJar()) as forgetful:
        assert (await forgetful.send(chat="mine")).status == 200
        lost = await forgetful.send(chat="mine")
        gone = await forgetful.get("/api/chats/mine")
        never = await forgetful.get("/api/chats/never")
    for reading in (lost, gone):
        assert reading.status == 404
        assert "cookie" in reading.json["detail"]
    assert gone.raw == never.raw
    await guest.get("/api/visitor")
    assert "cookie" not in (await guest.get("/api/chats/mine")).json["detail"]


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
    (cookie,) = SimpleCookie((await guest.send()).headers["set-cookie"]).values()
    forged = {"Cookie": f"{cookie.key}={cookie.value.rpartition('.')[0]}.{'A' * 27}"}
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
        await thief.get("/api/visitor")  # known from here on, so that all answers are of one kind
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
            assert mine.status == (204 if path == "/api/chat/@/stream" and not options else 404)
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
            assert (await ann.get("/api/visitor")).json == {"known": True}
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
                ("DELETE", "/api/chats/c1"), ("GET", "/api/events"), ("GET", "/api/visitor"),
            ):  # fmt: skip
                reading = await nobody.call(method, path)
                assert reading.status == 401
                assert reading.headers["content-type"] == "application/problem+json"
                assert reading.json["detail"] == "Sign in first."
            assert (await nobody.get("/readyz")).status == 200
