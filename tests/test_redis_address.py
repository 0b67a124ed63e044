"""Redis addresses: every form, every option, and what is said about those that are none."""

from __future__ import annotations

import re
from io import StringIO

import pytest
from rich.console import Console
from rich.pretty import Pretty

from durable_llm_streams.errors import InvalidSetting
from durable_llm_streams.stores import open_store, upstash_address
from durable_llm_streams.stores.redis import ECONOMY, PACE, RedisStore, Retention
from durable_llm_streams.stores.redis.client.address import Node, RedisAddress

parse = RedisAddress.parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("redis://h", RedisAddress(mode="single", nodes=(Node("h", 6379),))),
        ("  redis://h/\n", RedisAddress(mode="single", nodes=(Node("h", 6379),))),
        ("REDIS://h:7000/3", RedisAddress(mode="single", nodes=(Node("h", 7000),), db=3)),
        ("redis://h?db=3", RedisAddress(mode="single", nodes=(Node("h", 6379),), db=3)),
        ("redis://[::1]:7/0", RedisAddress(mode="single", nodes=(Node("::1", 7),))),
        ("redis://[fe80::1]", RedisAddress(mode="single", nodes=(Node("fe80::1", 6379),))),
        (
            "rediss://app:s3cret@redis.example.com:6380/2",
            RedisAddress(
                mode="single",
                nodes=(Node("redis.example.com", 6380),),
                tls=True,
                db=2,
                user="app",
                password="s3cret",
            ),
        ),
        (
            "unix:///run/redis.sock",
            RedisAddress(mode="unix", path="/run/redis.sock"),
        ),
        (
            "redis+unix://:pw@/run/a%20b.sock?db=4&prefix=x",
            RedisAddress(mode="unix", path="/run/a b.sock", db=4, password="pw", prefix="x"),
        ),
        (
            "redis+sentinel://u:p@a:1,b,[::1]:3/mymaster/5?sentinel_user=s&sentinel_password=q",
            RedisAddress(
                mode="sentinel",
                nodes=(Node("a", 1), Node("b", 26379), Node("::1", 3)),
                service="mymaster",
                db=5,
                user="u",
                password="p",
                sentinel_user="s",
                sentinel_password="q",
            ),
        ),
        (
            "rediss+sentinel://a/chats",
            RedisAddress(mode="sentinel", nodes=(Node("a", 26379),), service="chats", tls=True),
        ),
        (
            "redis+cluster://a:7000, b:7001,a:7000",
            RedisAddress(mode="cluster", nodes=(Node("a", 7000), Node("b", 7001)), partitions=16),
        ),
        (
            "rediss+cluster://:p@a/0?partitions=64",
            RedisAddress(
                mode="cluster", nodes=(Node("a", 6379),), tls=True, password="p", partitions=64
            ),
        ),
        (
            "rediss://h?ca=/etc/ca%2Bx.pem&cert=c.pem&key=k.pem&verify=none&timeout=2.5",
            RedisAddress(
                mode="single",
                nodes=(Node("h", 6379),),
                tls=True,
                ca="/etc/ca+x.pem",
                cert="c.pem",
                key="k.pem",
                verify="none",
                timeout=2.5,
            ),
        ),
    ],
)
def test_an_address_says_where_a_redis_is_and_how_to_speak_to_it(
    text: str, expected: RedisAddress
) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "user", "password"),
    [
        ("redis://:p@h", None, "p"),
        ("redis://u:@h", "u", ""),
        ("redis://u%3A1:p%40%2F%3F%25w@h", "u:1", "p@/?%w"),
        ("redis://u:p@ss@h", "u", "p@ss"),
        ("redis://u:a:b@h", "u", "a:b"),
        ("redis://u:p+w@h", "u", "p+w"),
        ("redis://:%C3%A9@h", None, "é"),
    ],
)
def test_a_password_may_hold_any_character(text: str, user: str | None, password: str) -> None:
    address = parse(text)
    assert (address.user, address.password) == (user, password)


