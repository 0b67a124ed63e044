"""Bounds and turns: how many runs an owner may have, and whose is next."""

from __future__ import annotations

import asyncio

import pytest

from durable_llm_streams.errors import ChatBusy, KeyConflict, QueueFull, TooManyRuns
from durable_llm_streams.model import Claim, Run, Status
from durable_llm_streams.store import Bounds
from tests.waiting import within

from .harness import LEASE, LONG, StoreFactory, Talk, bounded, refused


async def waits(talk: Talk, owner: str, count: int, first: int = 1) -> list[Run]:
    """Runs of an owner that wait, each in a chat of its own."""
    chats = range(first, first + count)
    return [(await talk.send(chat=f"c{n}", owner=owner)).run for n in chats]


async def runs(talk: Talk, owner: str, count: int) -> list[Claim]:
    """Runs of an owner that run, begun before any other waits."""
    return [await talk.start(chat=f"r{n}", owner=owner) for n in range(count)]


async def order_of(talk: Talk, limit: int = 1, per_owner: int | None = None) -> list[str]:
    """The ids of the runs as they are claimed, so many at once."""
    found: list[str] = []
    async with within("all runs to be claimed"):
        while claims := await talk.claims(limit, per_owner):
            found += [claim.run.id for claim in claims]
    return found


