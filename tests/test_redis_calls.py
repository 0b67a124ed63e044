"""The client of one Redis server: byte by byte and second by second, against a scripted server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from durable_llm_streams.errors import StoreUnavailable
from durable_llm_streams.stores.redis.client.database import Database
from durable_llm_streams.stores.redis.client.errors import (
    MasterNotFound,
    RedisConnectionError,
    RedisError,
    RedisTimeoutError,
    ResponseError,
)
from tests.redis_databases import ADD, ECHO, KEY
from tests.redis_peer import CUT, Peer, Peers, array, bulk, confirmed
from tests.virtual_time import elapsed, virtual

OK = b"+OK\r\n"
NOSCRIPT = b"-NOSCRIPT No matching script.\r\n"


async def turns() -> None:
    """Let everything happen that needs no time."""
    for _ in range(10):
        await asyncio.sleep(0)


async def connected(*replies: bytes | None, address: str = "") -> tuple[Peers, Peer, Database]:
    """A client with an open connection. Further commands get these replies, then none."""
    peers = Peers.replying(OK, *replies, *[None] * 10)
    database = peers.database(address or "redis://nowhere?timeout=5")
    await database.command("PING")
    await asyncio.sleep(1)
    return peers, peers.opened[0], database


def asked(database: Database, *keys: str) -> list[asyncio.Task[Any]]:
    return [asyncio.create_task(database.command("GET", key)) for key in keys]


def sent(peers: Peers) -> list[list[bytes]]:
    """The commands that went to the server, without the keys and arguments of scripts."""
    return [words[:2] for words in peers.commands]


# --- one connection ------------------------------------------------------------------------------


@virtual
async def test_replies_are_put_together_from_any_pieces() -> None:
    _, peer, database = await connected()
    calls = asked(database, *"abcd")
    await turns()
    replies = bulk(b"\r\n\x00") + b":7\r\n" + b"*2\r\n$-1\r\n" + array(b"x") + b"-OOM full\r\n"
    for at in range(len(replies)):
        peer.say(replies[at : at + 1])
    assert await asyncio.gather(*calls[:3]) == [b"\r\n\x00", 7, [None, [b"x"]]]
    with pytest.raises(ResponseError, match="OOM"):
        await calls[3]
    calls = asked(database, *"abc")
    await turns()
    peer.say(b":1\r\n:2\r\n:3\r\n")
    assert await asyncio.gather(*calls) == [1, 2, 3]


@virtual
async def test_a_silent_connection_is_given_up_and_its_calls_go_to_the_next() -> None:
    peers, peer, database = await connected(None, None, OK)
    (first,) = asked(database, "a")
    await asyncio.sleep(3)
    (second,) = asked(database, "b")
    with pytest.raises(RedisTimeoutError, match="did not answer in time"):
        await first
    assert await elapsed(second) < 1
    assert await second == b"OK"
    assert (peer.aborted, len(peers.opened)) == (True, 2)


@virtual
async def test_a_late_reply_is_dropped_where_the_server_gives_a_sign_of_life() -> None:
    peers, peer, database = await connected()
    calls = asked(database, "a", "b")
    await asyncio.sleep(1)
    (late,) = asked(database, "c")
    await turns()
    peer.say(b":1\r\n")
    with pytest.raises(RedisTimeoutError):
        await calls[1]
    peer.say(b":2\r\n:3\r\n")
    assert [await calls[0], await late] == [1, 3]
    assert len(peers.opened) == 1, "the connection was given up"


@virtual
async def test_callers_wait_while_the_kernel_takes_nothing_more() -> None:
    peers, peer, database = await connected(OK, OK)
    peer.protocol.pause_writing()
    (waiting,) = asked(database, "a")
    await turns()
    assert len(peer.commands) == 1, "it was written although the kernel takes nothing"
    peer.protocol.resume_writing()
    assert await waiting == b"OK"
    peer.protocol.pause_writing()
    (waiting,) = asked(database, "b")
    await turns()
    peer.cut()
    assert await elapsed(waiting) < 1, "it waits for a connection that is gone"
    peers.opened[1].protocol.pause_writing()
    with pytest.raises(RedisTimeoutError, match="does not read"):
        await database.command("PING")
    assert peers.opened[1].aborted


@pytest.mark.parametrize(
    "unasked", [b":1\r\n", b"-ERR max number of clients reached\r\n", b"?\r\n"]
)
@virtual
async def test_a_connection_closes_at_an_unsolicited_reply(unasked: bytes) -> None:
    peers, peer, database = await connected(OK)
    peer.say(unasked)
    assert peer.aborted
    assert await database.command("PING") == b"OK"
    assert len(peers.opened) == 2


@virtual
async def test_callers_share_one_opening_and_closing_ends_all() -> None:
    peers = Peers(lambda node, words: OK)
    database = peers.database()
    await asyncio.gather(*asked(database, *"abcdefgh"))
    assert len(peers.opened) == 1
    peers.opened[0].cut()
    await database.command("PING")
    assert len(peers.opened) == 2
    peers.opened[1].cut()
    peers.hanging = True
    calls = asked(database, "a", "b")
    with pytest.raises(RedisTimeoutError, match="could not be reached"):
        await asyncio.wait_for(calls[0], 6)
    calls += asked(database, "c", "d")
    await asyncio.sleep(1)
    await database.close()
    for call in [*calls[2:], *asked(database, "e")]:
        with pytest.raises(RedisConnectionError, match="closed here"):
            await call
    peers = Peers(lambda node, words: OK)
    database = peers.database()
    await database.command("PING")
    await database.close()
    assert peers.opened[0].is_closing()


@virtual
async def test_a_failed_connect_fails_its_callers_and_the_next_call_retries_it() -> None:
    peers = Peers(lambda node, words: OK)
    database = peers.database()
    peers.failure = RedisConnectionError("refused")
    results = await asyncio.gather(*asked(database, *"abc"), return_exceptions=True)
    assert [str(result) for result in results] == ["refused"] * 3
    assert len(peers.dialed) == 2, "one attempt for all callers, repeated once"
    peers.failure = None
    assert await database.command("PING") == b"OK"


# --- repetitions ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("refusal", "asked", "left"),
    [
        (CUT, 2, True),
        (b"-READONLY a replica\r\n", 2, True),
        (b"-MASTERDOWN no master\r\n", 2, True),
        (b"-NOREPLICAS too few\r\n", 1, True),
        (b"-LOADING a while\r\n", 1, True),
        (b"-NOAUTH required\r\n", 1, True),
        (b"-OOM full\r\n", 1, False),
        (None, 1, True),
    ],
)
@virtual
async def test_a_call_is_retried_once_if_another_connection_may_help(
    refusal: bytes | None, asked: int, left: bool
) -> None:
    peers, first, database = await connected(*[refusal] * asked, b"+done\r\n")
    with pytest.raises(StoreUnavailable, match="tried again"):
        await database.call(ADD, [KEY], [1])
    command = [b"EVALSHA", ADD.sha.encode(), b"1", KEY.encode(), b"1"]
    assert peers.commands[1:] == [command] * asked
    assert first.is_closing() is left
    assert await database.call(ADD, [KEY], [1]) == b"done"
    assert len(peers.opened) == (asked + 1 if left else 1)
    if asked == 2:
        _, _, database = await connected(refusal, b"+done\r\n")
        assert await database.call(ADD, [KEY], []) == b"done"


@pytest.mark.parametrize(
    "failure", [ResponseError("WRONGPASS invalid"), MasterNotFound("No Sentinel names a master")]
)
@virtual
async def test_a_connect_that_would_fail_again_is_not_retried(failure: RedisError) -> None:
    peers = Peers()
    peers.failure = failure
    with pytest.raises(StoreUnavailable, match="tried again"):
        await peers.database().call(ADD, [KEY], [])
    assert len(peers.dialed) == 1


@virtual
async def test_a_call_and_its_retry_share_one_deadline() -> None:
    peers, peer, database = await connected()
    call = asyncio.create_task(database.call(ADD, [KEY], []))
    await asyncio.sleep(3)
    peer.cut()
    assert 1.9 < await elapsed(asyncio.wait([call])) < 2.1
    with pytest.raises(StoreUnavailable, match="in time"):
        await call
    assert len(peers.opened) == 2


# --- scripts -------------------------------------------------------------------------------------


@virtual
async def test_a_script_that_the_server_does_not_know_is_sent_whole() -> None:
    peers, _, database = await connected(NOSCRIPT, CUT, b"+done\r\n")
    assert await database.call(ECHO, [KEY, b"k2"], ["a", 2]) == b"done"
    rest = [b"2", KEY.encode(), b"k2", b"a", b"2"]
    whole = [b"EVAL", ECHO.text.encode(), *rest]
    assert peers.commands[1:] == [[b"EVALSHA", ECHO.sha.encode(), *rest], whole, whole]


@pytest.mark.parametrize(
    ("refusal", "plain"),
    [
        ("ERR Error compiling script (new function): user_script:1: unexpected symbol", True),
        ("ERR near '#'", True),
        ("ERR Unexpected engine in script shebang: lua", True),
        ("ERR user_script:3: Script attempted to access nonexistent global variable", False),
    ],
)
@virtual
async def test_a_server_that_refused_the_first_line_is_not_sent_it_again(
    refusal: str, plain: bool
) -> None:
    assert ADD.plain is not None
    assert ADD.plain.text.splitlines() == ["", *ADD.text.splitlines()[1:]]
    old, new = ADD, ADD.plain if plain else ADD
    refused = f"-{refusal}\r\n".encode()
    replies = [NOSCRIPT, refused, *[b"-ERR user_script:3: no\r\n"] * plain, b":2\r\n"]
    peers, _, database = await connected(*replies)
    with pytest.raises(ResponseError, match="user_script:3"):
        await database.call(ADD, [KEY], [])
    assert await database.call(ADD, [KEY], []) == 2
    forms = [("EVALSHA", old.sha), ("EVAL", old.text), *[("EVAL", new.text)] * plain]
    assert sent(peers)[1:] == [[a.encode(), b.encode()] for a, b in [*forms, ("EVALSHA", new.sha)]]


@virtual
async def test_a_script_that_compiles_in_neither_form_keeps_its_first_line() -> None:
    refusals = [b"-ERR compiling: with it\r\n", b"-ERR compiling: without\r\n"]
    peers, _, database = await connected(NOSCRIPT, *refusals, b":1\r\n")
    with pytest.raises(ResponseError, match="with it"):
        await database.call(ADD, [KEY], [])
    assert await database.call(ADD, [KEY], []) == 1
    assert sent(peers)[-1] == [b"EVALSHA", ADD.sha.encode()]


# --- messages ------------------------------------------------------------------------------------


def message(payload: bytes) -> bytes:
    return array(b"message", b"news", payload)


@virtual
async def test_opening_a_subscriber_fails_within_the_timeout() -> None:
    peers = Peers()
    peers.failure = RedisConnectionError("The connection was cut.")
    database = peers.database()
    with pytest.raises(StoreUnavailable, match="connection was cut"):
        await database.subscriber()
    peers.hanging = True
    with pytest.raises(StoreUnavailable, match="in time"):
        await asyncio.wait_for(database.subscriber(), 6)


@virtual
async def test_messages_arrive_in_order_from_any_pieces_early_ones_too() -> None:
    peers = Peers(lambda node, words: confirmed(words))
    subscriber = await peers.database().subscriber()
    (peer,) = peers.opened
    await subscriber.subscribe("news", b"more")
    for at in range(len(early := message(b"1") + message(b"\r\n2"))):
        peer.say(early[at : at + 1])
    heard: list[bytes] = []
    listening = asyncio.create_task(subscriber.listen(lambda _, payload: heard.append(payload)))
    await turns()
    peer.say(message(b"3") + message(b"4"))
    assert heard == [b"1", b"\r\n2", b"3", b"4"]
    await subscriber.close()
    with pytest.raises(StoreUnavailable):
        await listening


@pytest.mark.promise("outage")
@virtual
async def test_a_subscriber_pings_and_disconnects_without_a_reply() -> None:
    peers = Peers(lambda node, words: confirmed(words))
    subscriber = await peers.database().subscriber()
    (peer,) = peers.opened
    for _ in range(100):
        await asyncio.sleep(1)
        peer.say(message(b"x"))
    assert peer.commands == [], "messages are signs of life"
    await asyncio.sleep(60)  # without channels, PING is answered as usual
    await subscriber.subscribe("news")
    listening = asyncio.create_task(subscriber.listen(lambda *_: None))
    await asyncio.sleep(600)
    assert not listening.done()
    pings = peer.commands.count([b"PING"])
    assert 200 < pings < 400, f"one after each quiet period, not {pings}"
    peer.say(array(b"pong", b""))
    peers.answer = lambda node, words: None
    waiting = asyncio.create_task(subscriber.subscribe("more"))
    assert await elapsed(asyncio.wait([listening])) < 5 + 2 * 2
    for task in (listening, waiting):
        with pytest.raises(StoreUnavailable, match="no sign of life"):
            await task
    assert peer.aborted


@virtual
async def test_each_change_waits_for_its_own_confirmations() -> None:
    peers = Peers()
    subscriber = await peers.database("redis://nowhere?timeout=60").subscriber()
    (peer,) = peers.opened
    first = asyncio.create_task(subscriber.subscribe("a", "b"))
    cancelled = asyncio.create_task(subscriber.subscribe("c"))
    refused = asyncio.create_task(subscriber.subscribe("d"))
    last = asyncio.create_task(subscriber.unsubscribe("a"))
    await turns()
    cancelled.cancel()
    peer.say(confirmed([b"SUBSCRIBE", b"a"]))
    await turns()
    assert not first.done()
    peer.say(confirmed([b"SUBSCRIBE", b"b", b"c"]))
    await first
    peer.say(b"-NOPERM no access to the channel\r\n")
    with pytest.raises(StoreUnavailable, match="does not allow"):
        await refused
    await turns()
    assert not last.done()
    peer.say(confirmed([b"UNSUBSCRIBE", b"a"]))
    await last
    peer.say(b"-ERR unasked\r\n")
    assert peer.aborted
    with pytest.raises(StoreUnavailable):
        await subscriber.subscribe("e")