@pytest.mark.promise("fit-store")
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "does not begin with"),
        ("localhost:6379", "does not begin with"),
        ("http://h", "does not begin with"),
        ("redis:/h", "does not begin with"),
        ("redis://", "no host"),
        ("redis:///0", "no host"),
        ("redis://:6379", "no host"),
        ("redis://a b", "host that no name can be"),
        ("redis://h:0", "port"),
        ("redis://h:65536", "port"),
        ("redis://h:", "port"),
        ("redis://h:six", "port"),
        ("redis://h:٣", "port"),
        ("redis://[::1", "IPv6"),
        ("redis://[::g]", "IPv6"),
        ("redis://[::1]7", "IPv6"),
        ("redis://a,b", "several servers"),
        ("redis://h/one", "database that is no number"),
        ("redis://h/-1", "database that is no number"),
        ("redis://h/1/2", "database that is no number"),
        ("redis://h/1?db=1", "database twice"),
        ("redis://user@h", "without a password"),
        ("redis://:%FF@h", "cannot be printed"),
        ("redis://:%00@h", "cannot be printed"),
        ("unix://", "names no socket"),
        ("unix://run/redis.sock", "names no socket"),
        ("unix:///run/redis.sock?db=x", "database that is no number"),
        ("redis+sentinel://a:1", "names no service"),
        ("redis+sentinel://a:1/", "names no service"),
        ("redis+sentinel://a:1//0", "names no service"),
        ("redis+sentinel://a:1/m/x", "database that is no number"),
        ("redis+sentinel://a,,b/m", "no host"),
        ("redis+cluster://a/1", "only database 0"),
        ("redis+cluster://a?db=2", "only database 0"),
        ("redis+cluster://a?partitions=0", "1 to 256"),
        ("redis+cluster://a?partitions=257", "1 to 256"),
        ("redis://h?partitions=2", "redis+cluster://"),
        ("redis://h?ssl_cert_reqs=none", "there are ca, cert, db"),
        ("redis://h?prefix", "without a value"),
        ("redis://h?prefix=", "without a value"),
        ("redis://h?prefix=a&prefix=b", "twice"),
        ("redis://h?prefix={a}", "other characters"),
        ("redis://h?prefix=a*", "other characters"),
        ("redis://h?prefix=" + "a" * 65, "other characters"),
        ("redis://h?ca=/x", "begin with rediss"),
        ("redis://h?verify=none", "begin with rediss"),
        ("rediss://h?key=/x", "but not cert"),
        ("rediss://h?verify=maybe", "neither full nor none"),
        ("redis://h?sentinel_password=x", "redis+sentinel://"),
        ("redis://h?timeout=0", "0.1 to 300"),
        ("redis://h?timeout=nan", "0.1 to 300"),
        ("redis://h?timeout=inf", "0.1 to 300"),
        ("redis://h?timeout=soon", "0.1 to 300"),
    ],
)
def test_an_invalid_address_error_explains_the_syntax(text: str, words: str) -> None:
    with pytest.raises(InvalidSetting, match=re.escape(words)) as caught:
        parse(text)
    assert "Write for example redis" in str(caught.value) or "Write for example unix" in str(
        caught.value
    )
    assert "\n" not in str(caught.value)