class TurnsContract:
    """No owner waits for all runs of another. For stores of one partition: each counts alone."""

    @pytest.fixture
    async def talk(self, stores: StoreFactory) -> Talk:
        return Talk(stores, await stores.open())

    @pytest.mark.promise("fair")
    @pytest.mark.parametrize("limit", [1, 3, 10])
    async def test_owners_take_turns_whoever_sent_more_and_sooner(
        self, talk: Talk, limit: int
    ) -> None:
        ann, bob = await waits(talk, "ann", 4), await waits(talk, "bob", 2)
        (cid,) = await waits(talk, "cid", 1)
        turns = [ann[0], bob[0], cid, ann[1], bob[1], ann[2], ann[3]]
        assert await order_of(talk, limit) == [run.id for run in turns]

    @pytest.mark.promise("fair")
    async def test_the_owner_with_fewer_running_runs_is_next(self, talk: Talk) -> None:
        ending, _ = await runs(talk, "ann", 2)
        await runs(talk, "bob", 1)
        ann, bob = await waits(talk, "ann", 2), await waits(talk, "bob", 3)
        assert [claim.run.id for claim in await talk.claims(1)] == [bob[0].id]
        await talk.end(ending)
        assert await order_of(talk) == [ann[0].id, ann[1].id, bob[1].id, bob[2].id]

    @pytest.mark.promise("fair")
    async def test_a_claim_leaves_an_owner_no_more_than_the_bound(self, talk: Talk) -> None:
        (running,) = await runs(talk, "ann", 1)
        ann, bob = await waits(talk, "ann", 3), await waits(talk, "bob", 1)
        assert await order_of(talk, 10, 2) == [bob[0].id, ann[0].id]
        await talk.work_is_quiet()
        work = asyncio.create_task(talk.store.runs.wait_for_work(LONG))
        await talk.stores.settle()
        await talk.end(running)
        await bounded(work)
        assert await order_of(talk, 10, 2) == [ann[1].id]
        assert await order_of(talk, 10) == [ann[2].id]

    @pytest.mark.promise("fair")
    @pytest.mark.parametrize("cause", ["stop", "release", "delete"])
    async def test_a_run_that_no_longer_runs_makes_room_for_another(
        self, talk: Talk, cause: str
    ) -> None:
        (running,) = await runs(talk, "ann", 1)
        (waiting,) = await waits(talk, "ann", 1)
        assert await talk.claims(10, 1) == []
        await talk.work_is_quiet()
        work = asyncio.create_task(talk.store.runs.wait_for_work(LONG))
        await talk.stores.settle()
        if cause == "stop":
            await talk.stop(running.run.id)
        elif cause == "release":
            await talk.store.runs.release([running])
        else:
            await talk.store.chats.delete("ann", "r0")
        await bounded(work)
        expected = running.run.id if cause == "release" else waiting.id
        assert await order_of(talk, 10, 1) == [expected]

    @pytest.mark.promise("fair", "takeover")
    async def test_a_run_whose_lease_ran_out_counts_as_running(self, talk: Talk) -> None:
        old = [claim.run.id for claim in await runs(talk, "ann", 2)]
        ann, bob = await waits(talk, "ann", 1), await waits(talk, "bob", 3)
        talk.clock.advance(LEASE + 1)
        assert [claim.run.id for claim in await talk.claims(3, 3)] == [bob[0].id, bob[1].id, old[0]]
        claims = await talk.claims(10, 1)
        assert [(one.run.id, one.run.takeovers) for one in claims] == [(old[1], 1)]
        assert await order_of(talk, 10, 3) == [ann[0].id, bob[2].id]

    @pytest.mark.promise("fair")
    async def test_a_new_run_does_not_pass_runs_that_wait(self, talk: Talk) -> None:
        (bob,) = await waits(talk, "bob", 1)
        sent = await talk.send(chat="c1", worker="w1", lease=LEASE)
        assert (sent.claim, sent.run.status) == (None, Status.QUEUED)
        assert await order_of(talk) == [bob.id, sent.run.id]
        assert (await talk.send(chat="c2", worker="w1", lease=LEASE)).claim is not None
        await waits(talk, "bob", 1, first=2)
        cid = await talk.send(chat="c1", owner="cid", worker="w1", lease=LEASE)
        assert cid.claim is not None, "it has fewer running runs than the one that waits"

    @pytest.mark.promise("fair")
    async def test_a_new_run_beyond_the_bound_waits(self, talk: Talk) -> None:
        bounds = Bounds(running=1)
        first = await talk.start(bounds=bounds)
        sent = await talk.send(chat="c2", worker="w1", lease=LEASE, bounds=bounds)
        assert (sent.created, sent.claim, sent.run.status) == (True, None, Status.QUEUED)
        assert await talk.claims(10, 1) == []
        assert (await talk.start(owner="bob", bounds=bounds)).run.status is Status.RUNNING
        await talk.end(first)
        assert await order_of(talk, 10, 1) == [sent.run.id]

    @pytest.mark.promise("fair")
    async def test_an_owner_has_no_more_active_runs_than_the_bound(self, talk: Talk) -> None:
        bounds = Bounds(active=3)
        first = await talk.start("m1", bounds=bounds)
        await talk.send("m2", queue=True, bounds=bounds)
        await talk.send("m1", chat="c2", bounds=bounds)
        async with talk.unchanged():
            for chat in ("c1", "c3"):
                error = await refused(
                    TooManyRuns, talk.send("m3", chat=chat, queue=True, bounds=bounds)
                )
                assert error.limit == 3
            await refused(ChatBusy, talk.send("m3", bounds=bounds))
        await talk.crash()
        await refused(TooManyRuns, talk.send("m3", chat="c3", bounds=bounds))
        assert (await talk.send(owner="bob", bounds=bounds)).created
        assert (await talk.send(chat="c4", bounds=Bounds(active=4))).created
        await talk.stop(first.run.id)
        await refused(TooManyRuns, talk.send("m3", chat="c3", bounds=bounds))
        await talk.store.chats.delete("ann", "c2")
        assert (await talk.send("m3", chat="c3", bounds=bounds)).created

    @pytest.mark.promise("fair")
    async def test_no_more_runs_of_all_owners_wait_than_the_bound(self, talk: Talk) -> None:
        bounds = Bounds(waiting=2)
        await talk.start("m1", bounds=bounds)
        for message in ("m2", "m3"):
            await talk.send(message, queue=True, bounds=bounds)
        async with talk.unchanged():
            error = await refused(QueueFull, talk.send(owner="cid", chat="c9", bounds=bounds))
            assert error.limit == 2
        cid = await talk.send(owner="cid", worker="w1", lease=LEASE, bounds=bounds)
        assert cid.claim is not None, "a run that need not wait is not refused"
        await refused(QueueFull, talk.send(owner="dan", bounds=bounds))
        await talk.stop((await talk.store.operators.newest(active=True))[1].id)
        assert (await talk.send(owner="dan", bounds=bounds)).created

    @pytest.mark.promise("fair", "idempotent-send")
    async def test_a_duplicate_is_not_refused(self, talk: Talk) -> None:
        none = Bounds(running=1, active=0, waiting=0)
        keyed = {"key": "k1", "content": "x"}
        first = await talk.start(**keyed)
        found = await talk.send("m2", **keyed, bounds=none)
        assert (found.run, found.created) == (first.run, False)
        again = talk.order(None, place="again", bounds=none)
        assert (await talk.store.runs.send(again)).run == first.run
        await refused(KeyConflict, talk.send(**{**keyed, "content": "y"}, bounds=none))

    @pytest.mark.promise("fair")
    async def test_of_concurrent_messages_as_many_pass_as_the_bound_says(self, talk: Talk) -> None:
        bounds = Bounds(active=3)
        orders = [talk.order(chat=f"c{n}", bounds=bounds) for n in range(6)]
        async with within("six messages with room for three"):
            calls = [talk.store.runs.send(order) for order in orders]
            results = await asyncio.gather(*calls, return_exceptions=True)
        refusals = [result for result in results if isinstance(result, TooManyRuns)]
        assert (len(refusals), len(await talk.store.operators.newest())) == (3, 3), results

    @pytest.mark.promise("fair")
    async def test_turns_and_counts_survive_a_crash(self, talk: Talk) -> None:
        await runs(talk, "ann", 1)
        ann, bob = await waits(talk, "ann", 2), await waits(talk, "bob", 1)
        await talk.send("m2", chat="c1", owner="ann", queue=True)
        await talk.crash()
        assert [claim.run.id for claim in await talk.claims(1, 2)] == [bob[0].id]
        await refused(TooManyRuns, talk.send(chat="c9", bounds=Bounds(active=4)))
        assert ann[0].id in await order_of(talk, 10, 2)
