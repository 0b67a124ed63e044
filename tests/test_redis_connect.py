"""Opening and closing connections to Redis: signing in, Sentinels, cancellation, timeouts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from durable_llm_streams.errors import StoreUnavailable
from durable_llm_streams.stores.redis.client.address import Node, RedisAddress
from durable_llm_streams.stores.redis.client.connect import Dialer
from durable_llm_streams.stores.redis.client.connection import Connection, pack
from durable_llm_streams.stores.redis.client.database import Database
from durable_llm_streams.stores.redis.client.errors import (
    MasterNotFound,
    RedisConnectionError,
    RedisError,
    RedisTimeoutError,
    ResponseError,
)
from tests.redis_peer import CUT, Answer, Peer, Peers, array, bulk, confirmed
from tests.virtual_time import elapsed, virtual
from tests.waiting import within

OK = b"+OK\r\n"
MASTER = b"*3\r\n" + bulk(b"master") + b":0\r\n*0\r\n"
REPLICA = b"*5\r\n" + bulk(b"slave") + bulk(b"h") + b":6379\r\n" + bulk(b"connected") + b":0\r\n"
PLACE = array(b"10.0.0.9", b"6380")
SENTINELS = "redis+sentinel://:pw@s1,s2,s3/chats?timeout=5"
SIGNED_SENTINELS = f"{SENTINELS}&sentinel_user=watch&sentinel_password=word"

#: More turns of the event loop than anything here takes.
TURNS = 60


class Opening(Dialer):
    """A dialer whose connections lead to scripted servers.

    Attributes:
        peers: the servers.
        silent: hosts that cannot be reached: opening a connection takes for ever.
        greeting: what every server says before it is asked.
    """

    def __init__(self, address: str, answer: Answer) -> None:
        super().__init__(RedisAddress.parse(address))
        self.peers = Peers(answer)
        self.silent: set[str] = set()
        self.greeting = b""

    async def _open(self, node: Node | None) -> Connection:
        await asyncio.sleep(0)
        if node is not None and node.host in self.silent:
            await asyncio.Event().wait()
        connection = self.peers.connect(node)
        try:
            if self.greeting:
                self.peers.opened[-1].say(self.greeting)
            await asyncio.sleep(0)
        except asyncio.CancelledError:  # as the event loop's does
            self.peers.opened[-1].abort()
            raise
        return connection

    @property
    def still_open(self) -> list[Peer]:
        return [peer for peer in self.peers.opened if not peer.is_closing()]

    def database(self, monkeypatch: pytest.MonkeyPatch) -> Database:
        seam = "durable_llm_streams.stores.redis.client.database.Dialer"
        monkeypatch.setattr(seam, lambda _: self)
        return Database(self._address)


def accepting(node: Node | None, words: list[bytes]) -> bytes | None:
    """A server, or a Sentinel, that is content with everything."""
    if words[0] == b"ROLE":
        return MASTER
    if words[0] == b"SENTINEL":
        return PLACE
    return confirmed(words) if words[0] in (b"SUBSCRIBE", b"PING") else OK


def replying(**replies: bytes | None) -> Answer:
    """The same, but for these commands."""
    return lambda node, words: (
        replies[command] if (command := words[0].decode()) in replies else accepting(node, words)
    )


# --- signing in ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "commands"),
    [
        ("redis://h", ["ROLE"]),
        ("redis://:p%20w@h/3", ["AUTH p+w", "SELECT 3", "ROLE"]),
        ("redis://ann:pw@h/0", ["AUTH ann pw", "ROLE"]),
        ("redis://ann:@h", ["AUTH ann ", "ROLE"]),
        ("unix://:pw@/tmp/redis.sock?db=2", ["AUTH pw", "SELECT 2", "ROLE"]),
        ("redis+cluster://:pw@h", ["AUTH pw"]),
        ("redis+cluster://h", []),
    ],
)
@virtual
async def test_all_that_signs_in_goes_in_one_write(address: str, commands: list[str]) -> None:
    dialer = Opening(address, accepting)
    node = Node("h", 7000) if address.startswith("redis+cluster") else None
    connection = await dialer.dial(node)
    (peer,) = dialer.peers.opened
    words = [[word.replace("+", " ").encode() for word in text.split(" ")] for text in commands]
    assert (peer.commands, peer.writes) == (words, 1 if words else 0)
    expected = None if address.startswith("unix") else Node("h", 7000 if node else 6379)
    assert dialer.peers.nodes == [expected]
    await connection.close()


@pytest.mark.parametrize(
    ("address", "replies", "error", "words"),
    [
        ("redis://:pw@h", {"AUTH": b"-WRONGPASS no\r\n"}, ResponseError, "WRONGPASS"),
        ("redis+cluster://:pw@h", {"AUTH": b"-WRONGPASS no\r\n"}, ResponseError, "WRONGPASS"),
        ("redis://h/99", {"SELECT": b"-ERR DB index\r\n"}, ResponseError, "DB index"),
        ("redis://h", {"ROLE": REPLICA}, ResponseError, "READONLY The server is a replica"),
        ("redis://h", {"ROLE": b"-NOAUTH required\r\n"}, ResponseError, "NOAUTH"),
        ("redis://h", {"ROLE": b"-LOADING a while\r\n"}, ResponseError, "LOADING"),
        ("redis://h", {"ROLE": b"-ERR max number of clients reached\r\n"}, ResponseError, "max"),
        ("redis://h", {"ROLE": CUT}, RedisConnectionError, "was cut"),
        ("redis://h", {"ROLE": b"?\r\n"}, RedisError, "Protocol error"),
        ("redis://h?timeout=3", {"ROLE": None}, RedisTimeoutError, "in time"),
        ("redis+cluster://:pw@h?timeout=3", {"AUTH": None}, RedisTimeoutError, "in time"),
    ],
)
@virtual
async def test_a_refused_sign_in_is_an_error_and_leaves_no_connection(
    address: str, replies: dict[str, bytes | None], error: type[RedisError], words: str
) -> None:
    dialer = Opening(address, replying(**replies))
    opening = asyncio.create_task(dialer.dial(Node("h", 6379)))
    assert await elapsed(asyncio.wait([opening])) <= 3
    with pytest.raises(error, match=words):
        await opening
    assert (len(dialer.peers.opened), dialer.still_open) == (1, [])


@pytest.mark.parametrize("refusal", [b"-NOPERM no\r\n", b"-ERR unknown command 'ROLE'\r\n"])
@virtual
async def test_a_server_that_does_not_tell_its_role_is_used(refusal: bytes) -> None:
    dialer = Opening("redis://h", replying(ROLE=refusal))
    connection = await dialer.dial()
    assert not connection.lost
    await connection.close()


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
@virtual
async def test_a_server_that_is_full_at_connect_is_named(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialer = Opening(f"{scheme}://h", accepting)
    dialer.greeting = b"-ERR max number of clients reached\r\n"
    database = dialer.database(monkeypatch)
    with pytest.raises(ResponseError, match="max number of clients"):
        await database.command("PING")
    with pytest.raises(StoreUnavailable, match="too many clients"):
        subscriber = await database.subscriber()
        await subscriber.subscribe("a")
    assert dialer.still_open == []
    await database.close()


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..b"])
async def test_a_host_that_no_name_can_be_is_not_reached(host: str) -> None:
    database = Database(RedisAddress.parse(f"redis://{host}"))
    with pytest.raises(RedisConnectionError, match="Error connecting to a"):
        await database.command("PING")
    await database.close()


@pytest.mark.promise("no-leak")
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("scheme", ["redis", "rediss", "redis+cluster", "rediss+sentinel"])
def test_connections_to_a_silent_server_are_closed(scheme: str, loop: str) -> None:
    ended: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
        writer.close()
        ended.append(b"")

    async def call() -> None:
        async with await asyncio.start_server(take, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            service = "/chats" if scheme.endswith("sentinel") else ""
            address = f"{scheme}://127.0.0.1:{port}{service}?timeout=0.2"
            database = Database(RedisAddress.parse(address))
            with pytest.raises((RedisTimeoutError, MasterNotFound)):
                await database.command("PING")
            with pytest.raises(StoreUnavailable):
                await asyncio.wait_for(database.subscriber(), 5)
            await database.close()
            async with within("both connections to be closed"):
                while len(ended) < 2:
                    await asyncio.sleep(0.01)

    made = pytest.importorskip("uvloop").new_event_loop if loop == "uvloop" else None
    with asyncio.Runner(loop_factory=made) as runner:
        runner.run(call())


# --- Sentinels -----------------------------------------------------------------------------------


@virtual
async def test_sentinels_are_asked_with_their_own_password_for_the_master() -> None:
    dialer = Opening(SIGNED_SENTINELS, accepting)
    connection = await dialer.dial()
    sentinel, master = dialer.peers.opened
    question = [b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", b"chats"]
    assert sentinel.commands == [[b"AUTH", b"watch", b"word"], question]
    assert (sentinel.writes, sentinel.is_closing()) == (1, True)
    assert dialer.peers.nodes == [Node("s1", 26379), Node("10.0.0.9", 6380)]
    assert master.commands == [[b"AUTH", b"pw"], [b"ROLE"]]
    await connection.close()


@pytest.mark.promise("outage")
@virtual
async def test_sentinels_that_hang_are_passed_and_the_one_that_answers_is_first() -> None:
    def answer(node: Node | None, words: list[bytes]) -> bytes | None:
        return None if node is not None and node.host == "s2" else accepting(node, words)

    dialer = Opening(SENTINELS, answer)
    dialer.silent = {"s1"}
    opening = asyncio.create_task(dialer.dial())
    assert await elapsed(asyncio.wait([opening])) <= 2.1
    assert await elapsed(dialer.dial()) == 0
    asked = [node.host for node in dialer.peers.nodes if node is not None]
    assert asked == ["s2", "s3", "10.0.0.9", "s3", "10.0.0.9"]
    dialer.silent = {"s1", "s3"}
    with pytest.raises(MasterNotFound, match=r"s3.*in time.*s1.*in time.*s2.*in time"):
        await dialer.dial()
    await (await opening).close()
    assert [peer.is_closing() for peer in dialer.peers.opened] == [True] * 4 + [False, True]


@pytest.mark.parametrize(
    ("replies", "words"),
    [
        ({"SENTINEL": b"*-1\r\n"}, "s1:26379 does not know it"),
        ({"SENTINEL": b"-NOAUTH required\r\n"}, "NOAUTH"),
        ({"AUTH": b"-WRONGPASS no\r\n"}, "WRONGPASS"),
        ({"SENTINEL": CUT}, "was cut"),
        ({"SENTINEL": b"-ERR unknown command 'SENTINEL'\r\n"}, "unknown command"),
    ],
)
@virtual
async def test_each_sentinel_without_a_master_is_listed_with_its_reason(
    replies: dict[str, bytes], words: str
) -> None:
    dialer = Opening(SIGNED_SENTINELS, replying(**replies))
    with pytest.raises(MasterNotFound, match=words):
        await dialer.dial()
    assert [node.host for node in dialer.peers.nodes if node is not None] == ["s1", "s2", "s3"]
    assert dialer.still_open == []


# --- cancellation --------------------------------------------------------------------------------


async def cancelled_in_each_turn(
    begin: Callable[[], Coroutine[Any, Any, Any]], check: Callable[[asyncio.Task[Any]], Any]
) -> None:
    """Begin something again and again, and cancel it after 0, 1, 2, … turns of the event loop."""
    ends = set()
    for turns in range(TURNS):
        task = asyncio.create_task(begin())
        for _ in range(turns):
            await asyncio.sleep(0)
        was_running = task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() or not was_running, f"the cancellation in turn {turns} was lost"
        ends.add(task.cancelled())
        await check(task)
    assert ends == {True, False}, "it took no turn, or too many"


@pytest.mark.promise("no-leak")
@pytest.mark.parametrize("address", ["redis://:pw@h/1", SIGNED_SENTINELS])
@virtual
async def test_an_opening_that_is_cancelled_leaves_no_connection(address: str) -> None:
    dialer = Opening(address, accepting)

    async def check(task: asyncio.Task[Any]) -> None:
        if not task.cancelled():
            await task.result().close()
        assert dialer.still_open == []

    await cancelled_in_each_turn(dialer.dial, check)


@pytest.mark.promise("no-leak")
@pytest.mark.parametrize("address", ["redis://h", SIGNED_SENTINELS])
@virtual
async def test_a_subscriber_that_is_cancelled_leaves_no_connection(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialer = Opening(address, accepting)
    database = dialer.database(monkeypatch)

    async def check(task: asyncio.Task[Any]) -> None:
        if not task.cancelled():
            await task.result().close()
        assert dialer.still_open == []

    await cancelled_in_each_turn(database.subscriber, check)
    await database.close()


@pytest.mark.promise("no-leak")
@virtual
async def test_a_call_that_is_cancelled_does_not_disturb_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    numbers = iter(range(10_000))

    def answer(node: Node | None, words: list[bytes]) -> bytes | None:
        return b":%d\r\n" % next(numbers) if words[0] == b"GET" else accepting(node, words)

    dialer = Opening("redis://h", answer)
    database = dialer.database(monkeypatch)
    seen = [-1]

    async def check(task: asyncio.Task[Any]) -> None:
        one, two = await asyncio.gather(database.command("GET", "b"), database.command("GET", "c"))
        assert seen[-1] < one < two == one + 1
        seen.append(two)
        assert len(dialer.still_open) == 1
        dialer.still_open[0].cut()

    await cancelled_in_each_turn(lambda: database.command("GET", "a"), check)
    await database.close()
    assert dialer.still_open == []


@pytest.mark.promise("no-leak")
@pytest.mark.parametrize("turns", range(12))
@virtual
async def test_closing_while_a_connection_opens_leaves_none(
    turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialer = Opening(SIGNED_SENTINELS, accepting)
    database = dialer.database(monkeypatch)
    call = asyncio.create_task(database.command("PING"))
    for _ in range(turns):
        await asyncio.sleep(0)
    await database.close()
    assert dialer.still_open == []
    with pytest.raises(RedisConnectionError, match="closed"):
        await call
    assert dialer.still_open == []


# --- one connection ------------------------------------------------------------------------------


def connected(answer: Callable[[list[bytes]], bytes | None] = lambda _: None) -> tuple[Peer, Any]:
    peers = Peers(lambda node, words: answer(words))
    connection = peers.connect()
    return peers.opened[0], connection


def asked(connection: Connection, word: str, deadline: float) -> asyncio.Task[Any]:
    return asyncio.create_task(connection.ask(pack(word), deadline))


@virtual
async def test_the_commands_of_one_turn_go_in_one_write() -> None:
    peer, connection = connected(lambda words: bulk(words[0]))
    for count in (1, 100):
        before = peer.writes
        calls = [asked(connection, f"{number}", 5) for number in range(count)]
        assert await asyncio.gather(*calls) == [b"%d" % number for number in range(count)]
        assert peer.writes == before + 1
    await connection.close()


@virtual
async def test_each_call_ends_by_its_own_deadline() -> None:
    peer, connection = connected()
    calls = {seconds: asked(connection, "A", seconds) for seconds in (9, 3, 6, 12)}
    await asyncio.sleep(1)
    for seconds in (3, 6, 9):
        peer.say(b"$100\r\n" if seconds == 3 else b"x" * 10)  # a part of a reply: a sign of life
        ended = asyncio.wait([calls[seconds]])
        before = asyncio.get_running_loop().time()
        assert before + await elapsed(ended) == pytest.approx(seconds)
        with pytest.raises(RedisTimeoutError):
            await calls[seconds]
    assert not connection.lost
    peer.say(b"x" * 80 + b"\r\n:3\r\n:6\r\n:12\r\n")
    assert await calls[12] == 12
    late = asked(connection, "B", 20)
    await asyncio.sleep(0)
    assert await elapsed(asyncio.wait([late])) == pytest.approx(11)
    assert peer.aborted


@pytest.mark.promise("outage")
@virtual
async def test_a_server_that_freezes_between_two_calls_is_given_up() -> None:
    replies = iter([OK, None])
    peer, connection = connected(lambda _: next(replies))
    assert await connection.ask(pack("A"), 5) == b"OK"
    with pytest.raises(RedisTimeoutError):
        await connection.ask(pack("B"), 5)  # in the moment of the reply
    assert peer.aborted


@virtual
async def test_a_caller_that_waits_to_write_may_be_cancelled_or_the_end_comes() -> None:
    peer, connection = connected()
    peer.protocol.pause_writing()
    cancelled, cut = asked(connection, "A", 5), asked(connection, "B", 5)
    await asyncio.sleep(1)
    cancelled.cancel()
    await asyncio.wait([cancelled])
    assert (cancelled.cancelled(), peer.aborted) == (True, False)
    peer.cut()
    with pytest.raises(RedisConnectionError, match="was cut"):
        await cut
    assert peer.commands == []


@virtual
async def test_nothing_is_written_to_a_connection_that_is_gone() -> None:
    peer, connection = connected()
    call = asked(connection, "A", 5)
    connection.write(pack("PING"))
    peer.cut()
    with pytest.raises(RedisConnectionError, match="was cut"):
        await call
    assert peer.writes == 0


@virtual
async def test_what_was_sent_before_the_close_is_still_sent() -> None:
    peer, connection = connected()
    call = asked(connection, "A", 5)
    await asyncio.sleep(0)
    await connection.close()
    assert (peer.commands, peer.aborted) == ([[b"A"]], False)
    with pytest.raises(RedisConnectionError, match="closed"):
        await call
    with pytest.raises(RedisConnectionError, match="closed"):
        await connection.ask(pack("B"), 5)
    await connection.close()


@pytest.mark.promise("no-leak")
@pytest.mark.parametrize("is_cancelled", [False, True])
@virtual
async def test_a_connection_that_does_not_close_is_given_up(is_cancelled: bool) -> None:
    peer, connection = connected()
    peer.stuck = True
    closing = asyncio.create_task(connection.close())
    await asyncio.sleep(0.1)
    if is_cancelled:
        closing.cancel()
    assert await elapsed(asyncio.wait([closing])) <= (0 if is_cancelled else 1)
    assert peer.aborted
    await asyncio.sleep(0)
