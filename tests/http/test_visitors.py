"""Ownership: cookies, hooks, and no access to what belongs to others."""

from __future__ import annotations

from http.cookies import Morsel, SimpleCookie
from typing import Any

import aiohttp
import pytest
from itsdangerous import Signer, TimestampSigner
from starlette.requests import HTTPConnection

from durable_llm_streams.server import Principal, Unauthenticated
from durable_llm_streams.server.cookies import COOKIE, cookie_name
from durable_llm_streams.server.visitors import Visitors
from tests.app import App, Guest, read_until, user
from tests.http.conftest import app_with

DAY = 24 * 3600
HTTPS = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7"}


SECRET = b"k" * 32
NAME = cookie_name(SECRET)
TIMED = f"{COOKIE} with time"


def signed(owner: str = "visitor-1", *, secret: bytes = SECRET, salt: str = TIMED) -> str:
    """A cookie as the servers sign it."""
    return TimestampSigner(secret, salt=salt).sign(owner).decode()


def untimed(owner: str = "visitor-1", *, secret: bytes = SECRET, salt: str = COOKIE) -> str:
    """A cookie as earlier versions signed it."""
    return Signer(secret, salt=salt).sign(owner).decode()


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


def given(visitor: Principal) -> Morsel[str]:
    """The one cookie of an answer."""
    (morsel,) = SimpleCookie(visitor.headers["set-cookie"]).values()
    return morsel


def cookie_of(visitor: Principal) -> str:
    return given(visitor).value


@pytest.mark.promise("owned")
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_new_visitor_gets_a_cookie_that_scripts_cannot_read(scheme: str) -> None:
    visitor = await Visitors(SECRET)(connection(scheme=scheme))
    assert visitor.is_new
    morsel = given(visitor)
    assert (morsel["httponly"], morsel["samesite"], morsel["path"]) == (True, "Lax", "/")
    assert (int(morsel["max-age"]), morsel["domain"]) == (400 * DAY, "")
    assert bool(morsel["secure"]) is (scheme == "https")
    assert len(visitor.owner) > 24
    assert (await Visitors(SECRET)(connection())).owner != visitor.owner
    again = await Visitors(SECRET)(connection(cookie_of(visitor), scheme, given(visitor).key))
    assert again == Principal(visitor.owner, "visitor")


async def test_a_cookie_is_renewed_once_a_week_and_stays_the_same_visitors() -> None:
    clock = [1_800_000_000.0]
    authenticate = Visitors(b"k" * 32, now=lambda: clock[0])
    visitor = await authenticate(connection())
    owner, cookie = visitor.owner, cookie_of(visitor)
    for days, renewed in [
        (6.9, False), (0.2, True), (6.9, False), (300, True), (399, True), (-300, True),
    ]:  # fmt: skip
        clock[0] += days * DAY
        visitor = await authenticate(connection(cookie))
        assert visitor.owner == owner
        assert ("set-cookie" in visitor.headers) is renewed
        if renewed:
            morsel = given(visitor)
            assert (morsel["httponly"], int(morsel["max-age"])) == (True, 400 * DAY)
            assert morsel.value != cookie
            cookie = morsel.value


@pytest.mark.promise("owned")
@pytest.mark.parametrize(
    ("old", "name"), [(untimed(), NAME), (untimed(), COOKIE), (signed(), COOKIE)], ids=range(3)
)
async def test_a_cookie_of_an_earlier_version_is_known_and_replaced(old: str, name: str) -> None:
    visitor = await Visitors(SECRET)(connection(old, name=name))
    assert (visitor.owner, visitor.is_new, given(visitor).key) == ("visitor-1", False, NAME)
    again = connection(cookie_of(visitor), **{COOKIE: old})
    assert await Visitors(SECRET)(again) == Principal("visitor-1", "visitor")


@pytest.mark.promise("owned")
async def test_servers_of_two_stores_on_one_host_leave_each_others_cookies_alone() -> None:
    other = b"o" * 32
    foreign = untimed("visitor-of-another", secret=other)
    jar = {COOKIE: foreign}
    owners: dict[bytes, str] = {}
    for secret in (SECRET, other, SECRET, other):
        visitor = await Visitors(secret)(connection(**jar))
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
    longer, shorter = signed("visitor-1"), signed("visitor-2")
    for line in (f"{longer}; {NAME}={shorter}", f"broken; {NAME}={longer}"):
        assert (await Visitors(SECRET)(connection(line))).owner == "visitor-1"


