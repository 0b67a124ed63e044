"""Connections to Redis, byte by byte and second by second: links, and what opens them."""

from __future__ import annotations

import asyncio

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from durable_llm_streams.errors import StoreUnavailable
from durable_llm_streams.stores.redis.client.link import Link
from durable_llm_streams.stores.redis.client.routes import Line
from durable_llm_streams.stores.redis.client.subscriber import Subscriber
from durable_llm_streams.stores.redis.client.wire import pack
from tests.redis_peer import Peer, Peers, array, bulk, ok
from tests.virtual_time import elapsed, virtual

PING = pack("PING")


def after(seconds: float) -> float:
    """A deadline."""
    return asyncio.get_running_loop().time() + seconds


async def turns() -> None:
    """Let everything happen that needs no time."""
    for _ in range(10):
        await asyncio.sleep(0)


def asked(link: Link, *words: str, seconds: float = 5.0) -> asyncio.Task[object]:
    return asyncio.create_task(link.ask(pack(*words), after(seconds)))


# --- links ---------------------------------------------------------------------------------------


@virtual
async def test_replies_are_put_together_from_any_pieces() -> None:
    peer = Peer()
    link = Link(peer.writer)
    calls = [asked(link, "GET", f"{number}") for number in range(4)]
    await turns()
    replies = bulk(b"\r\n\x00") + b":7\r\n" + b"*2\r\n$-1\r\n" + array(b"x") + b"-OOM full\r\n"
    for at in range(len(replies)):
        peer.say(replies[at : at + 1])
    assert await asyncio.gather(*calls[:3]) == [b"\r\n\x00", 7, [None, [b"x"]]]
    with pytest.raises(ResponseError, match="OOM"):
        await calls[3]
    calls = [asked(link, "GET", f"{number}") for number in range(3)]
    await turns()
    peer.say(b":1\r\n:2\r\n:3\r\n")
    assert await asyncio.gather(*calls) == [1, 2, 3]


@virtual
async def test_a_silent_link_is_given_up_and_all_its_calls_fail() -> None:
    peer = Peer()
    link = Link(peer.writer)
    await asyncio.sleep(1)
    first, second = asked(link, "GET", "a", seconds=5), asked(link, "GET", "b", seconds=60)
    with pytest.raises(RedisTimeoutError):
        await first
    assert await elapsed(asyncio.wait([second])) < 1
    with pytest.raises(RedisConnectionError):
        await second
    assert peer.aborted
    with pytest.raises(RedisConnectionError):
        await link.ask(PING, after(5))


@virtual
async def test_a_late_reply_is_dropped_and_the_link_goes_on_after_a_sign_of_life() -> None:
    peer = Peer()
    link = Link(peer.writer)
    await asyncio.sleep(1)
    calls = [asked(link, "GET", "a", seconds=5), asked(link, "GET", "b", seconds=5)]
    await asyncio.sleep(1)
    late = asked(link, "GET", "c", seconds=5)
    peer.say(b":1\r\n")
    with pytest.raises(RedisTimeoutError):
        await calls[1]
    assert not peer.aborted
    peer.say(b":2\r\n:3\r\n")
    assert [await calls[0], await late] == [1, 3]


@virtual
async def test_callers_wait_while_the_kernel_takes_nothing_more() -> None:
    peer = Peer(ok)
    link = Link(peer.writer)
    link.pause_writing()
    waiting = asked(link, "GET", "a")
    await turns()
    assert peer.commands == []
    link.resume_writing()
    assert await waiting == b"OK"
    link.pause_writing()
    with pytest.raises(RedisTimeoutError):
        await link.ask(PING, after(5))
    assert peer.aborted


@virtual
async def test_callers_that_wait_to_write_fail_when_the_link_is_cut() -> None:
    peer = Peer()
    link = Link(peer.writer)
    link.pause_writing()
    waiting = asked(link, "GET", "a", seconds=60)
    await turns()
    peer.cut()
    assert await elapsed(asyncio.wait([waiting])) < 1
    with pytest.raises(RedisConnectionError):
        await waiting


@pytest.mark.parametrize(
    "unasked", [b":1\r\n", b"-ERR max number of clients reached\r\n", b"?\r\n"]
)
def test_a_link_ends_when_the_server_says_something_unasked(unasked: bytes) -> None:
    @virtual
    async def test() -> None:
        peer = Peer()
        link = Link(peer.writer)
        peer.say(unasked)
        assert peer.aborted
        with pytest.raises(RedisError) as caught:
            await link.ask(PING, after(5))
        assert isinstance(caught.value, ResponseError) is (b"clients" in unasked)

    test()


# --- lines ---------------------------------------------------------------------------------------


@virtual
async def test_callers_share_one_opening_and_the_next_one_opens_a_lost_link() -> None:
    peers = Peers(lambda node, words: ok(words))
    line = Line(peers.dial)
    await asyncio.gather(*(line.ask(PING, after(5)) for _ in range(10)))
    assert len(peers.opened) == 1
    peers.opened[0][1].cut()
    await line.ask(PING, after(5))
    assert len(peers.opened) == 2
    await line.close()
    with pytest.raises(RedisConnectionError, match="closed here"):
        await line.ask(PING, after(5))
    assert all(peer.is_closing() for _, peer in peers.opened)


