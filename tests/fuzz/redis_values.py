"""Addresses of databases, and foreign messages in the channels of a Redis."""

from __future__ import annotations

from typing import Any, cast

from durable_llm_streams.errors import InvalidSetting
from durable_llm_streams.model import Epoch, Span, Status
from durable_llm_streams.store import Page
from durable_llm_streams.stores.notify import Notifier, WorkSignal
from durable_llm_streams.stores.redis import RedisAddress
from durable_llm_streams.stores.redis.live.following import Following
from durable_llm_streams.stores.redis.live.tail import _KEPT_BYTES, Tail
from durable_llm_streams.stores.upstash import upstash_address
from tests.fuzz.harness import SECRET, assert_sentence


def redis_address(data: bytes) -> None:
    """An address, or a sentence; neither shows a password."""
    text = data.decode(errors="surrogateescape")
    try:
        address = RedisAddress.parse(text)
    except InvalidSetting as error:
        assert_sentence(str(error))
        return
    assert address.mode == "unix" or all(1 <= node.port <= 65535 for node in address.nodes)
    assert (address.mode == "unix") == (not address.nodes)
    assert 0.1 <= address.timeout <= 300
    assert 1 <= address.partitions <= 256
    shown = (address.path, address.service, address.user or "", str(address.nodes), address.prefix)
    if not any(SECRET in part for part in shown):
        assert SECRET not in f"{address} {address!r} {address.__rich_repr__()}"
    assert str(address).isprintable()


def upstash(data: bytes) -> None:
    """URL, a line feed, token: an address of which the token is the password, or a sentence."""
    url, _, token = data.decode(errors="surrogateescape").partition("\n")
    try:
        text = upstash_address(url, token)
    except InvalidSetting as error:
        assert_sentence(str(error))
        return
    address = RedisAddress.parse(text)
    assert (address.password, address.user, address.tls) == (token.strip(), "default", True)
    assert address.nodes[0].host.endswith(".upstash.io")


_SPANS = (Span(1, Epoch(1, "ab")),)
_BEGIN = 5


def publication(data: bytes) -> None:
    """Events and records from foreign publishers: a tail stays whole, or it is stale."""
    following = Following(cast("Any", None), cast("Any", None), Notifier(), WorkSignal())
    for message in data.split(b"\n--\n"):
        tail = following._tails["run1"] = Tail("dls:tail:run1")
        tail.begin(Page(_BEGIN, [], _BEGIN, _SPANS, Status.RUNNING))
        following._ours = {"run1": "1.ab"}
        for piece in (message, message):
            following.event(piece)
            following.records("run1", piece)
        assert tail.next_seq >= _BEGIN
        assert tail._first + len(tail._recent) == tail.next_seq
        assert tail._bytes == sum(map(len, tail._recent)) <= _KEPT_BYTES