async def test_where_other_sites_are_let_in_the_cookie_goes_with_their_requests() -> None:
    authenticate = Visitors(SECRET, cross_site=True)
    first = await authenticate(connection(scheme="https"))
    assert (given(first)["samesite"], given(first)["secure"]) == ("None", True)
    known = connection(cookie_of(first), "https", given(first).key)
    assert await authenticate(known) == Principal(first.owner, "visitor")
    plain = await authenticate(connection())
    assert given(plain)["samesite"] == "Lax"  # browsers refuse the other without https


async def test_a_cookie_from_before_other_sites_were_let_in_is_not_lost() -> None:
    own = await Visitors(SECRET)(connection(scheme="https"))
    shared = await Visitors(SECRET, cross_site=True)(
        connection(cookie_of(own), "https", given(own).key)
    )
    assert shared.owner == own.owner
    assert given(shared).key != given(own).key
    both = {given(own).key: cookie_of(own), given(shared).key: cookie_of(shared)}
    authenticate = Visitors(SECRET, cross_site=True)
    assert await authenticate(connection(scheme="https", **both)) == Principal(own.owner, "visitor")
    framed = await authenticate(connection(scheme="https"))  # the own one is kept back there
    both[given(shared).key] = cookie_of(framed)
    assert await authenticate(connection(scheme="https", **both)) == Principal(own.owner, "visitor")


@pytest.mark.promise("owned")
async def test_a_cookie_that_was_not_signed_here_counts_as_none() -> None:
    for cookie in (
        "", "visitor-1", "visitor-1.", ".", "visitor-1.AAAAAAAAAAAAAAAAAAAAAAAAAAA", "é\xff.\xff",
        untimed(secret=b"another key"), untimed(salt="another use"), untimed(salt=TIMED),
        signed(secret=b"another key"), signed(salt="another use"), signed()[1:], untimed()[:-1],
        "x" + untimed(), '"\\303\\377"', "x" * 8000,
    ):  # fmt: skip
        visitor = await Visitors(SECRET)(connection(cookie))
        assert visitor.owner not in ("", "visitor-1", "xvisitor-1"), cookie
        assert cookie_of(visitor) != cookie


@pytest.mark.promise("owned")
@pytest.mark.parametrize(
    ("app", "trusted"),
    [({}, False), ({"proxies": ["127.0.0.1"]}, True), ({"proxies": ["203.0.113.1"]}, False)],
    indirect=["app"],
    ids=["no proxy", "this proxy", "another proxy"],
)
async def test_the_header_of_a_proxy_is_not_trusted_unless_configured(
    guest: Guest, trusted: bool
) -> None:
    cookie = (await guest.get("/api/chats", headers=HTTPS)).headers["set-cookie"]
    assert ("Secure" in cookie) is trusted


@app_with(proxies=["127.0.0.1"])
async def test_the_first_proxy_names_the_scheme_that_the_browser_used(app: App) -> None:
    async with app.guest(cookie_jar=aiohttp.DummyCookieJar()) as guest:
        for proto, forwarded, secure in (
            ("https, http", None, True),
            ("HTTPS", None, True),
            (" Https ,http", None, True),
            ("http, https", None, False),
            ("gopher", None, False),
            ("", None, False),
            (None, "for=192.0.2.60;proto=https;by=203.0.113.43", True),
            (None, 'For="[2001:db8::1]:80"; Proto="HTTPS", for=10.0.0.1;proto=http', True),
            (None, "for=192.0.2.60, proto=https", False),
            ("http", "proto=https", False),
        ):
            headers = {"X-Forwarded-Proto": proto, "Forwarded": forwarded}
            sent = {name: value for name, value in headers.items() if value is not None}
            cookie = (await guest.get("/api/chats", headers=sent)).headers["set-cookie"]
            assert ("Secure" in cookie) is secure, sent


async def test_a_client_can_see_whether_its_cookie_comes_back(app: App, guest: Guest) -> None:
    for known in (False, True, True):
        reading = await guest.get("/api/visitor")
        assert (reading.status, reading.json) == (200, {"known": known})
        assert ("set-cookie" in reading.headers) is not known
        assert reading.headers["cache-control"] == "no-store"
    async with app.guest(cookie_jar=aiohttp.DummyCookieJar()) as forgetful:
        for _ in range(2):
            assert (await forgetful.get("/api/visitor")).json == {"known": False}


