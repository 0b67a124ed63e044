"""`RunStore.claim`, `seize`, `renew`, `release`, `work`: who writes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from durable_llm_streams.errors import Fenced, RunNotFound
from durable_llm_streams.model import Claim, Epoch, Span, Status

from .harness import LAST, LEASE, LONG, Talk, bounded, records, refused

Steps = dict[str, Callable[[], Awaitable[object]]]


async def does_nothing(talk: Talk, claim: Claim, log: list[bytes]) -> None:
    """A claim that does not hold neither writes nor renews, and releases nothing."""
    tries = [(1, records(2)), (3, records(1)), (3, []), (len(log) + 1, records(1)), (1, log)]
    for at, new in tries:
        assert not await talk.append(claim, new, at=at), (at, new)
    assert list(await talk.store.runs.renew([claim], LEASE)) == [claim]
    await talk.store.runs.release([claim])


class ClaimContract:
    """A run has one writer at a time, and never none for long."""

    async def test_a_claim_starts_the_first_run_of_a_chat(self, talk: Talk) -> None:
        run = (await talk.send()).run
        await talk.send("m2", queue=True)
        assert (run.status, run.epoch, run.spans) == (Status.QUEUED, Epoch(0, ""), ())
        talk.clock.advance(3)
        (claim,) = await talk.claims()
        assert (claim.epoch.number, claim.next_seq) == (1, 1)
        assert claim.epoch.token
        assert (claim.run.id, claim.run.epoch) == (run.id, claim.epoch)
        assert (claim.run.status, claim.run.takeovers) == (Status.RUNNING, 0)
        assert claim.run.spans == (Span(1, claim.epoch),)
        assert claim.run.started_at == talk.clock()
        assert await talk.find() == claim.run

    @pytest.mark.parametrize("cause", ["send", "end", "stop", "release"])
    async def test_a_worker_that_waits_is_woken_by_a_run_to_claim(
        self, talk: Talk, cause: str
    ) -> None:
        claim = await talk.start("m1")
        order = talk.order("m2", queue=True) if cause != "send" else talk.order(chat="c2")
        if cause in {"end", "stop"}:
            await talk.store.runs.send(order)
        await talk.work_is_quiet()
        work = asyncio.create_task(talk.store.runs.wait_for_work(LONG))
        await talk.stores.settle()
        assert not work.done()
        causes: Steps = {
            "send": lambda: talk.store.runs.send(order),
            "end": lambda: talk.end(claim),
            "stop": lambda: talk.stop(claim.run.id),
            "release": lambda: talk.store.runs.release([claim]),
        }
        await causes[cause]()
        await bounded(work)
        (found,) = await talk.claims()
        assert found.run.id == (claim.run.id if cause == "release" else order.run_id)

    async def test_work_that_arrived_without_a_waiter_is_not_missed(self, talk: Talk) -> None:
        await talk.work_is_quiet()
        await talk.send()
        await bounded(talk.store.runs.wait_for_work(LONG))
        await bounded(talk.store.runs.wait_for_work(0.01))

    async def test_oldest_runs_come_first_and_no_more_than_asked_for(self, talk: Talk) -> None:
        runs = [(await talk.send(chat=f"c{n}")).run.id for n in (3, 1, 4, 2, 5)]
        claims = [await talk.claims(2) for _ in range(4)]
        found = [[claim.run.id for claim in some] for some in claims]
        assert found == [runs[:2], runs[2:4], runs[4:], []]

    @pytest.mark.promise("takeover", "fencing")
    async def test_a_lease_that_ran_out_is_a_takeover(self, talk: Talk) -> None:
        """Every claim has another token; one that wrote nothing has no span."""
        first = await talk.start()
        assert await talk.append(first, records(2))
        started = talk.clock()
        second = await talk.take_over(first)
        assert (second.epoch.number, second.next_seq) == (2, 3)
        assert (second.run.takeovers, second.run.started_at) == (1, started)
        assert second.run.spans == (Span(1, first.epoch), Span(3, second.epoch))
        claims = [first, second]
        for _ in range(18):
            claims.append(await talk.take_over(claims[-1]))
        assert (claims[-1].run.takeovers, claims[-1].epoch.number) == (19, 20)
        assert claims[-1].run.spans == (Span(1, first.epoch), Span(3, claims[-1].epoch))
        assert len({claim.epoch.token for claim in claims}) == 20

    async def test_the_oldest_lease_that_ran_out_comes_first(self, talk: Talk) -> None:
        runs = [(await talk.start(chat=f"c{n}")).run.id for n in (2, 1, 3)]
        runs.append((await talk.send(chat="c0")).run.id)
        talk.clock.advance(LEASE + 1)
        assert [claim.run.id for claim in await talk.claims()] == runs

    async def test_a_run_is_seized_from_its_holder(self, talk: Talk) -> None:
        old = await talk.start()
        assert await talk.append(old, records(2))
        reader = await talk.waiting(old.run.id, 2)
        new = await talk.store.runs.claim_run(old.run.id, "w2", LEASE)
        assert (new.epoch.number, new.next_seq) == (2, 3)
        assert new.epoch.token not in ("", old.epoch.token)
        assert (new.run.status, new.run.takeovers) == (Status.RUNNING, 0)
        assert new.run.spans == (Span(1, old.epoch), Span(3, new.epoch))
        assert await talk.find() == new.run
        assert await talk.store.runs.renew([old, new], LEASE) == [old]
        assert (await talk.end(new, status=Status.STOPPED)).status is Status.STOPPED
        page = await bounded(reader)
        assert [*records(2), *page.records] in (records(2), [*records(2), LAST])

    @pytest.mark.promise("takeover")
    async def test_a_seized_run_is_claimed_when_the_lease_runs_out(self, talk: Talk) -> None:
        run_id = (await talk.start()).run.id
        talk.clock.advance(LEASE - 1)
        await talk.store.runs.claim_run(run_id, "w2", LEASE)
        talk.clock.advance(LEASE - 1)
        assert await talk.claims() == []
        talk.clock.advance(2)
        (claim,) = await talk.claims()
        assert (claim.run.id, claim.epoch.number, claim.run.takeovers) == (run_id, 3, 1)

    async def test_a_run_can_be_seized_before_its_turn(self, talk: Talk) -> None:
        first = await talk.start("m1")
        waiting = (await talk.send("m2", queue=True)).run
        seized = await talk.store.runs.claim_run(waiting.id, "w2", LEASE)
        assert (seized.epoch.number, seized.next_seq) == (1, 1)
        await talk.store.runs.release([seized])
        assert await talk.claims() == [], "it waits for its turn again"
        await talk.end(
            await talk.store.runs.claim_run(waiting.id, "w2", LEASE), status=Status.STOPPED
        )
        assert await talk.append(first, records(1))
        for _ in ("at once", "after a crash"):
            assert (await talk.find()).id == first.run.id
            await talk.crash()

    async def test_a_run_that_ended_or_is_gone_cannot_be_seized(self, talk: Talk) -> None:
        run = await talk.answer()
        await refused(Fenced, talk.store.runs.claim_run(run.id, "w2", LEASE))
        assert await talk.find(run.id) == run
        await talk.store.chats.delete("ann", "c1")
        await refused(RunNotFound, talk.store.runs.claim_run(run.id, "w2", LEASE))

    async def test_renewing_prolongs_the_lease_from_now(self, talk: Talk) -> None:
        claim = await talk.start()
        for _ in range(3):
            talk.clock.advance(LEASE - 1)
            assert await talk.claims() == []
            assert await talk.store.runs.renew([claim], LEASE) == []
        talk.clock.advance(LEASE + 1)
        assert len(await talk.claims()) == 1

    async def test_an_expired_lease_holds_until_another_claim(self, talk: Talk) -> None:
        claim = await talk.start()
        talk.clock.advance(100_000)
        assert await talk.append(claim, records(1))
        assert await talk.store.runs.renew([claim], LEASE) == []
        assert await talk.claims() == []

    @pytest.mark.promise("fencing", "one-end", "stop")
    @pytest.mark.parametrize(
        "cause", ["a takeover", "a seizure", "a release", "the end", "a stop", "a delete"]
    )
    async def test_a_claim_that_is_lost_is_good_for_nothing(self, talk: Talk, cause: str) -> None:
        """Not even what it wrote can be repeated, but for the end."""
        claim = await talk.start()
        assert await talk.append(claim, records(2))
        causes: Steps = {
            "a takeover": lambda: talk.take_over(claim),
            "a seizure": lambda: talk.store.runs.claim_run(claim.run.id, "w2", LEASE),
            "a release": lambda: talk.store.runs.release([claim]),
            "the end": lambda: talk.end(claim),
            "a stop": lambda: talk.stop(claim.run.id),
            "a delete": lambda: talk.store.chats.delete("ann", "c1"),
        }
        await causes[cause]()
        run_id, deleted = claim.run.id, cause == "a delete"
        if deleted:
            run_id = (await talk.start()).run.id  # the chat is there again
        log = await talk.log(run_id)
        async with talk.unchanged():
            await does_nothing(talk, claim, log)
            if cause != "the end":
                await refused(RunNotFound if deleted else Fenced, talk.end(claim, at=len(log) + 1))
        assert await talk.log(run_id) == log

    @pytest.mark.promise("fencing")
    @pytest.mark.parametrize(("more", "token"), [(0, "0badc0de"), (0, ""), (1, None)])
    async def test_the_number_and_the_token_of_a_claim_must_both_be_right(
        self, talk: Talk, more: int, token: str | None
    ) -> None:
        claim = await talk.start()
        assert await talk.append(claim, records(2))
        epoch = Epoch(claim.epoch.number + more, claim.epoch.token if token is None else token)
        wrong = claim._replace(epoch=epoch)
        talk.clock.advance(LEASE - 1)
        async with talk.unchanged():
            await does_nothing(talk, wrong, records(2))
            await refused(Fenced, talk.end(wrong))
        talk.clock.advance(2)
        (again,) = await talk.claims()  # the lease was not prolonged
        await talk.end(again)
        await refused(Fenced, talk.end(again._replace(epoch=again.epoch._replace(token="x"))))

    @pytest.mark.promise("one-end")
    async def test_an_ended_run_cannot_be_claimed(self, talk: Talk) -> None:
        await talk.answer(chat="c1")
        await talk.stop((await talk.start(chat="c2")).run.id)
        await talk.stop((await talk.send(chat="c3")).run.id)
        given_back = await talk.start(chat="c4")
        await talk.store.runs.release([given_back])
        await talk.stop(given_back.run.id)
        talk.clock.advance(LEASE + 1)
        for _ in ("at once", "after a crash"):
            assert await talk.claims() == []
            assert await talk.store.operators.newest(active=True) == []
            await talk.crash()

    @pytest.mark.promise("fencing")
    async def test_renewing_names_the_claims_that_are_lost(self, talk: Talk) -> None:
        claims = [await talk.start(chat=f"c{n}") for n in range(5)]
        await talk.end(claims[0])
        await talk.stop(claims[1].run.id)
        await talk.store.chats.delete("ann", "c2")
        await talk.store.runs.release([claims[3]])
        assert list(await talk.store.runs.renew(claims, LEASE)) == claims[:4]
        assert await talk.store.runs.renew([], LEASE) == []
        await talk.store.runs.release([])

    @pytest.mark.promise("hand-over")
    async def test_a_run_that_is_given_back_is_claimable_at_once(self, talk: Talk) -> None:
        first = await talk.start()
        await talk.send("m2", queue=True)
        assert await talk.append(first, records(3))
        await talk.store.runs.release([first, first])
        run = await talk.find()
        assert (run.status, run.epoch) == (Status.QUEUED, first.epoch)
        assert await talk.log(run.id) == records(3)
        (second,) = await talk.claims()
        assert (second.run.id, second.run.takeovers) == (first.run.id, 0)
        assert (second.epoch.number, second.next_seq) == (2, 4)
        assert second.run.started_at == first.run.started_at
        assert await talk.append(second, records(1), at=4)

    @pytest.mark.promise("takeover")
    async def test_claims_and_what_was_given_back_survive_a_crash(self, talk: Talk) -> None:
        released, held = await talk.start(chat="c1"), await talk.start(chat="c2")
        waiting = (await talk.send("m2", chat="c2", queue=True)).run
        for claim in (released, held):
            assert await talk.append(claim, records(2))
        await talk.store.runs.release([released])
        before = await talk.store.operators.newest()
        await talk.crash()
        assert await talk.store.operators.newest() == before
        talk.clock.advance(LEASE + 1)
        first, second = await talk.claims()
        assert (first.run.id, first.run.takeovers, first.next_seq) == (released.run.id, 0, 3)
        assert (second.run.id, second.run.takeovers, second.next_seq) == (held.run.id, 1, 3)
        assert first.epoch.number == second.epoch.number == 2
        assert (await talk.find(waiting.id, "c2")).status is Status.QUEUED

    @pytest.mark.promise("fencing")
    async def test_a_writer_that_was_frozen_through_a_takeover_is_fenced(self, talk: Talk) -> None:
        frozen = await talk.start()
        assert await talk.append(frozen, records(2))
        reader = await talk.waiting(frozen.run.id, 2)
        new = await talk.take_over(frozen)
        assert not await talk.append(frozen, records(1), at=3)
        assert await talk.append(new, records(1, mark="y"), at=3)
        page = await bounded(reader)
        log = await talk.log(frozen.run.id)
        assert log == records(2) + records(1, mark="y")
        assert list(page.records) in ([], log[2:])
