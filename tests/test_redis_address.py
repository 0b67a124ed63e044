"""Redis addresses: every form, every option, and what is said about those that are none."""

from __future__ import annotations

import re
from io import StringIO
from typing import Any

import pytest
from rich.console import Console
from rich.pretty import Pretty

from durable_llm_streams.errors import InvalidSetting
from durable_llm_streams.store import Retention
from durable_llm_streams.stores import open_store, upstash_address
from durable_llm_streams.stores.redis import RedisStore
from durable_llm_streams.stores.redis.client.address import Mode, Node, RedisAddress
from durable_llm_streams.stores.redis.store import ECONOMY, PACE

parse = RedisAddress.parse


SIGN_INS = {"user": "u", "password": "p", "sentinel_user": "s", "sentinel_password": "q"}


def at(mode: Mode, *places: str, **fields: Any) -> RedisAddress:
    """An address of servers such as `h:1`."""
    parted = [place.rpartition(":") for place in places]
    nodes = tuple(Node(host, int(port)) for host, _, port in parted)
    return RedisAddress(mode=mode, nodes=nodes, **fields)


def one(place: str = "h:6379", **fields: Any) -> RedisAddress:
    return at("single", place, **fields)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("redis://h", one()),
        ("  redis://h/\n", one()),
        ("REDIS://h:7000/3", one("h:7000", db=3)),
        ("redis://h?db=3", one(db=3)),
        ("redis://[::1]:7/0", one("::1:7")),
        ("redis://[fe80::1]", one("fe80::1:6379")),
        ("rediss://a:s@h:1/2", one("h:1", tls=True, db=2, user="a", password="s")),
        ("unix:///run/redis.sock", at("unix", path="/run/redis.sock")),
        (
            "redis+unix://:pw@/run/a%20b.sock?db=4&prefix=x",
            at("unix", path="/run/a b.sock", db=4, password="pw", prefix="x"),
        ),
        (
            "redis+sentinel://u:p@a:1,b,[::1]:3/m/5?sentinel_user=s&sentinel_password=q",
            at("sentinel", "a:1", "b:26379", "::1:3", service="m", db=5, **SIGN_INS),
        ),
        ("rediss+sentinel://a/chats", at("sentinel", "a:26379", service="chats", tls=True)),
        ("redis+cluster://a:7, b:7001,a:7", at("cluster", "a:7", "b:7001", partitions=16)),
        (
            "rediss+cluster://:p@a/0?partitions=64",
            at("cluster", "a:6379", tls=True, password="p", partitions=64),
        ),
        (
            "rediss://h?ca=/etc/ca%2Bx.pem&cert=c.pem&key=k.pem&verify=none&timeout=2.0",
            one(tls=True, ca="/etc/ca+x.pem", cert="c.pem", key="k.pem", verify="none", timeout=2),
        ),
        ("redis://:p@h", one(password="p")),
        ("redis://u:@h", one(user="u", password="")),
        ("redis://u%3A1:p%40%2F%3F%25w@h", one(user="u:1", password="p@/?%w")),
        ("redis://u:p@ss@h", one(user="u", password="p@ss")),
        ("redis://u:a:b@h", one(user="u", password="a:b")),
        ("redis://u:p+w@h", one(user="u", password="p+w")),
        ("redis://:%C3%A9@h", one(password="é")),
    ],
)
def test_an_address_gives_the_place_of_a_redis_and_its_protocol(
    text: str, expected: RedisAddress
) -> None:
    assert parse(text) == expected


REFUSED = {
    "does not begin with": ["", "localhost:6379", "http://h", "redis:/h"],
    "no host": ["redis://", "redis:///0", "redis://:6379", "redis+sentinel://a,,b/m"],
    "host that no name can be": ["redis://a b"],
    "port": ["redis://h:0", "redis://h:65536", "redis://h:", "redis://h:six", "redis://h:٣"],
    "IPv6": ["redis://[::1", "redis://[::g]", "redis://[::1]7"],
    "several servers": ["redis://a,b"],
    "database that is no number": [
        "redis://h/one",
        "redis://h/-1",
        "redis://h/1/2",
        "unix:///x?db=x",
    ],
    "a database that is no number": ["redis+sentinel://a:1/m/x"],
    "database twice": ["redis://h/1?db=1"],
    "without a password": ["redis://user@h"],
    "cannot be printed": ["redis://:%FF@h", "redis://:%00@h"],
    "names no socket": ["unix://", "unix://run/redis.sock"],
    "names no service": [f"redis+sentinel://a:1{path}" for path in ("", "/", "//0")],
    "only database 0": ["redis+cluster://a/1", "redis+cluster://a?db=2"],
    "1 to 256": ["redis+cluster://a?partitions=0", "redis+cluster://a?partitions=257"],
    "redis+cluster://": ["redis://h?partitions=2"],
    "there are ca, cert, db": ["redis://h?ssl_cert_reqs=none"],
    "without a value": ["redis://h?prefix", "redis://h?prefix="],
    "twice": ["redis://h?prefix=a&prefix=b"],
    "other characters": [f"redis://h?prefix={text}" for text in ("{a}", "a*", "a" * 65)],
    "begin with rediss": ["redis://h?ca=/x", "redis://h?verify=none"],
    "but not cert": ["rediss://h?key=/x"],
    "neither full nor none": ["rediss://h?verify=maybe"],
    "redis+sentinel://": ["redis://h?sentinel_password=x"],
    "0.1 to 300": [f"redis://h?timeout={text}" for text in ("0", "301", "nan", "inf", "soon")],
}


