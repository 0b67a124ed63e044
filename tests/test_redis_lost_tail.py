"""A store that loses its last writes while a worker still has its claim."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack

import pytest

from durable_llm_streams.log import follow, read_all
from durable_llm_streams.model import Cursor, Status
from durable_llm_streams.runs import Limits, Worker
from durable_llm_streams.store import Order
from tests.contract.harness import Talk
from tests.oracle.evidence import Answer, Evidence, Log
from tests.oracle.invariants import violations
from tests.redis_servers import RedisServer, redis_server
from tests.redis_stores import RedisStores, stores, talk
from tests.scripted_source import Do, Done, Say, ScriptedSource
from tests.waiting import within

__all__ = ["redis_server", "stores", "talk"]

pytestmark = pytest.mark.xdist_group("redis")

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


@pytest.mark.promise("one-clean-answer", "honest-failure")
async def test_an_answer_whose_tail_was_lost_is_not_finished_without_it(
    redis_server: RedisServer,
) -> None:
    async with AsyncExitStack() as stack, within("the answer to be finished"):
        stores = RedisStores(redis_server.url, real_time=True)
        stack.push_async_callback(stores.clean_up)
        store, may_finish = await stores.open(), asyncio.Event()
        source = ScriptedSource([Say(*WORDS), Do(may_finish.wait), Done()])
        worker = Worker(store, source, name="w", limits=LIMITS, rng=random.Random(1))
        stack.push_async_callback(worker.close)
        await worker.start()
        run = (await worker.send(ORDER)).run
        async for page in follow(store.log, Cursor.beginning(run.id), wait=1):
            if page.records and b"three" in page.records[-1]:
                break
        await redis_server.command("LTRIM", f"{stores.root}:log:{run.id}", 0, 2)
        may_finish.set()
        async for _ in follow((await stores.open()).log, Cursor.beginning(run.id), wait=1):
            pass
        records, page = await read_all(store.log, run.id)
        found = await store.operators.any_run(run.id)
    assert found.status is Status.FINISHED
    answer = Answer(found, Log(records, page.spans), expected="".join(WORDS))
    assert violations(Evidence(answers={run.id: answer})) == []


@pytest.mark.promise("feed")
async def test_a_feed_with_lost_changes_and_reused_numbers_is_incomplete(
    talk: Talk, stores: RedisStores, redis_server: RedisServer
) -> None:
    await talk.send()
    store = talk.store
    began = (await store.feed.changes("ann", None)).position
    await store.chats.rename("ann", "c1", "one")
    found = await store.feed.changes("ann", began)
    assert [change.kind for change in found.changes] == ["chat-renamed"]
    lost = (found.position, found.changes[-1].position)
    await redis_server.command("RPOP", f"{stores.root}:feed:ann")
    await redis_server.command("DECR", f"{stores.root}:changes")
    assert (await store.feed.changes("ann", began)).complete
    assert [(await store.feed.changes("ann", position)).complete for position in lost] == [
        False
    ] * 2
    await store.chats.rename("ann", "c1", "two")
    assert [(await store.feed.changes("ann", position)).complete for position in lost] == [
        False
    ] * 2
    again = await store.feed.changes("ann", began)
    assert again.complete
    assert [change.chat.title for change in again.changes if change.chat] == ["two"]