async def test_a_lost_cookie_and_with_it_the_chat_is_reported(app: App, guest: Guest) -> None:
    async with app.guest(cookie_jar=aiohttp.DummyCookieJar()) as forgetful:
        assert (await forgetful.send(chat="mine")).status == 200
        lost = await forgetful.post({"id": "mine", "trigger": "regenerate-message"})
        gone = await forgetful.get("/api/chats/mine")
        never = await forgetful.get("/api/chats/never")
    for reading in (lost, gone):
        assert reading.status == 404
        assert "cookie" in reading.json["detail"]
    assert gone.raw == never.raw
    await guest.get("/api/visitor")
    assert "cookie" not in (await guest.get("/api/chats/mine")).json["detail"]


async def test_any_first_response_sets_the_cookie(app: App) -> None:
    body = {"json": {"id": "mine", "message": user("m1", "Hi")}}
    for method, path, sent in (
        ("GET", "/api/chats", {}), ("GET", "/api/models", {}), ("POST", "/api/chat", body),
    ):  # fmt: skip
        async with app.guest() as guest:
            assert "set-cookie" in (await guest.call(method, path, **sent)).headers, path
            assert "set-cookie" not in (await guest.get("/api/chats")).headers


@pytest.mark.promise("owned")
@pytest.mark.parametrize("active", [True, False])
async def test_foreign_chats_look_like_missing_ones(app: App, guest: Guest, active: bool) -> None:
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
        assert (await thief.get("/api/chats")).json["chats"] == []
        app.script.free()
        for chat in ("c1", "unknown"):  # a message makes a chat of one's own, with either id
            own = await thief.send("Mine", chat=chat, message_id="m1")
            assert (own.status, own.headers["x-run-id"] == run) == (200, False), chat
            assert await thief.said(chat) == [("user", "Mine"), ("assistant", "Hello, world.")]
        if active:
            end = await read_until(response, lambda reading: reading.done)
            assert end.end == "finish"
    assert await guest.said() == [("user", "Mine"), ("assistant", "Hello, world.")]
    assert (await guest.chat())["title"] == "Mine"


@pytest.mark.promise("owned")
async def test_a_run_of_another_own_chat_does_not_open_a_foreign_chat(
    app: App, guest: Guest
) -> None:
    await guest.send(chat="c1")
    async with app.guest() as stranger:
        theirs = await stranger.send(chat="c2")
    for method, path, found, unknown in (
        ("GET", "stream?after=", theirs.ids[0], "nosuchrun.00000001.abcd"),
        ("POST", "stop?run=", theirs.headers["x-run-id"], "nosuchrun"),
    ):
        one, other = [await guest.call(method, f"/api/chat/c1/{path}{x}") for x in (found, unknown)]
        assert (one.status, one.json["type"]) == (other.status, other.json["type"]), path


async def by_header(connection: HTTPConnection) -> Principal:
    """A hook of an application."""
    name = connection.headers.get("x-user")
    if not name:
        raise Unauthenticated("Sign in first.")
    return Principal(name, headers={"x-greeting": name})


@pytest.mark.promise("owned")
@app_with(authenticate=by_header)
async def test_a_hook_names_the_owner_and_adds_to_every_response(app: App) -> None:
    async with app.guest(headers={"X-User": "ann"}) as ann, app.guest() as nobody:
        sent = await ann.send(message_id="m1")
        assert (sent.headers["x-greeting"], sent.headers.get("set-cookie")) == ("ann", None)
        follow = "/api/chat/c1/stream"
        for method, path, status, body in (
            ("GET", "/api/visitor", 200, None), ("GET", "/api/models", 200, None),
            ("GET", "/api/chats", 200, None), ("GET", "/api/chats/c1", 200, None),
            ("GET", "/api/events", 200, None), ("GET", follow, 204, None),
            ("GET", f"{follow}?after={sent.ids[-1]}", 204, None),
            ("GET", f"{follow}?after={sent.ids[0]}", 200, None),
            ("POST", "/api/chat", 200, ann.body("Two")), ("POST", "/api/chat/c1/stop", 200, None),
            ("PATCH", "/api/chats/c1", 200, {"title": "x"}), ("DELETE", "/api/chats/c1", 204, None),
        ):  # fmt: skip
            refused = await nobody.call(method, path, json=body)
            assert (refused.status, refused.json["detail"]) == (401, "Sign in first."), path
            async with await ann.open(method, path, json=body) as response:
                assert (response.status, response.headers["x-greeting"]) == (status, "ann"), path
        assert (await ann.get("/api/visitor")).json == {"known": True}
        assert (await nobody.get("/readyz")).status == 200
        await ann.send()
        async with app.guest(headers={"X-User": "bob"}) as bob:
            assert (await bob.get("/api/chats/c1")).status == 404