@virtual
async def test_an_opening_that_hangs_ends_no_later_than_the_calls_deadline() -> None:
    peers = Peers(lambda node, words: ok(words))
    line = Line(peers.dial)
    peers.hanging = True
    with pytest.raises(RedisTimeoutError, match="could not be reached"):
        await asyncio.wait_for(line.ask(PING, after(5)), 6)
    await line.close()
    with pytest.raises(RedisConnectionError, match="closed here"):
        await line.ask(PING, after(5))


@virtual
async def test_closing_cancels_the_opening_and_none_of_its_callers() -> None:
    peers = Peers(lambda node, words: ok(words))
    line = Line(peers.dial)
    peers.hanging = True
    calls = [asyncio.create_task(line.ask(PING, after(5))) for _ in range(2)]
    await asyncio.sleep(1)
    await line.close()
    for call in calls:
        with pytest.raises(RedisConnectionError, match="closed here"):
            await call


@virtual
async def test_an_opening_that_fails_fails_its_callers_and_is_repeated_by_the_next() -> None:
    peers = Peers(lambda node, words: ok(words))
    line = Line(peers.dial)
    peers.failure = RedisConnectionError("refused")
    calls = [asyncio.create_task(line.ask(PING, after(5))) for _ in range(3)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [str(result) for result in results] == ["refused"] * 3
    peers.failure = None
    assert await line.ask(PING, after(5)) == b"OK"
    await line.close()


@pytest.mark.parametrize("code", ["READONLY", "MASTERDOWN", "NOREPLICAS", "LOADING", "NOAUTH"])
def test_a_server_that_is_not_the_one_to_ask_is_left(code: str) -> None:
    @virtual
    async def test() -> None:
        peers = Peers(lambda node, words: f"-{code} no\r\n".encode())
        line = Line(peers.dial)
        for number in (1, 2):
            with pytest.raises(ResponseError):
                await line.ask(PING, after(5))
            assert len(peers.opened) == number
            assert peers.opened[-1][1].is_closing()
        await line.close()

    test()


@virtual
async def test_another_error_leaves_the_link_open() -> None:
    peers = Peers(lambda node, words: b"-OOM full\r\n")
    line = Line(peers.dial)
    for _ in range(2):
        with pytest.raises(ResponseError, match="OOM"):
            await line.ask(PING, after(5))
    assert len(peers.opened) == 1
    await line.close()


# --- subscribers ---------------------------------------------------------------------------------


def confirmed(words: list[bytes]) -> bytes | None:
    """Redis's reply to a subscriber."""
    if words[0] == b"PING":
        return b"+PONG\r\n"
    kind = words[0].lower()
    return b"".join(b"*3\r\n" + bulk(kind) + bulk(each) + b":1\r\n" for each in words[1:])


def message(payload: bytes) -> bytes:
    return array(b"message", b"news", payload)


@virtual
async def test_messages_arrive_in_order_from_any_pieces_early_ones_too() -> None:
    peer = Peer(confirmed)
    subscriber = Subscriber(peer.writer, patience=5)
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
async def test_a_subscriber_asks_for_a_sign_of_life_and_ends_without_one() -> None:
    answers = True
    peer = Peer(lambda words: confirmed(words) if answers else None)
    subscriber = Subscriber(peer.writer, patience=5)
    await asyncio.sleep(60)  # without channels, PING is answered as usual
    await subscriber.subscribe("news")
    listening = asyncio.create_task(subscriber.listen(lambda *_: None))
    await asyncio.sleep(600)
    assert not listening.done()
    pings = peer.commands.count([b"PING"])
    assert 200 < pings < 400, f"one after each quiet period, not {pings}"
    peer.say(array(b"pong", b""))
    answers = False
    waiting = asyncio.create_task(subscriber.subscribe("more"))
    assert await elapsed(asyncio.wait([listening])) < 5 + 2 * 2
    for task in (listening, waiting):
        with pytest.raises(StoreUnavailable, match="no sign of life"):
            await task
    assert peer.aborted


@virtual
async def test_messages_are_signs_of_life() -> None:
    peer = Peer(confirmed)
    subscriber = Subscriber(peer.writer, patience=5)
    for _ in range(100):
        await asyncio.sleep(1)
        peer.say(message(b"x"))
    assert peer.commands == []
    await subscriber.close()


@virtual
async def test_each_change_waits_for_its_own_confirmations() -> None:
    peer = Peer()
    subscriber = Subscriber(peer.writer, patience=60)
    first = asyncio.create_task(subscriber.subscribe("a", "b"))
    cancelled = asyncio.create_task(subscriber.subscribe("c"))
    refused = asyncio.create_task(subscriber.subscribe("d"))
    last = asyncio.create_task(subscriber.unsubscribe("a"))
    await turns()
    cancelled.cancel()
    peer.say(confirmed([b"SUBSCRIBE", b"a"]) or b"")
    await turns()
    assert not first.done()
    peer.say(confirmed([b"SUBSCRIBE", b"b", b"c"]) or b"")
    await first
    peer.say(b"-NOPERM no access to the channel\r\n")
    with pytest.raises(StoreUnavailable, match="does not allow"):
        await refused
    await turns()
    assert not last.done()
    peer.say(confirmed([b"UNSUBSCRIBE", b"a"]) or b"")
    await last
    peer.say(b"-ERR unasked\r\n")
    assert peer.aborted
    with pytest.raises(StoreUnavailable):
        await subscriber.subscribe("e")