@pytest.mark.promise("fit-store")
@pytest.mark.parametrize(
    ("text", "words"), [(text, words) for words, texts in REFUSED.items() for text in texts]
)
def test_an_invalid_address_error_explains_the_syntax(text: str, words: str) -> None:
    with pytest.raises(InvalidSetting, match=re.escape(words)) as caught:
        parse(text)
    assert re.search("Write for example (redis|unix)", str(caught.value))
    assert "\n" not in str(caught.value)


@pytest.mark.promise("no-secrets")
@pytest.mark.parametrize(
    "text",
    [
        *("redis://u:s3cret@h:bad", "redis://u:s3cret/x@h", "redis://u:s3cret?x@h", "s3cret@:x"),
        *("redis://u:s3cret@h h", "redis://u:s3cret@h?nothing=s3cret", "mysql://u:s3cret@h"),
        *("redis+sentinel://u:s3cret@h", "u:s3cret@h", "http://h?password=s3cret"),
        "redis+sentinel://h/m?sentinel_password=s3cret&timeout=never",
    ],
)
def test_no_refusal_shows_a_password(text: str) -> None:
    with pytest.raises(InvalidSetting) as refused:
        parse(text)
    with pytest.raises(InvalidSetting, match=r"Write (sqlite:///PATH|for example)") as other:
        open_store(text)
    assert "s3cret" not in f"{refused.value} {other.value}"


@pytest.mark.promise("no-secrets")
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://h", "redis://h:6379/0"),
        ("redis://h:1/2", "redis://h:1/2"),
        ("rediss://u%3A:s3cret@h:1/2?verify=none", "rediss://u%3A:***@h:1/2"),
        ("redis://:s3cret@[::1]?prefix=x", "redis://:***@[::1]:6379/0?prefix=x"),
        ("unix://u:s3cret@/a/b?db=3&prefix=x", "redis+unix://u:***@/a/b?db=3&prefix=x"),
        ("redis+sentinel://a,b:1/m/2?sentinel_password=s3cret", "redis+sentinel://a:26379,b:1/m/2"),
        ("rediss+cluster://u:s3cret@a,b:1", "rediss+cluster://u:***@a:6379,b:1"),
    ],
)
def test_an_address_as_text_is_that_address_without_its_password(text: str, shown: str) -> None:
    address = parse(text)
    assert str(address) == address.redacted == shown
    screen = StringIO()
    Console(file=screen, width=200).print(Pretty(address))
    assert "s3cret" not in repr(address) + screen.getvalue() + f"{address}"
    assert str(parse(shown)) == shown


def test_a_store_on_redis_uses_the_configured_retention_and_economy() -> None:
    store = open_store("redis://h", retention=Retention(log=1.0, chat=2.0))
    assert isinstance(store, RedisStore)
    assert store.expiry.retention == Retention(log=1.0, chat=2.0)
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
        *("", "https://[::1", "http://able-cat.upstash.io", "https://able-cat.upstash.io/pipeline"),
        *("https://upstash.io", "https://able_cat.upstash.io", "rediss://able-cat.upstash.io"),
        *("https://able-cat.upstash.io.example.com", "https://example.com/able-cat.upstash.io"),
        *("https://able-cat.upstash.io:6379", "https://u:p@able-cat.upstash.io"),
    ],
)
def test_an_invalid_address_of_a_hosted_database_is_refused(url: str) -> None:
    with pytest.raises(InvalidSetting, match="UPSTASH_REDIS_REST_URL"):
        upstash_address(url, "token")


@pytest.mark.promise("no-secrets")
@pytest.mark.parametrize("token", ["", "  ", "two words", "to\x00ken", "tökén"])
def test_an_invalid_token_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(InvalidSetting, match="UPSTASH_REDIS_REST_TOKEN") as caught:
        upstash_address("https://able-cat.upstash.io", token)
    assert not token.strip() or token not in str(caught.value)
