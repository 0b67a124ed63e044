"""The Redis store: the contract, and what only several processes can get into."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from durable_llm_streams.backoff import Backoff
from durable_llm_streams.errors import CursorLost, StoreUnavailable, TooManyRuns
from durable_llm_streams.log import follow
from durable_llm_streams.model import Cursor, Status, token_at
from durable_llm_streams.store import Bounds, Changes, Retention
from durable_llm_streams.stores.redis import RedisAddress, RedisStore, scripts
from durable_llm_streams.stores.redis.log import record_seconds
from durable_llm_streams.stores.redis.replies import accepted, claim_from
from tests.contract import LimitsContract, StoreContract, TurnsContract, compare_with_model
from tests.contract.harness import DAY, HOUR, LEASE, LONG, PATIENCE, Talk, bounded, records, refused
from tests.contract.machine import SETTINGS
from tests.redis_servers import RedisServer, redis_server
from tests.redis_stores import RedisStores, elsewhere, stores, talk
from tests.waiting import until, within

__all__ = ["elsewhere", "redis_server", "stores", "talk"]

pytestmark = pytest.mark.xdist_group("redis")

DAY_MILLISECONDS = round(DAY * 1000)


@pytest.fixture(autouse=True)
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("durable_llm_streams.stores.redis.runs._CLAIMS_PER_CALL", 2)


class TestTurns(TurnsContract):
    pass


class TestLimits(LimitsContract):
    pass


class TestContract(StoreContract):
    """Every sentence of the Store contract."""


@pytest.mark.promise("idempotent-send", "fencing")
async def test_a_send_whose_reply_was_lost_gets_its_claim_from_the_repeated_call(
    talk: Talk,
) -> None:
    """A copy that arrives late, when the run has ended or its chat is deleted, changes nothing."""
    store = talk.store
    assert isinstance(store, RedisStore)
    partition = store._partitions.of_chat("ann", "c1")
    words = store.runs._arguments(talk.order(worker="w1", lease=LEASE), "t0ken")
    replies = [await partition.call(scripts.SEND, *words) for _ in range(2)]
    assert [reply[0] for reply in replies] == [b"new", b"new"]
    claim, again = (claim_from(accepted(reply)) for reply in replies)
    assert (claim, claim.epoch.token) == (again, "t0ken")
    await talk.end(claim)
    async with talk.unchanged():
        assert (await partition.call(scripts.SEND, *words))[0] == b"found"
    await store.chats.delete("ann", "c1")
    assert await partition.call(scripts.SEND, *words) == [b"chat-not-found"]
    assert await talk.chat_ids() == []
    assert (await talk.send()).created


@pytest.mark.promise("outage")
async def test_a_value_that_the_store_has_needs_no_redis_after_opening(
    talk: Talk, stores: RedisStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that starts while Redis fails must not end because of its cookies' key."""
    secret = await talk.store.meta("secret", b"drawn")
    store = await stores.open()

    async def unreachable(*_: object) -> None:
        raise StoreUnavailable("Gone.")

    monkeypatch.setattr(store._client, "call", unreachable)
    assert await store.meta("secret", b"other") == secret
    with pytest.raises(StoreUnavailable):
        await store.meta("unknown", b"")


async def test_values_of_the_store_itself_are_no_values_of_the_program(talk: Talk) -> None:
    for name in ("version", "partitions", "life"):
        with pytest.raises(ValueError, match=name):
            await talk.store.meta(name, b"")


@pytest.mark.promise("prefix", "fencing", "one-end", "stop", "idempotent-send", "history-is-fold")
def test_random_operations_do_what_they_do_in_the_model(redis_server: RedisServer) -> None:
    profile = settings(SETTINGS, max_examples=100)
    compare_with_model(lambda: RedisStores(redis_server.url), profile)


# --- readers in other processes ----------------------------------------------------------------


