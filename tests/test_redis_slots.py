"""The client of a Redis Cluster: which server a key is asked of, against scripted servers."""

from __future__ import annotations

import asyncio
import binascii
from collections.abc import Awaitable
from typing import Any

import pytest

from durable_llm_streams.errors import StoreUnavailable
from durable_llm_streams.stores.redis.client.address import Node
from durable_llm_streams.stores.redis.client.cluster import slot_of
from durable_llm_streams.stores.redis.client.errors import RedisConnectionError, RedisError
from tests.redis_databases import ADD
from tests.redis_peer import Peers, bulk
from tests.virtual_time import elapsed, virtual

#: The slots of one half, and the server that holds them: its host, or None for its own.
Half = tuple[int, int, bytes | None]

LOW, HIGH = (0, 8191), (8192, 16383)
IN_A, IN_B = "b", "a"


class Cluster:
    """The servers a, b and c, and a client of theirs. What one replies is in `replies`.

    Attributes:
        map: as CLUSTER SLOTS has it.
    """

    def __init__(self) -> None:
        self.map: list[Half] = [(*LOW, b"a"), (*HIGH, b"b")]
        self.replies: dict[str, bytes | None] = {name: f"+{name}\r\n".encode() for name in "abc"}
        self.peers = Peers(self._answer)
        self.database = self.peers.database("redis+cluster://a:7000,b:7000?timeout=5")

    def _answer(self, node: Node | None, words: list[bytes]) -> bytes | None:
        assert node is not None
        reply = self.replies[node.host if node.port == 7000 else str(node)]
        if words[0] != b"CLUSTER" or reply is None:
            return reply
        return b"*%d\r\n" % len(self.map) + b"".join(
            b"*3\r\n:%d\r\n:%d\r\n*2\r\n%b:7000\r\n"
            % (first, last, b"$-1\r\n" if host is None else bulk(host))
            for first, last, host in self.map
        )

    def get(self, key: str) -> Awaitable[Any]:
        return self.database.call(ADD, [key], [])

    async def refused(self, key: str, words: str) -> None:
        with pytest.raises(StoreUnavailable, match=words):
            await self.get(key)

    def asked(self, command: bytes = b"EVALSHA") -> str:
        """The servers that were asked by this command, in the order of their connections."""
        return "".join(
            node.host
            for node, peer in zip(self.peers.nodes, self.peers.opened, strict=True)
            if node is not None
            for words in peer.commands
            if words[0] == command
        )


@pytest.mark.parametrize(
    ("key", "same"),
    [
        ("{dls:0}:run:1", "dls:0"),
        ("a{b}{c}", "b"),
        ("a{{b}}c", "{b"),
        ("a{}{b}", None),
        ("a}b{c", None),
        ("a{b", None),
    ],
)
def test_the_slot_of_a_key_is_that_of_its_first_braces(key: str, same: str | None) -> None:
    assert slot_of("123456789") == 0x31C3  # as in the specification
    whole = binascii.crc_hqx(key.encode(), 0) % 16_384
    assert slot_of(key) == slot_of(key.encode()) == (slot_of(same) if same else whole)


@virtual
async def test_a_call_goes_to_the_server_that_holds_its_key() -> None:
    assert slot_of(IN_A) < 8192 <= slot_of(IN_B)
    cluster = Cluster()
    assert [await cluster.get(key) for key in (IN_A, IN_B, IN_A)] == [b"a", b"b", b"a"]
    assert len(cluster.asked(b"CLUSTER")) == 1
    assert await cluster.database.masters() == [Node("a", 7000), Node("b", 7000)]
    await cluster.database.close()
    assert all(peer.is_closing() for peer in cluster.peers.opened)
    await cluster.refused(IN_A, "closed here")


@pytest.mark.parametrize("name", [b"", b"?", None])
@virtual
async def test_a_server_that_does_not_know_its_own_name_means_itself(name: bytes | None) -> None:
    cluster = Cluster()
    cluster.map = [(*LOW, name), (*HIGH, b"c")]
    await cluster.get(IN_A)
    assert cluster.asked(b"CLUSTER") == cluster.asked(), "it did not mean itself"
    assert await cluster.get(IN_B) == b"c"