@pytest.mark.promise("no-secrets")
@pytest.mark.parametrize(
    "text",
    [
        "redis://u:s3cret@h:bad",
        "redis://u:s3cret/x@h",
        "redis://u:s3cret?x@h",
        "redis://u:s3cret@h h",
        "redis://u:s3cret@h?nothing=s3cret",
        "redis+sentinel://u:s3cret@h",
        "s3cret://u:s3cret@h",
        "redis+sentinel://h/m?sentinel_password=s3cret&timeout=never",
        "u:s3cret@h",
    ],
)
def test_no_refusal_shows_a_password(text: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        parse(text)
    assert "s3cret" not in str(caught.value)


@pytest.mark.promise("no-secrets")
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://h", "redis://h:6379/0"),
        ("rediss://u%3A:s3cret@h:1/2?verify=none", "rediss://u%3A:***@h:1/2"),
        ("redis://:s3cret@[::1]?prefix=x", "redis://:***@[::1]:6379/0?prefix=x"),
        ("unix://u:s3cret@/a/b?db=3&prefix=x", "redis+unix://u:***@/a/b?db=3&prefix=x"),
        (
            "redis+sentinel://a,b:1/m/2?sentinel_password=s3cret",
            "redis+sentinel://a:26379,b:1/m/2",
        ),
        ("rediss+cluster://u:s3cret@a,b:1", "rediss+cluster://u:***@a:6379,b:1"),
    ],
)
def test_an_address_as_text_shows_no_password(text: str, shown: str) -> None:
    address = parse(text)
    assert str(address) == address.redacted == shown
    screen = StringIO()
    Console(file=screen, width=200).print(Pretty(address))
    assert "s3cret" not in repr(address) + screen.getvalue() + f"{address}"


@pytest.mark.parametrize(
    "text",
    [
        "redis://h:1/2",
        "unix:///a/b?db=3&prefix=x",
        "redis+sentinel://a,[::1]:2/m/2",
        "rediss+cluster://a,b:1?prefix=y",
    ],
)
def test_an_address_as_text_is_that_address(text: str) -> None:
    assert parse(str(parse(text))) == parse(text)


@pytest.mark.promise("no-secrets")
@pytest.mark.parametrize("text", ["mysql://u:s3cret@h", "http://h?password=s3cret", "s3cret@:x"])
def test_what_is_no_stores_address_is_refused_without_its_password(text: str) -> None:
    with pytest.raises(InvalidSetting, match=r"Write sqlite:///PATH") as caught:
        open_store(text)
    assert "s3cret" not in str(caught.value)


def test_a_store_on_redis_keeps_and_spares_what_it_is_told_to() -> None:
    store = open_store("redis://h", log_age=1.0, chat_age=2.0)
    assert isinstance(store, RedisStore)
    assert store._shared.retention == Retention(log=1.0, chat=2.0)
    assert store.pace == PACE
    assert open_store("redis://h", economy=True).pace == ECONOMY


def test_a_hosted_database_is_known_by_its_rest_address_and_token() -> None:
    expected = parse("rediss://default:AbC%3D%3D@eu1-able-cat-12345.upstash.io:6379")
    for url in (
        "https://eu1-able-cat-12345.upstash.io",
        " https://EU1-able-cat-12345.upstash.io/ ",
        "https://eu1-able-cat-12345.upstash.io:443",
    ):
        assert parse(upstash_address(url, " AbC==\n")) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://able-cat.upstash.io",
        "https://upstash.io",
        "https://able-cat.upstash.io.example.com",
        "https://example.com/able-cat.upstash.io",
        "https://able-cat.upstash.io/pipeline",
        "https://able-cat.upstash.io:6379",
        "https://u:p@able-cat.upstash.io",
        "https://able_cat.upstash.io",
        "https://[::1",
        "rediss://able-cat.upstash.io",
    ],
)
def test_what_is_no_address_of_a_hosted_database_is_refused(url: str) -> None:
    with pytest.raises(InvalidSetting, match="UPSTASH_REDIS_REST_URL"):
        upstash_address(url, "token")


@pytest.mark.promise("no-secrets")
@pytest.mark.parametrize("token", ["", "  ", "two words", "to\x00ken", "tökén"])
def test_what_is_no_token_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(InvalidSetting, match="UPSTASH_REDIS_REST_TOKEN") as caught:
        upstash_address("https://able-cat.upstash.io", token)
    assert not token.strip() or token not in str(caught.value)
