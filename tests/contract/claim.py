"""`RunStore.claim`, `renew`, `release`: who writes."""

from __future__ import annotations

import asyncio

import pytest

from durable_llm_streams.errors import Fenced, RunNotFound
from durable_llm_streams.model import Epoch, Span, Status
from tests.waiting import within

from .harness import LAST, LEASE, LONG, Talk, bounded, records


class ClaimContract:
    """A run has one writer at a time, and never none for long."""

    async def test_a_claim_starts_a_run_that_waits(self, talk: Talk) -> None:
        run = (await talk.send()).run
        assert (run.status, run.epoch, run.spans) == (Status.QUEUED, Epoch(0, ""), ())
        talk.clock.advance(3)
        (claim,) = await talk.store.claim("w1", 10, LEASE)
        assert claim.epoch.number == 1
        assert claim.epoch.token
        assert claim.next_seq == 1
        assert claim.run.id == run.id
        assert claim.run.epoch == claim.epoch
        assert claim.run.status is Status.RUNNING
        assert claim.run.spans == (Span(1, claim.epoch),)
        assert claim.run.started_at == talk.clock()
        assert claim.run.takeovers == 0
        assert await talk.store.find_run("ann", "c1") == claim.run

    @pytest.mark.parametrize("cause", ["send", "end", "stop", "release"])
    async def test_who_waits_for_work_hears_of_a_run_that_can_be_claimed(
        self, talk: Talk, cause: str
    ) -> None:
        claim = await talk.start("m1")
        waiting = (await talk.send("m2", queue=True)).run if cause in {"end", "stop"} else None
        await talk.work_is_quiet()
        work = asyncio.create_task(talk.store.work(LONG))
        await talk.stores.settle()
        assert not work.done()
        if cause == "send":
            waiting = (await talk.send("m3", chat="c2")).run
        elif cause == "end":
            await talk.end(claim)
        elif cause == "stop":
            await talk.stop(claim.run.id)
        else:
            await talk.store.release([claim])
            waiting = claim.run
        async with within("the hint that there is work"):
            await work
        (found,) = await talk.store.claim("w1", 10, LEASE)
        assert waiting is not None
        assert found.run.id == waiting.id

    async def test_work_that_came_while_nobody_waited_is_not_missed(self, talk: Talk) -> None:
        await talk.work_is_quiet()
        await talk.send()
        async with within("the hint that there is work"):
            await talk.store.work(LONG)

    async def test_waiting_for_work_ends_also_without_any(self, talk: Talk) -> None:
        await talk.start()
        async with within("the end of a short wait for work"):
            await talk.store.work(0.01)

    async def test_closing_lets_those_go_who_wait_for_work(self, talk: Talk) -> None:
        await talk.work_is_quiet()
        work = asyncio.create_task(talk.store.work(LONG))
        await talk.stores.settle()
        await talk.store.close()
        async with within("the end of the wait when the store closes"):
            await work

    async def test_oldest_runs_come_first_and_no_more_than_asked_for(self, talk: Talk) -> None:
        runs = [(await talk.send(chat=f"c{n}")).run for n in (3, 1, 4, 2, 5)]
        claims = [*await talk.store.claim("w1", 2, LEASE), *await talk.store.claim("w2", 2, LEASE)]
        assert [claim.run.id for claim in claims] == [run.id for run in runs[:4]]
        (last,) = await talk.store.claim("w1", 2, LEASE)
        assert last.run.id == runs[4].id
        assert await talk.store.claim("w1", 2, LEASE) == []

    async def test_runs_of_a_chat_start_one_after_the_other(self, talk: Talk) -> None:
        first = (await talk.send("m1")).run
        for n in (2, 3):
            await talk.send(f"m{n}", queue=True)
        other = (await talk.send(chat="c2")).run
        claims = await talk.store.claim("w1", 10, LEASE)
        assert [claim.run.id for claim in claims] == [first.id, other.id]

    async def test_a_live_lease_keeps_others_away(self, talk: Talk) -> None:
        await talk.start()
        talk.clock.advance(LEASE - 1)
        assert await talk.store.claim("w2", 10, LEASE) == []

    @pytest.mark.promise("takeover")
    async def test_a_lease_that_ran_out_is_a_takeover(self, talk: Talk) -> None:
        first = await talk.start()
        assert await talk.append(first, records(2))
        started = talk.clock()
        second = await talk.take_over(first)
        assert second.epoch.number == 2
        assert second.epoch.token != first.epoch.token
        assert second.next_seq == 3
        assert second.run.takeovers == 1
        assert second.run.started_at == started
        assert second.run.spans == (Span(1, first.epoch), Span(3, second.epoch))
        third = await talk.take_over(second)
        assert third.run.takeovers == 2
        assert third.run.epoch.number == 3

    async def test_the_oldest_lease_that_ran_out_comes_first(self, talk: Talk) -> None:
        claims = [await talk.start(chat=f"c{n}") for n in (2, 1, 3)]
        waiting = (await talk.send(chat="c0")).run
        talk.clock.advance(LEASE + 1)
        found = await talk.store.claim("w2", 10, LEASE)
        assert [c.run.id for c in found] == [*(c.run.id for c in claims), waiting.id]

    async def test_an_epoch_that_wrote_nothing_has_no_span(self, talk: Talk) -> None:
        first = await talk.start()
        second = await talk.take_over(first)
        assert second.run.spans == (Span(1, second.epoch),)
        assert await talk.append(second, records(1))
        third = await talk.take_over(await talk.take_over(second))
        assert third.run.spans == (Span(1, second.epoch), Span(2, third.epoch))

    @pytest.mark.promise("fencing")
    async def test_every_claim_has_another_token(self, talk: Talk) -> None:
        claim = await talk.start()
        tokens = {claim.epoch.token}
        for _ in range(20):
            claim = await talk.take_over(claim)
            tokens.add(claim.epoch.token)
        assert len(tokens) == 21
        assert claim.epoch.number == 21

    async def test_a_run_is_seized_from_whoever_holds_it(self, talk: Talk) -> None:
        old = await talk.start()
        assert await talk.append(old, records(2))
        reader = await talk.waiting(old.run.id, 2)
        new = await talk.store.seize(old.run.id, "w2", LEASE)
        assert new.epoch.number == 2
        assert new.epoch.token not in ("", old.epoch.token)
        assert new.next_seq == 3
        assert new.run.status is Status.RUNNING
        assert new.run.takeovers == 0
        assert new.run.spans == (Span(1, old.epoch), Span(3, new.epoch))
        assert await talk.store.find_run("ann", "c1") == new.run
        assert not await talk.append(old, records(1), at=3)
        assert await talk.store.renew([old, new], LEASE) == [old]
        with pytest.raises(Fenced):
            await talk.end(old)
        assert (await talk.end(new, status=Status.STOPPED)).status is Status.STOPPED
        page = await bounded(reader)
        assert [*records(2), *page.records] in (records(2), [*records(2), LAST])

    @pytest.mark.promise("takeover")
    async def test_a_seized_run_is_claimed_when_the_lease_runs_out(self, talk: Talk) -> None:
        await talk.start()
        talk.clock.advance(LEASE - 1)
        seized = await talk.store.seize("r0001", "w2", LEASE)
        talk.clock.advance(LEASE - 1)
        assert await talk.store.claim("w3", 10, LEASE) == []
        talk.clock.advance(2)
        (claim,) = await talk.store.claim("w3", 10, LEASE)
        assert (claim.epoch.number, claim.run.takeovers) == (3, 1)
        assert claim.run.id == seized.run.id

    async def test_a_run_is_seized_before_its_turn(self, talk: Talk) -> None:
        first = await talk.start("m1")
        waiting = (await talk.send("m2", queue=True)).run
        seized = await talk.store.seize(waiting.id, "w2", LEASE)
        assert (seized.epoch.number, seized.next_seq) == (1, 1)
        assert (await talk.store.find_run("ann", "c1")).id == first.run.id
        await talk.end(seized, status=Status.STOPPED)
        assert await talk.append(first, records(1))
        await talk.crash()
        assert (await talk.store.find_run("ann", "c1")).id == first.run.id

    async def test_a_run_that_ended_or_is_gone_cannot_be_seized(self, talk: Talk) -> None:
        run = await talk.answer()
        with pytest.raises(Fenced):
            await talk.store.seize(run.id, "w2", LEASE)
        assert await talk.store.find_run("ann", "c1", run.id) == run
        await talk.store.delete("ann", "c1")
        with pytest.raises(RunNotFound):
            await talk.store.seize(run.id, "w2", LEASE)

    async def test_renewing_prolongs_the_lease_from_now(self, talk: Talk) -> None:
        claim = await talk.start()
        for _ in range(3):
            talk.clock.advance(LEASE - 1)
            assert await talk.store.renew([claim], LEASE) == []
        assert await talk.store.claim("w2", 10, LEASE) == []
        talk.clock.advance(LEASE + 1)
        assert len(await talk.store.claim("w2", 10, LEASE)) == 1

    @pytest.mark.promise("fencing")
    async def test_a_claim_of_another_epoch_renews_releases_and_ends_nothing(
        self, talk: Talk
    ) -> None:
        claim = await talk.start()
        number, token = claim.epoch
        epochs = (Epoch(number, "0badc0de"), Epoch(number + 1, token), Epoch(number, ""))
        others = [claim._replace(epoch=epoch) for epoch in epochs]
        talk.clock.advance(LEASE - 1)
        assert list(await talk.store.renew(others, LEASE)) == others
        await talk.store.release(others)
        assert await talk.store.find_run("ann", "c1") == claim.run
        for _ in ("before the end", "after it"):
            for other in others:
                with pytest.raises(Fenced):
                    await talk.end(other)
            await talk.end(claim)
        again = await talk.start("m2")
        talk.clock.advance(LEASE - 1)
        await talk.store.renew([again._replace(epoch=epochs[0])], LEASE)
        talk.clock.advance(2)
        assert len(await talk.store.claim("w2", 10, LEASE)) == 1, "the lease was prolonged"

    @pytest.mark.promise("one-end")
    async def test_a_run_that_ended_is_claimed_by_nobody(self, talk: Talk) -> None:
        await talk.end(await talk.start(chat="c1"))
        await talk.stop((await talk.start(chat="c2")).run.id)
        await talk.stop((await talk.send(chat="c3")).run.id)
        given_back = await talk.start(chat="c4")
        await talk.store.release([given_back])
        await talk.stop(given_back.run.id)
        talk.clock.advance(LEASE + 1)
        for _ in range(2):
            assert await talk.store.claim("w2", 10, LEASE) == []
            assert await talk.store.runs(active=True) == []
            await talk.crash()

    @pytest.mark.promise("fencing")
    async def test_renewing_tells_which_claims_are_lost(self, talk: Talk) -> None:
        claims = [await talk.start(chat=f"c{n}") for n in range(5)]
        await talk.end(claims[0])
        await talk.stop(claims[1].run.id)
        await talk.store.delete("ann", "c2")
        await talk.store.release([claims[3]])
        assert list(await talk.store.renew(claims, LEASE)) == claims[:4]
        new = await talk.take_over(claims[4])
        assert list(await talk.store.renew([claims[4], new], LEASE)) == [claims[4]]

    async def test_a_lease_that_ran_out_can_be_renewed_while_nobody_claims(
        self, talk: Talk
    ) -> None:
        claim = await talk.start()
        talk.clock.advance(LEASE + 1)
        assert await talk.store.renew([claim], LEASE) == []
        assert await talk.store.claim("w2", 10, LEASE) == []

    async def test_nothing_to_renew_or_release_is_in_order(self, talk: Talk) -> None:
        assert await talk.store.renew([], LEASE) == []
        await talk.store.release([])

    @pytest.mark.promise("hand-over")
    async def test_a_run_that_is_given_back_is_claimable_at_once(self, talk: Talk) -> None:
        first = await talk.start()
        assert await talk.append(first, records(3))
        await talk.store.release([first])
        run = await talk.store.find_run("ann", "c1")
        assert run.status is Status.QUEUED
        assert run.epoch == first.epoch
        assert await talk.log(run.id) == records(3)
        (second,) = await talk.store.claim("w2", 10, LEASE)
        assert second.run.takeovers == 0
        assert second.epoch.number == 2
        assert second.next_seq == 4
        assert second.run.started_at == first.run.started_at
        assert not await talk.append(first, records(1), at=4)
        assert await talk.append(second, records(1), at=4)

    @pytest.mark.promise("fencing")
    async def test_giving_back_twice_or_too_late_changes_nothing(self, talk: Talk) -> None:
        first = await talk.start()
        await talk.store.release([first, first])
        await talk.store.release([first])
        (second,) = await talk.store.claim("w2", 10, LEASE)
        await talk.store.release([first])
        assert await talk.store.find_run("ann", "c1") == second.run
        assert await talk.append(second, records(1))
        await talk.end(second)
        await talk.store.release([second])
        assert (await talk.store.runs())[0].status is Status.FINISHED

    async def test_a_run_that_was_given_back_keeps_its_turn(self, talk: Talk) -> None:
        first = await talk.start("m1")
        await talk.send("m2", queue=True)
        await talk.store.release([first])
        (claim,) = await talk.store.claim("w2", 10, LEASE)
        assert claim.run.id == first.run.id

    async def test_a_run_that_was_seized_and_given_back_waits_its_turn(self, talk: Talk) -> None:
        await talk.start("m1")
        second = (await talk.send("m2", queue=True)).run
        await talk.store.release([await talk.store.seize(second.id, "w2", LEASE)])
        assert await talk.store.claim("w2", 10, LEASE) == []

    @pytest.mark.promise("takeover")
    async def test_claims_and_what_was_given_back_survive_a_crash(self, talk: Talk) -> None:
        released, held = await talk.start(chat="c1"), await talk.start(chat="c2")
        waiting = (await talk.send("m2", chat="c2", queue=True)).run
        for claim in (released, held):
            assert await talk.append(claim, records(2))
        await talk.store.release([released])
        before = await talk.store.runs()
        await talk.crash()
        assert await talk.store.runs() == before
        talk.clock.advance(LEASE + 1)
        first, second = await talk.store.claim("w2", 10, LEASE)
        assert (first.run.id, first.run.takeovers, first.next_seq) == (released.run.id, 0, 3)
        assert (second.run.id, second.run.takeovers, second.next_seq) == (held.run.id, 1, 3)
        assert first.epoch.number == second.epoch.number == 2
        assert (await talk.store.find_run("ann", "c2", waiting.id)).status is Status.QUEUED

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