@pytest.mark.promise("prefix")
async def test_a_reader_elsewhere_gets_every_record_once_while_it_is_written(
    talk: Talk, elsewhere: Talk
) -> None:
    claim = await talk.start()

    async def read() -> list[bytes]:
        pages = follow(elsewhere.store.log, Cursor.beginning(claim.run.id), wait=PATIENCE)
        return [record async for page in pages for record in page.records]

    reading = asyncio.create_task(read())
    await elsewhere.stores.settle()
    written, at = records(500), 1
    for size in range(1, 32):
        lot = written[at - 1 : at - 1 + size]
        assert await talk.append(claim, lot, at)
        at += len(lot)
    await talk.end(claim)
    async with within("the end of the log in the other process"):
        assert await reading == await talk.log(claim.run.id)


@pytest.mark.promise("seen-is-durable")
async def test_readers_here_get_nothing_that_redis_has_not_taken_yet(
    talk: Talk, redis_server: RedisServer
) -> None:
    claim = await talk.start()
    await talk.append(claim, records(3))
    reader = await talk.waiting(claim.run.id, 3)
    await redis_server.command("CLIENT", "PAUSE", 60_000, "WRITE")
    try:
        appending = asyncio.create_task(talk.append(claim, records(1, mark="y"), at=4))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not appending.done(), "the server was asked to hold writes back, and did not"
        assert not reader.done(), f"a reader got what is not written: {reader.result().records}"
    finally:
        await redis_server.command("CLIENT", "UNPAUSE")
    assert await appending
    assert (await bounded(reader)).records == records(1, mark="y")


@pytest.mark.promise("prefix")
async def test_readers_go_on_when_the_writer_changes_its_process(
    talk: Talk, elsewhere: Talk
) -> None:
    claim = await talk.start()
    await talk.append(claim, records(3))
    readers = [await reader.waiting(claim.run.id, 3) for reader in (talk, elsewhere)]
    talk.clock.advance(LEASE + 1)
    (taken,) = await elsewhere.store.runs.claim("w2", 1, LEASE)
    for reader in readers:  # they see that it was claimed
        assert (await bounded(reader)).spans == taken.run.spans
    readers = [await reader.waiting(claim.run.id, 3) for reader in (talk, elsewhere)]
    assert await elsewhere.append(taken, records(1, mark="y"))
    for reader in readers:
        assert (await bounded(reader)).records == records(1, mark="y")
    assert not await talk.append(claim, records(1, mark="z"), at=4)
    readers = [await reader.waiting(claim.run.id, 4) for reader in (talk, elsewhere)]
    await talk.stop(claim.run.id)
    for place, reader in zip((talk, elsewhere), readers, strict=True):
        page = await bounded(reader)
        while not page.status.ended:  # woken by the claim that comes before the end
            page = await bounded(await place.waiting(claim.run.id, 4))
        assert page.status is Status.STOPPED


async def test_work_that_a_claim_leaves_notifies_others(talk: Talk, elsewhere: Talk) -> None:
    for number in range(2):
        await talk.send(chat=f"c{number}")
    await elsewhere.work_is_quiet()
    work = asyncio.create_task(elsewhere.store.runs.wait_for_work(LONG))
    await elsewhere.stores.settle()
    assert not work.done()
    assert len(await talk.store.runs.claim("w1", 1, LEASE)) == 1
    async with within("the hint that there is work"):
        await work


