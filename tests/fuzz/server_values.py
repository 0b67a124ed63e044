"""Values that come back to the server, perhaps forged: it accepts only its own."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, cast

from starlette.requests import HTTPConnection

from durable_llm_streams.errors import InvalidRequest
from durable_llm_streams.server.principal import Principal
from durable_llm_streams.server.visitors import Visitors
from durable_llm_streams.stores.redis import chats as redis_chats
from durable_llm_streams.stores.redis.feed import RedisFeed
from durable_llm_streams.stores.sqlite import chats as sqlite_chats
from durable_llm_streams.stores.sqlite.feed import SQLiteFeed
from tests.fuzz.harness import assert_sentence

_NOW = 1_764_000_000.0
_SECRET = b"the secret of these tests"
_authenticate = Visitors(_SECRET, now=lambda: _NOW)
_VISITOR = re.compile(r"visitor-[A-Za-z0-9_-]{24}", re.ASCII)
#: Whom the cookies in the corpus were signed for, with the time and, in earlier versions, without.
SIGNED = {"alice", "bob"}


def cookie(data: bytes) -> None:
    """A cookie with a wrong signature makes a new visitor, with a valid cookie."""
    owner, headers = _visit(data)
    if owner not in SIGNED:
        assert _VISITOR.fullmatch(owner)
        assert headers
    if headers:
        given = headers["set-cookie"]
        assert given.isascii()
        assert given.isprintable()
        again = _visit(given.partition(";")[0].encode())
        assert again == (owner, {})


def _visit(header: bytes) -> tuple[str, Mapping[str, str]]:
    visitor = asyncio.run(_visitor(header))
    return visitor.owner, visitor.headers


async def _visitor(header: bytes) -> Principal:
    headers = [(b"cookie", header), (b"host", b"localhost")]
    scope = {
        "type": "http",
        "scheme": "http",
        "path": "/",
        "query_string": b"",
        "server": ("localhost", 80),
        "headers": headers,
    }
    return await _authenticate(HTTPConnection(scope))


_LIFE = "0123456789abcdef"
_feeds = SQLiteFeed()
_feeds._process, _feeds._number = _LIFE, 17
_redis_feeds = RedisFeed(cast("Any", SimpleNamespace(life=_LIFE)), cast("Any", None), str)


def feed_position(data: bytes) -> None:
    """A position that the store never gave means: something may have been missed."""
    text = data.decode(errors="surrogateescape")
    found = asyncio.run(_feeds.changes("alice", text))
    assert not found.changes
    assert found.position == f"{_LIFE}.17"
    life, _, number = text.partition(".")
    known = life == _LIFE and number.isascii() and number.isdigit() and int(number[:16]) <= 17
    assert found.complete == (known and len(number) <= 15)
    place = _redis_feeds._read(text)
    if place is not None:
        assert text.isascii()
        assert _redis_feeds._read(_redis_feeds._write(place)) == place


def page_token(data: bytes) -> None:
    """A page token is valid, with numbers that a database can hold, or it is refused."""
    text = data.decode(errors="surrogateescape")
    readers: list[Callable[[str | None], tuple[object, object]]] = [
        sqlite_chats._read_token,
        redis_chats._read_token,
    ]
    for read in readers:
        try:
            place = read(text)
        except InvalidRequest as error:
            assert_sentence(str(error))
            continue
        assert text.isascii()
        assert int(str(place[0])) < 1 << 62
        assert str(place[1]) in text or isinstance(place[1], int)
