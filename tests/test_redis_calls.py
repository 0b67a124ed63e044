"""Which calls to Redis are repeated, where they go, and when they end: the rules of `Database`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from durable_llm_streams.errors import StoreUnavailable
from durable_llm_streams.stores.redis.client.address import Node, RedisAddress
from durable_llm_streams.stores.redis.client.cluster import Cluster, slot_of
from durable_llm_streams.stores.redis.client.database import Database
from durable_llm_streams.stores.redis.client.wire import pack
from tests.redis_databases import ADD, ECHO, KEY
from tests.redis_peer import Peers
from tests.virtual_time import elapsed, virtual

CUT = RedisConnectionError("The connection was cut.")


class Routes:
    """Answers calls one after the other, and notes them.

    Attributes:
        asked: key, command and deadline of each.
    """

    def __init__(self, *answers: Any) -> None:
        self.asked: list[tuple[bytes | str | None, bytes, float]] = []
        self._answers = list(answers)

    async def ask(self, key: bytes | str | None, packed: bytes, deadline: float) -> Any:
        self.asked.append((key, packed, deadline))
        await asyncio.sleep(1)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def any_node(self) -> Node | None:
        failure = self._answers.pop(0)
        if failure is not None:
            raise failure
        return None

    async def close(self) -> None:
        """Nothing is open."""


def answering(*answers: Any) -> tuple[Database, Routes]:
    database = Database(RedisAddress.parse("redis://nowhere?timeout=5"))
    database._routes = routes = Routes(*answers)
    return database, routes


# --- repetitions ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "failure",
    [CUT, ResponseError("READONLY a replica"), ResponseError("MASTERDOWN no master")],
)
def test_a_call_that_was_cut_is_repeated_once_within_its_deadline(failure: RedisError) -> None:
    @virtual
    async def test() -> None:
        database, routes = answering(failure, b"done")
        assert await database.call(ADD, [KEY], [1]) == b"done"
        assert routes.asked == [(KEY, pack("EVALSHA", ADD.sha, 1, KEY, 1), 5.0)] * 2
        database, routes = answering(failure, failure, b"done")
        with pytest.raises(StoreUnavailable):
            await database.call(ADD, [KEY], [])
        assert len(routes.asked) == 2

    test()


@pytest.mark.parametrize(
    "failure",
    [
        RedisTimeoutError("The server did not answer in time."),
        AuthenticationError("invalid password"),
        MasterNotFoundError("No master found"),
        ResponseError("OOM full"),
        ResponseError("LOADING a while"),
    ],
)
def test_what_would_fail_again_is_not_repeated(failure: RedisError) -> None:
    @virtual
    async def test() -> None:
        database, routes = answering(failure)
        with pytest.raises(StoreUnavailable, match="tried again"):
            await database.call(ADD, [KEY], [])
        assert len(routes.asked) == 1

    test()


@virtual
async def test_a_script_that_the_server_does_not_know_is_sent_whole() -> None:
    database, routes = answering(ResponseError("NOSCRIPT No matching script."), CUT, b"done")
    assert await database.call(ECHO, [KEY, b"k2"], ["a", 2]) == b"done"
    rest = (2, KEY, b"k2", "a", 2)
    commands = [("EVALSHA", ECHO.sha), ("EVAL", ECHO.text), ("EVAL", ECHO.text)]
    assert routes.asked == [(KEY, pack(*command, *rest), 5.0) for command in commands]


@virtual
async def test_a_server_that_refused_the_first_line_is_not_sent_it_again() -> None:
    assert ADD.plain is not None
    unknown = ResponseError("NOSCRIPT No matching script.")
    refusal = ResponseError("ERR Error compiling script: near '#'")
    database, routes = answering(unknown, refusal, 1, 2)
    assert [await database.call(ADD, [KEY], []) for _ in range(2)] == [1, 2]
    sent = [
        *(("EVALSHA", ADD.sha), ("EVAL", ADD.text), ("EVAL", ADD.plain.text)),
        ("EVALSHA", ADD.plain.sha),
    ]
    assert [packed for _, packed, _ in routes.asked] == [pack(*words, 1, KEY) for words in sent]


@virtual
async def test_an_error_of_a_script_and_errors_of_commands_are_not_translated() -> None:
    database, _ = answering(ResponseError("ERR user_script:3: nil value"))
    with pytest.raises(ResponseError, match="user_script:3"):
        await database.call(ADD, [KEY], [])
    database, routes = answering(CUT, CUT)
    with pytest.raises(RedisConnectionError):
        await database.command("PING")
    assert [packed for _, packed, _ in routes.asked] == [pack("PING")] * 2


@virtual
async def test_opening_a_subscriber_fails_within_the_timeout() -> None:
    database, _ = answering(CUT, None)
    with pytest.raises(StoreUnavailable, match="connection was cut"):
        await database.subscriber()
    peers = Peers(lambda node, words: None)
    peers.hanging = True
    database._dialer = peers  # type: ignore[assignment]  # it dials as `Dialer` does
    with pytest.raises(StoreUnavailable, match="in time"):
        await asyncio.wait_for(database.subscriber(), 6)


# --- Cluster -------------------------------------------------------------------------------------

A, B, C = (Node(name, 7000) for name in "abc")


class Servers:
    """The servers of a Cluster.

    Attributes:
        peers: opens connections to them.
        map: which server holds the slots from where on, as CLUSTER SLOTS has it.
        replies: to other commands, by server.
    """

    def __init__(self) -> None:
        self.map = [(0, 8191, A), (8192, 16383, B)]
        self.replies: dict[Node | None, bytes | None] = {A: b"+A\r\n", B: b"+B\r\n", C: b"+C\r\n"}
        self.peers = Peers(self._answer)

    def _answer(self, node: Node | None, words: list[bytes]) -> bytes | None:
        if words[0] != b"CLUSTER" or self.replies[node] is None:
            return self.replies[node]
        return b"*%d\r\n" % len(self.map) + b"".join(
            b"*3\r\n:%d\r\n:%d\r\n*2\r\n$1\r\n%b\r\n:%d\r\n"
            % (first, last, holder.host.encode(), holder.port)
            for first, last, holder in self.map
        )

    def cluster(self) -> Cluster:
        address = RedisAddress.parse("redis+cluster://a:7000,b:7000?timeout=5")
        return Cluster(self.peers, address)  # type: ignore[arg-type]  # it dials as `Dialer` does

    def asked(self, command: bytes = b"GET") -> Sequence[str]:
        """The servers that were asked by this command, once for each time."""
        return [
            node.host
            for node, peer in self.peers.opened
            if node is not None
            for words in peer.commands
            if words[0] == command
        ]


async def get(cluster: Cluster, key: str, seconds: float = 5.0) -> Any:
    return await cluster.ask(key, pack("GET", key), asyncio.get_running_loop().time() + seconds)


IN_A, IN_B = "b", "a"


@virtual
async def test_a_call_goes_to_the_server_that_holds_its_key() -> None:
    assert slot_of(IN_A) < 8192 <= slot_of(IN_B)
    servers = Servers()
    cluster = servers.cluster()
    assert [await get(cluster, key) for key in (IN_A, IN_B, IN_A)] == [b"A", b"B", b"A"]
    assert len(servers.asked(b"CLUSTER")) == 1
    await cluster.close()
    with pytest.raises(RedisConnectionError, match="closed here"):
        await get(cluster, IN_A)


@pytest.mark.promise("outage")
@virtual
async def test_moved_is_remembered_until_the_next_map() -> None:
    servers = Servers()
    cluster = servers.cluster()
    await get(cluster, IN_A)
    servers.map = [(0, 8191, C), (8192, 16383, B)]
    servers.replies[A] = b"-MOVED %d b:7000\r\n" % slot_of(IN_A)
    assert await get(cluster, IN_A) == b"B"
    await asyncio.sleep(1)
    assert await get(cluster, IN_A) == b"C", "the note outlives the map that came after it"
    assert sorted(servers.asked()) == ["a", "a", "b", "c"]
    closed = [node for node, peer in servers.peers.opened if peer.is_closing()]
    assert closed == [A], "the link to the server that left the map"
    await cluster.close()


@virtual
async def test_moved_is_remembered_while_no_new_map_is_there() -> None:
    servers = Servers()
    cluster = servers.cluster()
    await get(cluster, IN_A)
    servers.replies[A] = b"-MOVED %d :7001\r\n" % slot_of(IN_A)  # the same host
    servers.replies[Node("a", 7001)] = b"+new\r\n"
    servers.map = []
    assert [await get(cluster, IN_A) for _ in range(3)] == [b"new"] * 3
    assert servers.asked() == ["a", "a", "a", "a", "a"]
    await cluster.close()


@virtual
async def test_a_call_for_a_slot_that_is_being_moved_is_refused() -> None:
    servers = Servers()
    cluster = servers.cluster()
    servers.replies[A] = b"-ASK %d c:7000\r\n" % slot_of(IN_A)
    with pytest.raises(ResponseError, match="ASK"):
        await get(cluster, IN_A)
    assert servers.asked() == ["a"]
    await cluster.close()


@virtual
async def test_servers_that_redirect_to_each_other_are_given_up() -> None:
    servers = Servers()
    cluster = servers.cluster()
    servers.replies[A] = b"-MOVED 1 b:7000\r\n"
    servers.replies[B] = b"-MOVED 1 a:7000\r\n"
    with pytest.raises(ResponseError, match="MOVED"):
        await get(cluster, IN_A)
    assert len(servers.asked()) == 6
    await cluster.close()


@pytest.mark.promise("outage")
@virtual
async def test_only_calls_to_a_silent_server_wait_for_the_new_map() -> None:
    servers = Servers()
    cluster = servers.cluster()
    await get(cluster, IN_A)
    await asyncio.sleep(1)
    servers.replies[A] = None
    with pytest.raises(RedisTimeoutError):
        await get(cluster, IN_A)
    assert await elapsed(get(cluster, IN_B)) < 0.5
    assert len(servers.asked(b"CLUSTER")) == 1
    servers.replies[A] = b"+A\r\n"
    assert await get(cluster, IN_A) == b"A"
    maps = len(servers.asked(b"CLUSTER"))
    assert maps > 1
    assert await get(cluster, IN_A) == b"A"
    assert len(servers.asked(b"CLUSTER")) == maps, "it is not in doubt any more"
    await cluster.close()


@virtual
async def test_no_server_of_a_cluster_answers() -> None:
    servers = Servers()
    cluster = servers.cluster()
    servers.peers.failure = RedisConnectionError("refused")
    with pytest.raises(RedisConnectionError, match="refused"):
        await get(cluster, IN_A)
    servers.peers.hanging = True
    assert await elapsed(asyncio.wait([asyncio.create_task(cluster.any_node())])) < 4
    with pytest.raises(RedisError):
        await cluster.masters(0.0)
    await cluster.close()


@virtual
async def test_slots_that_no_server_holds_are_an_error() -> None:
    servers = Servers()
    cluster = servers.cluster()
    servers.map = []
    with pytest.raises(ResponseError, match="CLUSTERDOWN"):
        await get(cluster, IN_A)
    servers.map = [(0, 8191, A)]
    assert await get(cluster, IN_A) == b"A"
    with pytest.raises(ResponseError, match="CLUSTERDOWN"):
        await get(cluster, IN_B)
    await cluster.close()
