"""A worker is gone, and another one goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from durable_llm_streams.errors import ModelError
from durable_llm_streams.model import Claim, Run, Status
from durable_llm_streams.runs import Limits, Worker

from .faulty_store import FaultyStore
from .run_world import World, in_world
from .scripted_source import Done, Fail, Say, ScriptedSource, Tell, Wait
from .virtual_time import now, suspend, until, virtual

TEXT = "The quick brown fox jumps over the lazy dog, and then it sleeps."


async def frozen(
    world: World, source: ScriptedSource, said: str = TEXT[:21]
) -> tuple[Worker, FaultyStore, Run]:
    """A worker that stands still in the middle of an answer."""
    store = FaultyStore(world.store)
    worker = await world.worker(source, store=store)
    run = await world.ask(worker)
    await world.said(run, said)
    store.freeze()
    return worker, store, run


def speaker(*, can_prefill: bool = False) -> ScriptedSource:
    """A source that would take a minute for its text."""
    return ScriptedSource([Tell(TEXT, every=3), Done()], can_prefill=can_prefill)


@pytest.mark.promise("takeover")
@in_world
async def test_a_run_is_taken_over_when_its_lease_has_run_out_and_not_before(world: World) -> None:
    _, store, run = await frozen(world, speaker())
    begin = now()
    source = ScriptedSource([Say("A"), Done()])
    await world.worker(source)
    await until(lambda: bool(source.prompts))
    waited = now() - begin
    assert 5000 - 5000 / 4 - 100 <= waited <= 5000 + 700
    ended = await world.ended(run)
    assert (ended.run.takeovers, ended.text, ended.metadata["attempts"]) == (1, "A", 2)
    assert ended.notices == [{"event": "takeover", "attempt": 2, "rung": "restart", "repeated": 21}]
    store.thaw()


@pytest.mark.promise("takeover", "one-clean-answer")
@pytest.mark.parametrize("can_prefill", [True, False])
@in_world
async def test_the_next_worker_continues_if_the_model_can_else_restarts(
    world: World, can_prefill: bool
) -> None:
    first = speaker(can_prefill=can_prefill)
    _, store, run = await frozen(world, first)
    second = speaker(can_prefill=can_prefill)
    await world.worker(second)
    ended = await world.ended(run)
    assert ended.text == TEXT
    assert second.prompts[0].said == (TEXT[:21] if can_prefill else "")
    assert ended.kinds.count("reset-step") == (0 if can_prefill else 1)
    assert [chunk["type"] for chunk in ended.log].count("finish") == 1
    store.thaw()


@pytest.mark.promise("fencing", "no-leak")
@in_world
async def test_a_worker_that_wakes_up_appends_nothing_and_lets_its_source_go(world: World) -> None:
    first = speaker()
    sleeper, store, run = await frozen(world, first)
    await world.worker(ScriptedSource([Tell(TEXT, every=1), Done()]))
    await asyncio.sleep(12)  # in the middle of the second worker's answer
    before = len(await world.records(run))
    store.thaw()
    await until(lambda: first.open == 0, within=5)
    await until(lambda: sleeper.running == 0, within=1)
    ended = await world.ended(run)
    assert ended.text == TEXT
    assert [chunk["type"] for chunk in ended.log[:before]].count("text-delta") > 7
    spoken = "".join(chunk["delta"] for chunk in ended.log if chunk["type"] == "text-delta")
    assert spoken == TEXT[:21] + TEXT


@pytest.mark.promise("fencing", "one-end")
@in_world
async def test_a_worker_that_wakes_up_after_the_end_changes_nothing(world: World) -> None:
    first = speaker()
    sleeper, store, run = await frozen(world, first)
    await world.worker(ScriptedSource([Say("B"), Done()]))
    ended = await world.ended(run)
    store.thaw()
    await asyncio.sleep(120)
    assert await world.log(run) == ended.log
    assert (first.open, sleeper.running) == (0, 0)


@pytest.mark.promise("fencing", "one-end")
@in_world
async def test_a_zombie_cannot_end_the_run_either(world: World) -> None:
    first = ScriptedSource([Tell(TEXT, upto=21), Wait(4), Done()])
    sleeper, store, run = await frozen(world, first)
    await world.worker(ScriptedSource([Tell(TEXT, every=2), Done()]))
    await asyncio.sleep(10)
    store.thaw()
    await until(lambda: sleeper.running == 0, within=5)
    assert (await world.find(run)).status is Status.RUNNING
    assert (await world.ended(run)).text == TEXT


@in_world
async def test_a_suspended_worker_keeps_its_runs_while_nobody_claims_them(world: World) -> None:
    source = speaker()
    run = await world.ask(await world.worker(source))
    for said in (6, 12, 18, 24):
        await world.said(run, TEXT[:said])
        suspend(30 + said / 10)
    ended = await world.ended(run)
    assert (ended.text, ended.run.takeovers, len(source.prompts)) == (TEXT, 0, 1)


@pytest.mark.promise("one-clean-answer")
@in_world
async def test_a_run_that_its_own_worker_claims_again_is_executed_once(world: World) -> None:
    class Heartless(FaultyStore):
        first: Sequence[Claim] = ()

        async def renew(self, claims: Sequence[Claim], lease: float) -> Sequence[Claim]:
            self.first = self.first or claims
            return () if claims == self.first else self.first  # it tells late what was lost

    source = ScriptedSource([Say("A"), Wait()], [Say("B"), Wait(4), Done()])
    worker = await world.worker(source, store=Heartless(world.store))
    run = await world.ask(worker)
    await until(lambda: len(source.prompts) == 2)
    await asyncio.sleep(0.1)
    assert (worker.running, source.open) == (1, 1)
    ended = await world.ended(run, within=60)
    assert (ended.status, ended.text, ended.run.takeovers) == (Status.FINISHED, "B", 1)
    assert source.open == 0


@pytest.mark.promise("hand-over")
@in_world
async def test_a_planned_end_hands_the_run_over_at_once_and_is_no_failure(world: World) -> None:
    first = speaker(can_prefill=True)
    leaving = await world.worker(first)
    second = speaker(can_prefill=True)
    await world.worker(second)
    run = await world.ask(leaving)
    await world.said(run, TEXT[:21])
    begin = now()
    await leaving.close()
    assert first.open == 0
    await until(lambda: bool(second.prompts))
    assert now() - begin < 700
    assert second.prompts[0].said == TEXT[:21]
    ended = await world.ended(run)
    assert (ended.text, ended.run.takeovers, ended.metadata["attempts"]) == (TEXT, 0, 1)


@pytest.mark.promise("hand-over")
@in_world
async def test_any_number_of_planned_ends_does_not_use_up_the_attempts(world: World) -> None:
    source = speaker(can_prefill=True)
    worker = await world.worker(source)
    run = await world.ask(worker)
    for number in range(1, 9):
        await world.said(run, TEXT[: 3 * number])
        await worker.close()
        worker = await world.worker(source)
    ended = await world.ended(run)
    assert (ended.status, ended.text) == (Status.FINISHED, TEXT)


@pytest.mark.promise("honest-failure")
@in_world
async def test_a_run_that_kills_every_worker_fails_after_its_attempts(world: World) -> None:
    stores, sources = [], []
    run = await world.queue()
    for attempt in range(5):
        store, source = FaultyStore(world.store), ScriptedSource([Say("A"), Wait()])
        stores.append(store)
        sources.append(source)
        await world.worker(source, store=store)
        await until(lambda source=source: bool(source.prompts))  # type: ignore[misc]
        await asyncio.sleep(1)
        store.freeze()
        assert (await world.find(run)).takeovers == attempt
    last = ScriptedSource([Say("B"), Done()])
    await world.worker(last)
    ended = await world.ended(run)
    assert (ended.status, last.prompts) == (Status.FAILED, [])
    assert ended.log[-1]["errorText"] == (
        "The answer could not be completed in 5 attempts. The server was interrupted each time."
    )
    assert (ended.text, ended.metadata["attempts"]) == ("A", 5)
    assert ended.notices[-1] == {"event": "takeover", "attempt": 6}, "it is not asked any more"
    for store in stores:
        store.thaw()
    await until(lambda: not any(source.open for source in sources), within=10)
    assert await world.log(run) == ended.log


@pytest.mark.promise("honest-failure")
@in_world
async def test_failures_and_takeovers_are_one_budget(world: World) -> None:
    first = ScriptedSource([Fail(retry_after=0)], [Fail(retry_after=0)], [Say("A"), Wait()])
    _, store, run = await frozen(world, first, "A")
    second = ScriptedSource([Fail()])
    await world.worker(second)
    ended = await world.ended(run)
    assert (len(first.prompts), len(second.prompts)) == (3, 2)
    assert (ended.status, ended.metadata["attempts"]) == (Status.FAILED, 5)
    store.thaw()


@pytest.mark.promise("honest-failure")
@in_world
async def test_the_limit_of_the_whole_run_counts_from_its_first_start(world: World) -> None:
    begin = now()
    store = FaultyStore(world.store)
    limits = Limits(whole_run=4000)
    slow = ScriptedSource([Say(*"abcdefghij" * 99, every=7)], can_prefill=True)
    run = await world.ask(await world.worker(slow, limits, store=store))
    await world.said(run, "abc")
    store.freeze()
    await asyncio.sleep(3000)
    await world.worker(slow, limits)
    ended = await world.ended(run)
    assert 4_000_000 <= now() - begin < 4_001_000
    assert ended.status is Status.FAILED
    assert ended.text.startswith("abca")
    store.thaw()


@pytest.mark.promise("honest-failure")
@in_world
async def test_a_clock_that_was_set_back_gives_a_run_no_more_time(world: World) -> None:
    worker = await world.worker(ScriptedSource([Say(*"x" * 99, every=7)]), Limits(whole_run=40))
    worker.now = lambda: now() - 10**9
    begin = now()
    assert (await world.ended(await world.ask(worker))).status is Status.FAILED
    assert 40_000 <= now() - begin < 41_000


@pytest.mark.promise("honest-failure")
@in_world
async def test_a_run_that_is_found_after_its_time_keeps_what_was_said(world: World) -> None:
    _, store, run = await frozen(world, speaker())
    await asyncio.sleep(4000)
    late = speaker()
    await world.worker(late)
    ended = await world.ended(run)
    assert (ended.status, ended.text, late.prompts) == (Status.FAILED, TEXT[:21], [])
    store.thaw()


@in_world
async def test_a_lost_lease_cancels_the_task_with_the_next_heartbeat(world: World) -> None:
    source = ScriptedSource([Say("A"), Wait()])
    worker = await world.worker(source)
    run = await world.ask(worker)
    await world.said(run, "A")
    begin = now()
    assert await (await world.worker(speaker(), started=False)).stop(await world.find(run))
    await until(lambda: worker.running == 0 and source.open == 0)
    assert now() - begin <= 5000 / 4 + 100


@pytest.mark.parametrize(
    "error", [ModelError("The connection was lost.", retryable=True), ValueError("broken")]
)
@in_world
async def test_what_a_cancelled_source_raises_is_no_failure(world: World, error: Exception) -> None:
    source = ScriptedSource([Say("A"), Wait()], when_ended=error)
    worker = await world.worker(source)
    run = await world.ask(worker)
    await world.said(run, "A")
    await worker.close()
    assert (worker.running, len(source.prompts)) == (0, 1)
    assert (await world.find(run)).status is Status.QUEUED
    await world.worker(ScriptedSource([Say("B"), Done()]))
    ended = await world.ended(run)
    assert (ended.status, ended.text) == (Status.FINISHED, "B")
    assert [notice["event"] for notice in ended.notices] == ["takeover"]


@pytest.mark.promise("outage")
@virtual
async def test_after_an_outage_owners_renew_before_anybody_claims(
    tmp_path: Path,
) -> None:
    for phase in range(8):
        folder = tmp_path / str(phase)
        async with World(folder) as world:
            owner_store, other_store = FaultyStore(world.store), FaultyStore(world.store)
            source, other = speaker(), speaker()
            owner = await world.worker(source, store=owner_store)
            await asyncio.sleep(phase * 0.4)
            await world.worker(other, store=other_store)
            run = await world.ask(owner)
            await world.said(run, "The")
            for store in (owner_store, other_store):
                store.down = True
            await asyncio.sleep(20 + phase * 0.37)
            for store in (owner_store, other_store):
                store.down = False
            ended = await world.ended(run)
            assert (ended.text, ended.run.takeovers, other.prompts) == (TEXT, 0, [])
