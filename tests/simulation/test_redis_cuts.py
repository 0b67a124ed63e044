"""Waiting readers and feeds get everything at once, whichever Redis connection was cut."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import NamedTuple, TypeVar

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from durable_llm_streams.errors import StoreUnavailable
from durable_llm_streams.model import Claim
from tests.contract.harness import LEASE, Talk, records
from tests.redis_stores import RedisStores
from tests.virtual_time import elapsed, now, run_virtual, virtual

from .redis_model import ModelNetwork, ModelRedis, model_store

T = TypeVar("T")

#: Seconds that anything may be late where a cut is noticed at once. By themselves, readers and
#: feeds look again after `WAIT` only.
AT_ONCE, WAIT = 0.5, 600.0


class Deed(NamedTuple):
    """Something that a process does, or that happens to its connections."""

    pause: float
    kind: str
    process: str
    silence: float = 0.0


class World:
    """Two processes. In each of them, a reader of one run and a feed wait."""

    def __init__(self, seed: int = 0) -> None:
        rng = random.Random(seed)
        self.network = ModelNetwork(
            ModelRedis(now), latency=lambda: rng.choice((0.0002, 0.001, 0.005))
        )
        self.talks: dict[str, Talk] = {}
        self.committed: dict[bytes, float] = {}
        self.received: dict[str, dict[bytes, float]] = {"A": {}, "B": {}}
        self._loop = asyncio.get_running_loop()
        self._waiting: list[asyncio.Task[None]] = []
        self._writer, self._next = "A", 1
        self.claim: Claim

    @classmethod
    @asynccontextmanager
    async def started(cls, seed: int = 0) -> AsyncIterator[World]:
        """Everything waits. At the end a reader or feed that has failed fails the test."""
        world = cls(seed)
        for name in world.received:
            store = model_store(world.network, name)
            await store.open()
            world.talks[name] = Talk(RedisStores("redis://nowhere"), store)
        world.claim = await world.talks["A"].start()
        for name in world.received:
            for waiting in (world._read(name), world._follow_feed(name)):
                world._waiting.append(asyncio.create_task(waiting))
        await asyncio.sleep(1)
        yield world
        failed = [task for task in world._waiting if task.done()]
        for task in world._waiting:
            task.cancel()
        await asyncio.wait(world._waiting)
        for talk in world.talks.values():
            await talk.store.close()
        await asyncio.gather(*failed)

    async def do(self, deed: Deed) -> None:
        await asyncio.sleep(deed.pause)
        store = self.talks[deed.process].store
        match deed.kind:
            case "append":
                [record] = records(1, mark=f"{self._next}")
                written = await self.talks[self._writer].append(self.claim, [record], self._next)
                assert written, f"{self._writer} is not the writer any more"
                self._next += 1
                self.committed[record] = self._loop.time()
            case "rename":
                title = f"title {len(self.committed)}"
                await store.chats.rename("ann", "c1", title)
                self.committed[title.encode()] = self._loop.time()
            case "seize":
                self.claim = await store.runs.claim_run(self.claim.run.id, deed.process, LEASE)
                self._writer = deed.process
            case "restart":
                self.network.restart()
            case _:
                use = deed.kind.removeprefix("cut ")
                self.network.cut(deed.process, use=use, silence=deed.silence)

    def check(self, allowed: float) -> None:
        """Every process has received everything, no later than that many seconds."""
        for name, received in self.received.items():
            for item, at in self.committed.items():
                late = received.get(item, math.inf) - at
                assert late < allowed, f"{name} received {item!r} of {at:.3f} s {late:.3f} s late"

    async def _read(self, name: str) -> None:
        store, seen = self.talks[name].store, 0
        while True:
            page = await patient(partial(store.log.read, self.claim.run.id, seen, wait=WAIT))
            self._note(name, page.records)
            seen += len(page.records)

    async def _follow_feed(self, name: str) -> None:
        store = self.talks[name].store
        position = (await store.feed.changes("ann", None)).position
        while True:
            found = await patient(partial(store.feed.changes, "ann", position, wait=WAIT))
            assert found.complete, f"the feed in {name} has a gap after {position}"
            position = found.position
            titles = [change.chat.title for change in found.changes if change.chat is not None]
            self._note(name, [title.encode() for title in titles if title.startswith("title")])

    def _note(self, name: str, items: Sequence[bytes]) -> None:
        for item in items:
            assert item not in self.received[name], f"{name} received {item!r} twice"
            self.received[name][item] = self._loop.time()


async def patient(attempt: Callable[[], Awaitable[T]]) -> T:
    while True:
        try:
            return await attempt()
        except StoreUnavailable:
            await asyncio.sleep(0.02)


async def live(deeds: list[Deed], seed: int) -> None:
    async with World.started(seed) as world:
        for deed in deeds:
            await world.do(deed)
        await asyncio.sleep(30)
    try:
        world.check(AT_ONCE + sum(deed.silence for deed in deeds))
    except AssertionError as error:
        raise AssertionError(f"{error}, in this history: {deeds}, {seed=}") from None


#: No shrinking: it takes minutes.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
PAUSES = st.sampled_from([0.0, 0.0, 0.0005, 0.003, 0.03, 0.06, 0.4])
PROCESSES = st.sampled_from(["A", "B"])
KINDS = ["append", "append", "rename", "seize", "cut messages", "cut messages"]
CUTS = st.sampled_from(["cut messages", "cut calls", "restart"])
DEEDS = st.one_of(
    st.builds(Deed, PAUSES, st.sampled_from(KINDS), PROCESSES, st.just(0.0)),
    st.builds(Deed, PAUSES, CUTS, PROCESSES, st.sampled_from([0.0, 0.2])),
)


@pytest.mark.promise("outage", "feed")
@settings(max_examples=200, deadline=None, print_blob=True, phases=PHASES)
@given(st.lists(DEEDS, min_size=1, max_size=20), st.integers(0, 1000))
@example([Deed(0, "cut messages", "B"), Deed(0, "append", "A"), Deed(0, "rename", "A")], 1)
@example([Deed(0, "cut messages", "A"), Deed(0, "seize", "B"), Deed(0.4, "append", "B")], 1)
@example([*[Deed(1.5, "cut messages", "B")] * 6, Deed(0.003, "append", "A")], 1)
def test_nothing_committed_waits_until_a_reader_looks_by_itself(
    deeds: list[Deed], seed: int
) -> None:
    run_virtual(live(deeds, seed))


@virtual
async def test_readers_read_the_store_while_no_subscription_can_be_made() -> None:
    async with World.started() as world:
        world.network.cut_subscriber = lambda process: 0.0 if process == "B" else None
        await world.do(Deed(0, "cut messages", "B"))
        await world.do(Deed(10, "append", "A"))
        await asyncio.sleep(30)
        world.check(5 + AT_ONCE)  # a call's timeout


@virtual
async def test_a_worker_looks_for_work_after_a_cut() -> None:
    async with World.started() as world:
        store = world.talks["B"].store
        await store.runs.wait_for_work(0.5)
        waiting = asyncio.create_task(elapsed(store.runs.wait_for_work(WAIT)))
        await world.do(Deed(1, "cut messages", "B", silence=2))
        await world.talks["A"].send("m2", chat="c2")
        assert await waiting < 4, "the worker has waited for its next look"


@virtual
async def test_a_reader_waits_where_a_run_with_records_was_claimed() -> None:
    async with World.started() as world:
        await world.do(Deed(0, "append", "A"))
        store = model_store(world.network, "C")
        await store.open()
        claim = await store.runs.claim_run(world.claim.run.id, "C", LEASE)
        assert claim.next_seq == 2
        assert await elapsed(store.log.read(claim.run.id, 1, wait=5)) >= 5
        await store.close()


@virtual
async def test_leases_run_out_by_the_clock_of_redis() -> None:
    async with World.started() as world:
        store, run = world.talks["B"].store, world.claim.run
        assert await store.runs.claim("B", 1, LEASE) == []
        await asyncio.sleep(LEASE + 1)
        [claim] = await store.runs.claim("B", 1, LEASE)
        assert (claim.run.id, claim.epoch.number) == (run.id, world.claim.epoch.number + 1)
