"""Charges and reservations: what passes a limit, and what is given back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec import structs

from durable_llm_streams.errors import (
    BudgetSpent,
    ChatBusy,
    ChatNotFound,
    DurableError,
    Fenced,
    LimitReached,
    MessageConflict,
    RunNotFound,
)
from durable_llm_streams.model import EVERYBODY, Charge
from durable_llm_streams.store import Sent
from tests.waiting import within

from .harness import HOUR, StoreFactory, Talk, refused

MESSAGE = Charge("messages", "ann", 1, 3, HOUR)
TOKENS = Charge("tokens", "ann", 40, 100, HOUR)
BUDGET = Charge("budget", EVERYBODY, 40, 200, HOUR)


def gives_back(charge: Charge, cost: float) -> Charge:
    return structs.replace(charge, cost=-cost)


class LimitsContract:
    """No more passes than a limit allows, whatever happens to the run.

    For stores of one partition: each counts alone.
    """

    @pytest.fixture
    async def talk(self, stores: StoreFactory) -> Talk:
        return Talk(stores, await stores.open())

    @pytest.mark.promise("bounded-cost")
    async def test_so_many_pass_as_the_limit_says_and_no_more(self, talk: Talk) -> None:
        for number in (1, 2, 3):
            sent = await talk.send(f"m{number}", chat=f"c{number}", charges=(MESSAGE,))
            assert [level.remaining for level in sent.levels] == [3 - number]
        error = await refused(LimitReached, talk.send("m4", chat="c4", charges=(MESSAGE,)))
        assert (error.kind, error.limit, error.retry_after) == ("messages", 3, HOUR / 3)
        await refused(ChatNotFound, talk.snapshot(chat="c4"))
        await talk.crash()
        await refused(LimitReached, talk.send("m4", chat="c4", charges=(MESSAGE,)))
        bob = structs.replace(MESSAGE, of="bob")
        assert (await talk.send("m1", chat="b1", owner="bob", charges=(bob,))).created
        talk.clock.advance(HOUR / 3)
        assert (await talk.send("m4", chat="c4", charges=(MESSAGE,))).created
        await refused(LimitReached, talk.send("m5", chat="c5", charges=(MESSAGE,)))

    @pytest.mark.promise("bounded-cost")
    async def test_a_refusal_takes_nothing_from_any_bucket(self, talk: Talk) -> None:
        await talk.answer("m1", charges=(MESSAGE,), reservation=(TOKENS, BUDGET))
        async with talk.unchanged():
            much = structs.replace(TOKENS, cost=61)
            error = await refused(
                BudgetSpent, talk.send("m2", charges=(MESSAGE, BUDGET), reservation=(much,))
            )
            assert (error.kind, error.limit, error.retry_after) == ("tokens", 100, HOUR / 100)
        sent = await talk.send("m2", charges=(MESSAGE, BUDGET), reservation=(TOKENS,))
        assert [level.remaining for level in sent.levels] == [1, 120, 20]

    async def test_what_costs_more_than_the_limit_is_never_allowed(self, talk: Talk) -> None:
        much = structs.replace(TOKENS, cost=101)
        error = await refused(BudgetSpent, talk.send(reservation=(much,)))
        assert error.retry_after is None

    @pytest.mark.promise("bounded-cost", "idempotent-send")
    async def test_a_duplicate_and_a_refused_message_are_free(self, talk: Talk) -> None:
        keyed: dict[str, Any] = {
            "key": "k1",
            "content": "x",
            "charges": (MESSAGE,),
            "reservation": (TOKENS,),
        }
        first = await talk.start(**keyed)
        for _ in range(5):
            assert await talk.send(**keyed) == Sent(first.run, created=False, claim=None)
        await refused(ChatBusy, talk.send("m2", charges=(MESSAGE,)))
        await talk.end(first)
        await refused(MessageConflict, talk.send("m1", charges=(MESSAGE,)))
        sent = await talk.send("m2", charges=(MESSAGE,))
        assert [level.remaining for level in sent.levels] == [1]

    @pytest.mark.promise("bounded-cost")
    async def test_of_concurrent_messages_exactly_the_limit_passes(self, talk: Talk) -> None:
        orders = [talk.order("m", chat=f"c{n}", charges=(MESSAGE,)) for n in range(6)]
        async with within("six messages at a limit of three"):
            calls = [talk.store.runs.send(order) for order in orders]
            results = await asyncio.gather(*calls, return_exceptions=True)
        refusals = [result for result in results if isinstance(result, LimitReached)]
        assert (len(refusals), len(await talk.store.operators.newest())) == (3, 3), results

    @pytest.mark.promise("bounded-cost")
    async def test_each_further_attempt_reserves_once_more(self, talk: Talk) -> None:
        claim = await talk.start(reservation=(TOKENS, BUDGET))
        run = claim.run
        assert (run.charges, run.reservations) == ((TOKENS, BUDGET), 1)
        again = await talk.store.runs.reserve(claim, 2)
        assert again == structs.replace(run, reservations=2)
        assert await talk.store.runs.reserve(claim, 2) == again, "its reply was lost"
        assert await talk.find(run.id) == again
        async with talk.unchanged():
            error = await refused(BudgetSpent, talk.store.runs.reserve(claim, 3))
            assert error.kind == "tokens"
        await talk.crash()
        taken = await talk.take_over(claim)
        assert (taken.run.charges, taken.run.reservations) == ((TOKENS, BUDGET), 2)
        probe = structs.replace(BUDGET, cost=0)
        (level,) = (await talk.send("m9", chat="c9", charges=(probe,))).levels
        assert round(level.remaining) in range(120, 125), "the budget was taken twice"

    @pytest.mark.promise("bounded-cost", "fencing")
    async def test_only_the_claim_that_holds_a_run_reserves(self, talk: Talk) -> None:
        claim = await talk.start(reservation=(TOKENS,))
        taken = await talk.take_over(claim)
        await refused(Fenced, talk.store.runs.reserve(claim, 2))
        assert (await talk.store.runs.reserve(taken, 2)).reservations == 2
        await talk.store.runs.release([taken])
        await refused(Fenced, talk.store.runs.reserve(taken, 3))
        await talk.stop(taken.run.id)
        await refused(Fenced, talk.store.runs.reserve(taken, 3))
        await talk.store.chats.delete("ann", "c1")
        await refused(RunNotFound, talk.store.runs.reserve(taken, 3))

    async def test_a_run_without_a_reservation_reserves_nothing(self, talk: Talk) -> None:
        claim = await talk.start()
        assert await talk.store.runs.reserve(claim, 5) == claim.run
        assert (claim.run.charges, claim.run.reservations) == ((), 0)

    @pytest.mark.promise("bounded-cost", "one-end")
    async def test_the_end_gives_back_what_was_not_used_once(self, talk: Talk) -> None:
        claim = await talk.start(reservation=(TOKENS, BUDGET))
        unused = (gives_back(TOKENS, 30), gives_back(BUDGET, 30))
        ended = await talk.end(claim, charges=unused)
        assert (ended.charges, ended.reservations) == ((), 0)
        assert await talk.end(claim, at=1, charges=unused) == ended
        sent = await talk.send("m2", charges=(TOKENS, BUDGET))
        assert [level.remaining for level in sent.levels] == [50, 150]

    @pytest.mark.promise("bounded-cost")
    async def test_what_was_not_reserved_is_taken_at_the_end(self, talk: Talk) -> None:
        claim = await talk.start(reservation=(TOKENS,))
        await talk.end(claim, charges=(structs.replace(TOKENS, cost=500),))
        error = await refused(BudgetSpent, talk.send("m2", charges=(TOKENS,)))
        assert error.retry_after == HOUR * 0.4, "the bucket is empty, and owes nothing"

    @pytest.mark.promise("bounded-cost", "fencing")
    async def test_an_end_that_is_refused_charges_nothing(self, talk: Talk) -> None:
        claim = await talk.start(reservation=(TOKENS,))
        taken = await talk.take_over(claim)
        for fields in ({}, {"at": 7}):
            with pytest.raises(DurableError):
                await talk.end(claim, charges=(gives_back(TOKENS, 40),), **fields)
        sent = await talk.send("m2", charges=(TOKENS,), queue=True)
        assert round(sent.levels[0].remaining) in (20, 21)
        await talk.end(taken)

    @pytest.mark.promise("bounded-cost")
    async def test_a_clock_that_is_set_back_closes_no_bucket_for_long(self, talk: Talk) -> None:
        talk.clock.jump(400 * 24 * HOUR)
        for number in range(3):
            await talk.send("m", chat=f"c{number}", charges=(MESSAGE,))
        talk.clock.jump(-400 * 24 * HOUR)
        await talk.look()
        error = await refused(LimitReached, talk.send("m", chat="c4", charges=(MESSAGE,)))
        assert error.retry_after == HOUR / 3
        talk.clock.advance(HOUR / 3)
        assert (await talk.send("m", chat="c4", charges=(MESSAGE,))).created

    async def test_a_queued_run_keeps_its_reservation_until_it_is_claimed(self, talk: Talk) -> None:
        await talk.start("m1", reservation=(TOKENS,))
        sent = await talk.send("m2", queue=True, reservation=(TOKENS,))
        assert (sent.run.charges, sent.run.reservations) == ((TOKENS,), 1)
        await talk.stop(sent.run.id)
        (first,) = await talk.store.operators.newest(active=True)
        assert (first.charges, first.reservations) == ((TOKENS,), 1)
