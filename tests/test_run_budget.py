"""The budget of a run: what each attempt reserves, what the end gives back, what a refusal does."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator
from contextlib import suppress

import pytest
from msgspec import structs

from durable_llm_streams.errors import LimitReached, ModelError
from durable_llm_streams.model import EVERYBODY, Charge, Run, Status
from durable_llm_streams.runs import Limits
from durable_llm_streams.source import Event, Finish, Prompt, TextDelta
from tests.faulty_store import FaultyStore, Moment
from tests.run_world import OWNER, World, in_world
from tests.scripted_source import Done, Fail, Say, ScriptedSource, Wait

CENTURY = 100 * 365 * 24 * 3600.0  # nothing refills while a test runs
TOKENS = Charge("tokens", OWNER, 40, 1000, CENTURY)
COST = Charge("cost", OWNER, 0.1, 5.0, CENTURY)
USED = {"usage": {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7}, "cost": 0.25}
FAST = Limits(backoff=0.01, longest_backoff=0.02)


async def ask(world: World, source: ScriptedSource, *charges: Charge) -> Run:
    worker = await world.worker(source, FAST)
    return (await worker.send(structs.replace(world.order(), reservation=charges))).run


async def left(world: World, charge: Charge = TOKENS) -> float:
    """What is left in a bucket."""
    probe = structs.replace(world.order("probe"), charges=(structs.replace(charge, cost=0),))
    (level,) = (await world.store.runs.send(probe)).levels
    return round(level.remaining, 3)


@pytest.mark.promise("bounded-cost")
@in_world
async def test_an_answer_costs_what_the_provider_says(world: World) -> None:
    source = ScriptedSource([Say("Hello"), Done(metadata=USED)])
    ended = await world.ended(await ask(world, source, TOKENS, COST))
    assert ended.status is Status.FINISHED
    assert (await left(world), await left(world, COST)) == (993, 4.75)


@pytest.mark.promise("bounded-cost")
@in_world
async def test_an_attempt_of_unknown_use_keeps_its_reservation(world: World) -> None:
    source = ScriptedSource(
        [Say("Hel"), Fail()], [Fail(metadata=USED)], [Say("Hello"), Done(metadata=USED)]
    )
    ended = await world.ended(await ask(world, source, TOKENS))
    assert ended.status is Status.FINISHED
    assert await left(world) == 1000 - 40 - 7 - 7


@pytest.mark.promise("bounded-cost")
@pytest.mark.parametrize("usage", [{}, {"usage": {"outputTokens": 4}}, {"usage": None}])
def test_usage_without_its_input_is_unknown(usage: dict[str, object], tmp_path: object) -> None:
    @in_world
    async def play(world: World) -> None:
        await world.ended(await ask(world, ScriptedSource([Done(metadata=usage)]), TOKENS))
        assert await left(world) == 960

    play(tmp_path)


@pytest.mark.promise("bounded-cost", "honest-failure")
@in_world
async def test_a_further_attempt_that_cannot_be_paid_fails_honestly(world: World) -> None:
    source = ScriptedSource([Say("Hel"), Fail()], [Say("Hello"), Done()])
    ended = await world.ended(await ask(world, source, structs.replace(TOKENS, limit=70)))
    assert (ended.status, ended.text, len(source.prompts)) == (Status.FAILED, "Hel", 1)
    assert ended.metadata["reason"] == "budget"
    assert ended.metadata["error"].startswith("The answer could not go on. The limit is 70 tokens")


@pytest.mark.promise("bounded-cost", "takeover")
@in_world
async def test_a_takeover_reserves_before_it_asks(world: World) -> None:
    store = world.faulty()
    worker = await world.worker(ScriptedSource([Say("Hel"), Wait()]), FAST, store=store)
    order = structs.replace(world.order(), reservation=(TOKENS,))
    run = (await worker.send(order)).run
    await world.said(run, "Hel")
    store.freeze()
    await world.worker(ScriptedSource([Say("Hello"), Done(metadata=USED)]), FAST)
    ended = await world.ended(run)
    assert (ended.status, ended.run.takeovers) == (Status.FINISHED, 1)
    assert await left(world) == 1000 - 40 - 7


@pytest.mark.promise("bounded-cost", "stop")
@in_world
async def test_a_stop_keeps_what_the_request_may_have_cost(world: World) -> None:
    worker = await world.worker(ScriptedSource([Say("Hel"), Wait()]), FAST)
    run = (await worker.send(structs.replace(world.order(), reservation=(TOKENS,)))).run
    await world.said(run, "Hel")
    assert await worker.stop(await world.find(run))
    await world.ended(run)
    assert await left(world) == 960


@pytest.mark.promise("bounded-cost", "outage")
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_lost_reply_takes_no_reservation_twice(moment: Moment, tmp_path: object) -> None:
    @in_world
    async def play(world: World) -> None:
        store: FaultyStore = world.faulty()
        store.fail("reserve", moment)
        source = ScriptedSource([Fail()], [Say("Hello"), Done(metadata=USED)])
        worker = await world.worker(source, FAST, store=store)
        run = (await worker.send(structs.replace(world.order(), reservation=(TOKENS,)))).run
        assert (await world.ended(run)).status is Status.FINISHED
        assert await left(world) == 1000 - 40 - 7

    play(tmp_path)


# --- histories -----------------------------------------------------------------------------------


class Meter:
    """A source that fails at random, and counts what its answers really cost.

    Args:
        rng: draws what it does.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.spent = 0

    def can_prefill(self, model: str) -> bool:
        return True

    async def stream(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
        cost = self._rng.randint(1, int(TOKENS.cost))
        self.spent += cost  # a request is paid, whatever becomes of it
        yield TextDelta("x")
        if self._rng.random() < 0.4:
            known = {"usage": {"totalTokens": cost}} if self._rng.random() < 0.5 else {}
            raise ModelError("cut", retryable=True, metadata=known)
        yield Finish(reason="stop", metadata={"usage": {"totalTokens": cost}})

    async def close(self) -> None:
        pass


@pytest.mark.promise("bounded-cost", "takeover")
@pytest.mark.parametrize("block", range(4))
def test_no_history_overspends_by_more_than_a_reservation(block: int, tmp_path: object) -> None:
    """50 histories each, with frozen workers, takeovers, retries and lost replies."""
    for seed in range(50 * block, 50 * block + 50):
        _history(seed, tmp_path)


def _history(seed: int, tmp_path: object) -> None:
    rng = random.Random(seed)
    limit = rng.choice([100, 200, 400])
    charge = structs.replace(TOKENS, of=EVERYBODY, limit=limit)
    folder = tmp_path / str(seed)  # type: ignore[operator]  # a path
    folder.mkdir()

    @in_world
    async def play(world: World) -> None:
        meter = Meter(rng)
        stores = [world.faulty(rng) for _ in range(3)]
        alive = [(store, await world.worker(meter, FAST, store=store)) for store in stores]
        runs = []
        for number in range(rng.randint(4, 12)):
            store, worker = rng.choice(alive)
            lost: list[Moment] = ["before", "after"]
            store.fail("reserve", *rng.choices(lost, k=rng.randint(0, 2)))
            order = structs.replace(world.order(f"chat-{number}"), reservation=(charge,))
            with suppress(LimitReached):
                runs.append((await worker.send(order)).run)
            if rng.random() < 0.2 and len(alive) > 1:
                frozen = rng.choice(alive)
                alive.remove(frozen)
                frozen[0].freeze()
        for run in runs:
            await world.ended(run)
        assert meter.spent <= limit + charge.cost, f"seed {seed}: {meter.spent} of {limit}"
        unused = await left(world, charge)
        assert unused <= limit - meter.spent + 1e-3, f"seed {seed}: {unused} left"

    play(folder)