@pytest.mark.promise("outage")
@virtual
async def test_moved_is_remembered_until_the_next_map() -> None:
    cluster = Cluster()
    await cluster.get(IN_A)
    cluster.map = [(*LOW, b"c"), (*HIGH, b"b")]
    cluster.replies["a"] = b"-MOVED %d b:7000\r\n" % slot_of(IN_A)
    assert await cluster.get(IN_A) == b"b"
    await asyncio.sleep(1)
    assert await cluster.get(IN_A) == b"c", "the note outlives the map that came after it"
    assert sorted(cluster.asked()) == ["a", "a", "b", "c"]
    peers = zip(cluster.peers.nodes, cluster.peers.opened, strict=True)
    closed = [node for node, peer in peers if peer.is_closing()]
    assert closed == [Node("a", 7000)], "the connection to the server that left the map"
    await cluster.database.close()


@pytest.mark.parametrize("host", [b"", b"?"])
@virtual
async def test_moved_is_remembered_while_no_new_map_is_there(host: bytes) -> None:
    cluster = Cluster()
    await cluster.get(IN_A)
    cluster.replies["a"] = b"-MOVED %d %b:7001\r\n" % (slot_of(IN_A), host)  # the same host
    cluster.replies["a:7001"] = b"+new\r\n"
    cluster.map = []
    assert [await cluster.get(IN_A) for _ in range(3)] == [b"new"] * 3
    assert cluster.asked() == "aaaaa", "two of the first port, three of the new one"
    await cluster.database.close()


@pytest.mark.parametrize(
    ("at_a", "words", "asked"),
    [
        (b"-ASK 1 c:7000\r\n", "is moving these keys", "a"),
        (b"-MOVED 1 b:7000\r\n", "do not agree", "aaabbb"),
    ],
)
@virtual
async def test_redirections_that_lead_nowhere_are_given_up(
    at_a: bytes, words: str, asked: str
) -> None:
    cluster = Cluster()
    cluster.replies |= {"a": at_a, "b": b"-MOVED 1 a:7000\r\n"}
    await cluster.refused(IN_A, words)
    assert "".join(sorted(cluster.asked())) == asked
    await cluster.database.close()


@pytest.mark.promise("outage")
@virtual
async def test_only_calls_to_a_silent_server_wait_for_the_new_map() -> None:
    cluster = Cluster()
    await cluster.get(IN_A)
    await asyncio.sleep(1)
    cluster.replies["a"] = None
    await cluster.refused(IN_A, "in time")
    assert await elapsed(cluster.get(IN_B)) < 0.5
    assert len(cluster.asked(b"CLUSTER")) == 1
    cluster.replies["a"] = b"+a\r\n"
    assert await cluster.get(IN_A) == b"a"
    maps = len(cluster.asked(b"CLUSTER"))
    assert maps > 1
    assert await cluster.get(IN_A) == b"a"
    assert len(cluster.asked(b"CLUSTER")) == maps, (
        "a server that answers again is no longer suspected"
    )
    await cluster.database.close()


@virtual
async def test_no_server_of_a_cluster_answers() -> None:
    cluster = Cluster()
    cluster.peers.failure = RedisConnectionError("refused")
    await cluster.refused(IN_A, "refused")
    cluster.peers.hanging = True
    opening = asyncio.create_task(cluster.database.subscriber())
    assert await elapsed(asyncio.wait([opening])) < 4, "time for both servers, and no more"
    with pytest.raises(StoreUnavailable):
        await opening
    with pytest.raises(RedisError):
        await cluster.database.masters()
    await cluster.database.close()


@pytest.mark.promise("no-leak")
@virtual
async def test_closing_while_the_map_is_loaded_ends_the_calls() -> None:
    for hanging in (True, False):
        cluster = Cluster()
        cluster.peers.hanging = hanging
        cluster.replies |= {"a": None, "b": None}
        call = asyncio.ensure_future(cluster.get(IN_A))
        await asyncio.sleep(0.5)
        await cluster.database.close()
        assert await elapsed(asyncio.wait([call])) == 0
        assert not call.cancelled(), "the caller takes it for its own cancellation"
        with pytest.raises(StoreUnavailable, match="closed"):
            await call
        assert all(peer.is_closing() for peer in cluster.peers.opened)


@virtual
async def test_slots_that_no_server_holds_are_an_error() -> None:
    cluster = Cluster()
    cluster.map = []
    await cluster.refused(IN_A, "some of its masters are missing")
    cluster.map = [(*LOW, b"a")]
    assert await cluster.get(IN_A) == b"a"
    await cluster.refused(IN_B, "some of its masters are missing")
    await cluster.database.close()


@virtual
async def test_a_server_that_is_silent_about_the_map_is_left_for_the_next() -> None:
    for _ in range(8):  # they are asked in any order
        cluster = Cluster()
        cluster.replies["a"] = None
        assert await elapsed(cluster.get(IN_B)) < 2
        await cluster.database.close()
