"""The cookie itself: its name over https, its keys, its age, and what does not count as one."""

from __future__ import annotations

import hashlib
from http.cookies import Morsel, SimpleCookie

import pytest
from itsdangerous import TimestampSigner
from starlette.requests import HTTPConnection

from durable_llm_streams.server import Principal
from durable_llm_streams.server.cookies import COOKIE, CookieSigner, cookie_name
from durable_llm_streams.server.visitors import Visitors
from tests.http.test_visitors import signed, untimed

pytestmark = pytest.mark.promise("owned")

DAY = 24 * 3600.0
NOW = 1_800_000_000.0
SECRET = b"k" * 32
FIRST, SECOND = b"first" * 8, b"second" * 8
PLAIN = cookie_name(SECRET)
HOST = f"__Host-{PLAIN}"


def request(scheme: str = "http", *, base: str = "", **cookies: str) -> HTTPConnection:
    """A request with these cookies, in their order; `host` is the name for https."""
    named = {HOST if name == "host" else name: value for name, value in cookies.items()}
    line = "; ".join(f"{name}={value}" for name, value in named.items())
    return HTTPConnection(
        {"type": "http", "scheme": scheme, "server": ("chat.example", 80), "path": f"{base}/",
         "root_path": base, "headers": [(b"cookie", line.encode())] if line else []}
    )  # fmt: skip


def visitors(
    *keys: bytes, age: float = 400 * DAY, now: float = NOW, since: float | None = None
) -> Visitors:
    return Visitors(SECRET, keys=keys, now=lambda: now, age=age, since=since)


def given(visitor: Principal) -> Morsel[str]:
    (morsel,) = SimpleCookie(visitor.headers["set-cookie"]).values()
    return morsel


async def test_over_https_no_other_host_can_set_the_cookie() -> None:
    """RFC 6265bis, section 4.1.3.2: Secure, Path=/, and no Domain."""
    new = given(await visitors()(request("https")))
    assert new.key == HOST
    assert (new["secure"], new["path"], new["domain"]) == (True, "/", "")
    line = (await visitors()(request("https"))).headers["set-cookie"]
    assert "domain" not in line.lower()


@pytest.mark.parametrize(("scheme", "base"), [("http", ""), ("http", "/a"), ("https", "/a")])
async def test_elsewhere_the_cookie_keeps_its_plain_name(scheme: str, base: str) -> None:
    new = given(await visitors()(request(scheme, base=base)))
    assert (new.key, new["path"]) == (PLAIN, base or "/")
    assert bool(new["secure"]) is (scheme == "https")


async def test_a_planted_plain_cookie_does_not_replace_that_of_the_visitor() -> None:
    victim = await visitors()(request("https"))
    theirs = await visitors()(request("https"))
    for planted in (given(theirs).value, signed("thief"), untimed("thief")):
        both = {PLAIN: planted, COOKIE: planted, "host": given(victim).value}
        assert (await visitors()(request("https", **both))).owner == victim.owner


async def test_the_value_of_a_host_cookie_is_worth_nothing_under_another_name() -> None:
    theirs = given(await visitors()(request("https"))).value
    for name in (PLAIN, COOKIE, f"{PLAIN}_x"):
        for scheme in ("http", "https"):
            assert (await visitors()(request(scheme, **{name: theirs}))).is_new


async def test_who_came_before_https_stays_the_same_visitor() -> None:
    plain = await visitors()(request())
    over_https = await visitors()(request("https", **{PLAIN: given(plain).value}))
    assert (over_https.owner, over_https.is_new) == (plain.owner, False)
    assert given(over_https).key == HOST
    both = {PLAIN: given(plain).value, "host": given(over_https).value}
    assert await visitors()(request("https", **both)) == Principal(plain.owner, "visitor")


@pytest.mark.parametrize("old", [untimed(), signed()], ids=["without-time", "sha-1"])
async def test_the_cookie_of_an_earlier_version_becomes_one_by_sha_256(old: str) -> None:
    for scheme, name in (("http", PLAIN), ("https", HOST)):
        found = await visitors()(request(scheme, **{PLAIN: old}))
        assert (found.owner, given(found).key) == ("visitor-1", name)
        assert given(found).value != old


def test_the_signature_is_an_hmac_of_sha_256() -> None:
    value = CookieSigner(SECRET, [], lambda: NOW).sign("ann", PLAIN)
    salt = f"{COOKIE} by SHA-256"
    own = TimestampSigner(SECRET, salt=salt, digest_method=hashlib.sha256)
    assert own.unsign(value) == b"ann"
    assert len(value.rpartition(".")[2]) == 43  # 32 bytes


@pytest.mark.parametrize("name", [HOST, f"{HOST}_x"], ids=["host", "host-of-other-sites"])
async def test_earlier_forms_do_not_count_under_the_new_name(name: str) -> None:
    for old in (untimed(), signed()):
        assert (await visitors()(request("https", **{name: old}))).is_new


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_keys_are_replaced_without_losing_anybody(scheme: str) -> None:
    name = PLAIN if scheme == "http" else HOST
    first = await visitors()(request(scheme))  # the store's secret
    value = given(first).value
    for keys in ((FIRST,), (SECOND, FIRST), (SECOND,)):
        found = await visitors(*keys)(request(scheme, **{name: value}))
        assert (found.owner, found.is_new) == (first.owner, False), keys
        if keys != (SECOND,):
            value = given(found).value  # signed by the first key at once
        again = await visitors(*keys)(request(scheme, **{name: value}))
        assert again == Principal(first.owner, "visitor")
    lost = await visitors(FIRST)(request(scheme, **{name: value}))
    assert lost.is_new, "a key that is no longer in the list is no key"


async def test_a_cookie_ends_on_the_server_too() -> None:
    cookie = given(await visitors()(request())).value
    for days, known in ((0, True), (399, True), (401, False), (-30, True)):
        found = await visitors(now=NOW + days * DAY)(request(**{PLAIN: cookie}))
        assert found.is_new is not known, days
    short = visitors(age=60, now=NOW + 61)
    assert (await short(request(**{PLAIN: cookie}))).is_new
    assert given(await short(request()))["max-age"] == "60"


async def test_a_cookie_without_a_time_ages_from_the_first_start_of_this_version() -> None:
    for days, known in ((0, True), (399, True), (401, False)):
        some = visitors(now=NOW + days * DAY, since=NOW)
        assert (await some(request(**{PLAIN: untimed()}))).is_new is not known, days


async def test_two_stores_with_the_same_keys_keep_apart() -> None:
    ours, theirs = (Visitors(secret, keys=[FIRST], now=lambda: NOW) for secret in (SECRET, FIRST))
    for scheme in ("http", "https"):
        mine = await ours(request(scheme))
        jar = {given(mine).key: given(mine).value}
        other = await theirs(request(scheme, **jar))
        assert other.is_new
        jar[given(other).key] = given(other).value
        assert len(jar) == 2
        assert await ours(request(scheme, **jar)) == Principal(mine.owner, "visitor")
        assert await theirs(request(scheme, **jar)) == Principal(other.owner, "visitor")
        assert [line.partition("=")[0] for line in ours.removed(request(scheme, **jar))] == [
            given(mine).key
        ]
