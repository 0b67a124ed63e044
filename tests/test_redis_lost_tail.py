"""A store that forgets its last writes while a worker still has its claim."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

import pytest

from durable_llm_streams.log import follow, read_all
from durable_llm_streams.model import Cursor, Status
from durable_llm_streams.runs import Limits, Worker
from durable_llm_streams.source import Event, Finish, Prompt, TextDelta
from durable_llm_streams.store import Order
from tests.oracle.evidence import Answer, Evidence, Log
from tests.oracle.invariants import violations
from tests.redis_servers import RedisServer, redis_server
from tests.redis_stores import RedisStores

__all__ = ["redis_server"]

pytestmark = pytest.mark.xdist_group("redis")

SECONDS = 60.0
WORDS = ("one ", "two ", "three ")
LIMITS = Limits(lease=0.5, poll=0.05, backoff=0.01)
ORDER = Order(
    owner="ann",
    chat_id="c",
    place="follow",
    run_id="run1",
    answer_id="a1",
    model="m",
    now=1_800_000_000_000,
    message_id="m1",
    body=b'{"id":"m1","role":"user","parts":[{"type":"text","text":"Count"}]}',
)


class Source:
    """Says all words, and finishes when it may."""

    def __init__(self) -> None:
        self.may_finish = asyncio.Event()

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        for word in WORDS:
            yield TextDelta(word)
        await self.may_finish.wait()
        yield Finish(reason="stop", metadata={})

    def can_prefill(self, model: str) -> bool:
        return False

    async def close(self) -> None:
        """Nothing to close."""


@pytest.mark.promise("one-clean-answer", "honest-failure")
async def test_an_answer_whose_tail_was_lost_is_not_finished_without_it(
    redis_server: RedisServer,
) -> None:
    async with AsyncExitStack() as stack, asyncio.timeout(SECONDS):
        stores = RedisStores(redis_server.url, real_time=True)
        stack.push_async_callback(stores.clean_up)
        store, source = await stores.open(), Source()
        worker = Worker(store, source, name="w", limits=LIMITS, rng=random.Random(1))
        stack.push_async_callback(worker.close)
        await worker.start()
        run = (await worker.send(ORDER)).run
        async for page in follow(store.log, Cursor.beginning(run.id), wait=1):
            if page.records and b"three" in page.records[-1]:
                break
        async with redis_server.client() as client:
            await client.ltrim(f"{stores.root}:log:{run.id}", 0, 2)
        source.may_finish.set()
        async for _ in follow((await stores.open()).log, Cursor.beginning(run.id), wait=1):
            pass
        records, page = await read_all(store.log, run.id)
        found = await store.runs.find(None, run.chat_id, run.id)
    assert found.status is Status.FINISHED
    answer = Answer(found, Log(records, page.spans), expected="".join(WORDS))
    assert violations(Evidence(answers={run.id: answer})) == []


@pytest.mark.promise("feed")
async def test_a_feed_that_lost_changes_and_got_others_under_their_numbers_says_so(
    redis_server: RedisServer,
) -> None:
    async with AsyncExitStack() as stack, asyncio.timeout(SECONDS):
        stores = RedisStores(redis_server.url, real_time=True)
        stack.push_async_callback(stores.clean_up)
        store = await stores.open()
        await store.runs.send(ORDER)
        began = (await store.feed.changes("ann", None)).position
        await store.chats.rename("ann", "c", "one")
        found = await store.feed.changes("ann", began)
        assert [change.kind for change in found.changes] == ["chat-renamed"]
        async with redis_server.client() as client:
            await client.rpop(f"{stores.root}:feed:ann")
            await client.decr(f"{stores.root}:changes")
        assert (await store.feed.changes("ann", began)).complete
        for position in (found.position, found.changes[-1].position):
            assert not (await store.feed.changes("ann", position)).complete
        await store.chats.rename("ann", "c", "two")
        for position in (found.position, found.changes[-1].position):
            assert not (await store.feed.changes("ann", position)).complete
        again = await store.feed.changes("ann", began)
    assert again.complete
    assert [change.chat.title for change in again.changes if change.chat] == ["two"]