@pytest.mark.promise("no-leak")
async def test_a_tail_without_readers_is_released(
    talk: Talk, elsewhere: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("durable_llm_streams.stores.redis.live.following._IDLE_SECONDS", 0.0)
    run = (await talk.start()).run
    assert isinstance(elsewhere.store, RedisStore)
    await bounded(await elsewhere.waiting(run.id, 0, wait=0.01))
    async with within("the tail to be dropped"):
        while elsewhere.store._following._tails:
            await asyncio.sleep(0.01)


# --- what Redis may lose or not answer ---------------------------------------------------------


@pytest.mark.promise("lost-tail-is-told")
async def test_a_lost_tail_is_noticed_by_its_writer_and_by_its_readers(
    talk: Talk, elsewhere: Talk, stores: RedisStores, redis_server: RedisServer
) -> None:
    """As after a failover; then the log regrows, and is longer again than the cursor."""
    claim = await talk.start()
    run_id = claim.run.id
    assert await talk.append(claim, records(10))
    page = await talk.store.log.read(run_id, 0)
    cursor = Cursor(run_id, 10, token_at(page.spans, 10))
    reader = await elsewhere.waiting(run_id, 10)
    looking = follow(elsewhere.store.log, cursor, wait=0.01)
    assert (await anext(looking)).records == []  # nothing was received in this stream
    await redis_server.command("RPOP", f"{stores.root}:log:{run_id}", "4")
    assert not await talk.append(claim, records(1), at=11)
    new = await talk.take_over(claim)
    assert new.next_seq == 7
    with pytest.raises(CursorLost):
        await bounded(reader)
    assert await talk.append(new, records(20, mark="y"), at=7)
    for again in (looking, follow(elsewhere.store.log, cursor, wait=0.01)):
        with pytest.raises(CursorLost):
            async for page in again:
                assert page.records == []


@pytest.mark.promise("feed")
async def test_a_feed_is_notified_of_changes_during_a_cut_connection(
    talk: Talk, elsewhere: Talk, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("durable_llm_streams.stores.redis.live.events._RETRY", Backoff(0.5, 0.5))
    await talk.send()
    store = elsewhere.store
    assert isinstance(store, RedisStore)
    position = (await store.feed.changes("ann", None)).position
    await redis_server.command("CLIENT", "KILL", "TYPE", "pubsub")
    await until(lambda: store._following.events._subscriber is None)

    async def next_changes() -> Changes:
        while not (found := await store.feed.changes("ann", position, wait=600)).changes:
            pass  # woken by the cut, or by its end
        return found

    waiting = asyncio.create_task(next_changes())
    await until(lambda: "ann" in store._following._subscribers._subscribed and store.arriving == 0)
    await talk.store.chats.rename("ann", "c1", "Another title")
    async with within("a change in the feed after the cut"):
        found = await waiting
    assert [change.kind for change in found.changes] == ["chat-renamed"]


@pytest.mark.promise("takeover")
@pytest.mark.parametrize("claiming", [True, False], ids=["by a claim", "by a message alone"])
async def test_a_claim_whose_reply_was_lost_is_found_by_the_next_one(
    tmp_path: Path, claiming: bool
) -> None:
    """Redis stands still, the claimer gives up, Redis does what it was asked for all the same."""
    async with RedisServer(tmp_path) as server:
        address = RedisAddress.parse(f"{server.url}?timeout=0.3")
        store = RedisStore(address)
        talk = Talk(RedisStores(server.url), store)
        await store.open()
        try:
            waiting = (await talk.send("m1", chat="c1")).run
            server.freeze()
            asked: list[Coroutine[Any, Any, object]] = [
                talk.send("m2", chat="c2", worker="w1", lease=LEASE, run_id="sent")
            ]
            if claiming:
                asked.insert(0, store.runs.claim("w1", 5, LEASE))
            unanswered = await asyncio.gather(*asked, return_exceptions=True)
            assert [type(answer) for answer in unanswered] == [StoreUnavailable] * len(asked)
            server.thaw()
            third = (await talk.send("m3", chat="c3")).run
            found: list[str] = []
            async with within("three claims"):
                while len(found) < 3:
                    claims = await store.runs.claim("w1", 2, LEASE)
                    assert len(claims) <= 2, "what was claimed before counts"
                    assert [claim.run.takeovers for claim in claims] == [0] * len(claims)
                    for claim in claims:
                        assert await talk.append(claim, records(1))
                    found += [claim.run.id for claim in claims]
            assert sorted(found) == sorted([waiting.id, "sent", third.id])
        finally:
            server.thaw()
            await store.close()


# --- what stays --------------------------------------------------------------------------------


@pytest.mark.promise("bounded")
async def test_every_step_of_a_chat_renews_the_ttl_of_its_keys(
    talk: Talk, stores: RedisStores, redis_server: RedisServer
) -> None:
    """A chat lives for its retention and a day, counted from the last message or end."""
    retention, root = Retention(), stores.root
    keys = [f"{root}:{kind}:ann/c1" for kind in ("chat", "order", "tree", "body", "keys")]
    keys.append(f"{root}:owner:ann")

    async def ttl(key: str) -> float:
        left: int = await redis_server.command("PTTL", key)
        return round(left / DAY_MILLISECONDS, 1)

    async def renews(step: str) -> None:
        lives = {key: await ttl(key) for key in keys}
        assert set(lives.values()) == {retention.chat / DAY + 1}, (step, lives)
        for key in keys:
            await redis_server.command("PEXPIRE", key, DAY_MILLISECONDS)

    claim = await talk.start("m1", key="k1")
    await renews("the first message")
    await talk.send("m2", queue=True)
    await renews("another message")
    await talk.end(claim)
    await renews("the end of an answer")
    lives = {kind: await ttl(f"{root}:{kind}:{claim.run.id}") for kind in ("log", "run")}
    assert lives == {"log": retention.log / DAY, "run": record_seconds(retention) / DAY}


@pytest.mark.promise("no-leak")
async def test_a_run_whose_record_has_expired_leaves_the_indexes(
    talk: Talk, stores: RedisStores, redis_server: RedisServer
) -> None:
    run, root = await talk.answer(), stores.root
    long_ago = talk.clock() - round(1000 * (record_seconds(Retention()) + DAY))
    assert await redis_server.command("ZADD", f"{root}:ended", "XX", "CH", long_ago, run.id) == 1
    assert await talk.expire(chat_age=0) == 1
    for index in ("runs", "ended", "kept"):
        assert await redis_server.command("ZRANGE", f"{root}:{index}", 0, -1) == [], index


async def test_a_search_continues_until_the_last_chat(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("durable_llm_streams.stores.redis.chats._SEARCHED_AT_ONCE", 3)
    for number in range(10):
        await talk.send(chat=f"c{number}", title="sought" if number < 2 else "other")
        talk.clock.advance(1)
    assert await talk.chat_ids(query="sought", limit=2) == ["c1", "c0"]


@pytest.mark.promise("no-leak")
async def test_a_deleted_chat_leaves_nothing_but_the_news_of_it(
    talk: Talk, stores: RedisStores, redis_server: RedisServer
) -> None:
    run = await talk.answer()
    await talk.store.chats.delete("ann", "c1")
    left = {key.decode() for key in await redis_server.command("KEYS", f"{stores.root}:*")}
    names = ("changes", "clock", "number", "feed:ann", f"gone:{run.id}")
    assert left == {f"{stores.root}:{name}" for name in names}


@pytest.mark.promise("feed")
async def test_a_position_older_than_the_feeds_may_have_missed_something(talk: Talk) -> None:
    position = (await talk.store.feed.changes("ann", None)).position
    assert (await talk.store.feed.changes("ann", position)).complete
    talk.clock.advance(25 * HOUR)
    assert not (await talk.store.feed.changes("ann", position)).complete


@pytest.mark.promise("fair")
async def test_the_counts_of_a_store_of_an_earlier_version_are_made_by_the_first_call(
    talk: Talk, stores: RedisStores, redis_server: RedisServer
) -> None:
    for chat in ("r1", "r2"):
        await talk.start(chat=chat)
    waiting = [(await talk.send(chat=chat)).run.id for chat in ("w1", "w2")]
    bob = (await talk.send(owner="bob")).run.id
    counts = ("owned", "held", "waiting", "waits:ann", "waits:bob")
    names = [f"{stores.root}:{count}" for count in counts]
    async with redis_server.client() as client:
        before = [await client.dump(name) for name in names]
        for call in ("claim", "send"):
            assert await client.delete(*names) == len(names)
            if call == "claim":
                assert await talk.claims(10, 0) == []
            else:
                await refused(TooManyRuns, talk.send(chat="c9", bounds=Bounds(active=4)))
            assert [await client.dump(name) for name in names] == before, call
    assert [claim.run.id for claim in await talk.claims()] == [bob, *waiting]
