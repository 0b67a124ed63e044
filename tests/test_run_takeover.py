"""A worker is gone, and another one takes over."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Sequence
from typing import Any

import pytest

from durable_llm_streams.errors import ModelError
from durable_llm_streams.model import Claim, Status
from durable_llm_streams.runs import Limits
from durable_llm_streams.runs.idle_timeout import IdleTimeout
from tests.faulty_store import Call

from .faulty_store import FaultyStore
from .run_world import World, in_world
from .scripted_source import Done, Fail, Say, ScriptedSource, Tell, Wait
from .virtual_time import elapsed, now, suspend, until

TEXT = "The quick brown fox jumps over the lazy dog, and then it sleeps."
SAID = TEXT[:21]


def speaker(*, every: float = 3, can_prefill: bool = False) -> ScriptedSource:
    """A source that takes a minute for its text."""
    return ScriptedSource([Tell(TEXT, every=every), Done()], can_prefill=can_prefill)


@pytest.mark.promise("takeover")
@in_world
async def test_a_run_is_taken_over_when_its_lease_has_run_out_and_not_before(world: World) -> None:
    _, _, run = await world.frozen(speaker(), SAID)
    source = ScriptedSource([Say("A"), Done()])
    await world.worker(source)
    waited = await elapsed(until(lambda: bool(source.prompts)))
    assert 5 - 5 / 4 - 0.1 <= waited <= 5 + 0.7
    ended = await world.ended(run)
    assert (ended.run.takeovers, ended.text, ended.metadata["attempts"]) == (1, "A", 2)
    assert ended.notices == [{"event": "takeover", "attempt": 2, "rung": "restart", "repeated": 21}]


@pytest.mark.promise("takeover", "one-clean-answer")
@pytest.mark.parametrize("can_prefill", [True, False])
@in_world
async def test_the_next_worker_continues_if_the_model_can_else_restarts(
    world: World, can_prefill: bool
) -> None:
    _, _, run = await world.frozen(speaker(can_prefill=can_prefill), SAID)
    second = speaker(can_prefill=can_prefill)
    await world.worker(second)
    ended = await world.ended(run)
    assert (ended.text, ended.resets) == (TEXT, 0 if can_prefill else 1)
    assert second.prompts[0].prefill == (SAID if can_prefill else "")


@pytest.mark.promise("fencing", "one-end", "no-leak")
@pytest.mark.parametrize("wakes", ["within the next answer", "with the end", "after the end"])
@in_world
async def test_a_worker_that_wakes_up_writes_nothing_and_lets_its_source_go(
    world: World, wakes: str
) -> None:
    first = speaker()
    if wakes == "with the end":
        first = ScriptedSource([Tell(TEXT, upto=21), Wait(4), Done()])
    sleeper, store, run = await world.frozen(first, SAID)
    second = speaker(every=1)
    await world.worker(second)
    await until(lambda: bool(second.prompts))
    await asyncio.sleep(5)
    if wakes == "after the end":
        await world.ended(run)
    store.thaw()
    await until(lambda: (first.open, sleeper.running) == (0, 0), within=5)
    ended = await world.ended(run)
    assert ended.status is Status.FINISHED
    spoken = "".join(chunk["delta"] for chunk in ended.log if chunk["type"] == "text-delta")
    assert spoken == SAID + TEXT
    await asyncio.sleep(120)
    assert await world.log(run) == ended.log


async def test_what_arrived_during_a_short_suspension_is_no_silence() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        reader, writer = await asyncio.open_connection(sock=ours)
        async with IdleTimeout(0.2) as idle:
            reading = asyncio.create_task(reader.read(1))
            await asyncio.sleep(0)
            theirs.send(b"x")
            time.sleep(0.4)
            assert await reading == b"x"
            idle.last = asyncio.get_running_loop().time()
            await asyncio.sleep(0.1)
        writer.close()


@in_world
async def test_a_suspended_worker_keeps_its_runs_without_another_claim(world: World) -> None:
    source = speaker()
    run = await world.ask(await world.worker(source))
    for said, seconds in ((6, 31), (12, 90), (18, 3), (24, 900)):
        await world.said(run, TEXT[:said])
        suspend(seconds)
    ended = await world.ended(run)
    assert (ended.text, ended.run.takeovers, len(source.prompts)) == (TEXT, 0, 1)


@pytest.mark.promise("one-clean-answer")
@in_world
async def test_a_run_that_its_own_worker_claims_again_is_executed_once(world: World) -> None:
    class Heartless(FaultyStore):
        first: Sequence[Claim] = ()

        async def operation(self, name: str, args: tuple[Any, ...], call: Call) -> Any:
            if name != "renew":
                return await super().operation(name, args, call)
            self.first = self.first or args[0]
            return () if args[0] == self.first else self.first  # the loss is reported late

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
    assert (ended.run.takeovers, ended.metadata["attempts"]) == (0, 1)


@pytest.mark.promise("honest-failure")
@in_world
async def test_a_run_that_kills_every_worker_fails_after_its_attempts(world: World) -> None:
    source = ScriptedSource([Say("A"), Wait()])
    stores = [world.faulty() for _ in range(5)]
    run = await world.queue()
    for attempt, store in enumerate(stores, 1):
        await world.worker(source, store=store)
        await until(lambda attempt=attempt: len(source.prompts) == attempt)  # type: ignore[misc]
        await asyncio.sleep(1)
        store.freeze()
        assert (await world.find(run)).takeovers == attempt - 1
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
    await until(lambda: source.open == 0, within=10)
    assert await world.log(run) == ended.log


@pytest.mark.promise("honest-failure")
@in_world
async def test_failures_and_takeovers_are_one_budget(world: World) -> None:
    fail = Fail(retry_after=0)
    first, second = ScriptedSource([fail], [fail], [Say("A"), Wait()]), ScriptedSource([Fail()])
    _, _, run = await world.frozen(first, "A")
    await world.worker(second)
    ended = await world.ended(run)
    assert (len(first.prompts), len(second.prompts)) == (3, 2)
    assert (ended.status, ended.metadata["attempts"]) == (Status.FAILED, 5)


@pytest.mark.promise("honest-failure")
@pytest.mark.parametrize(
    ("frozen", "ends"), [(3000, 4000), (4500, 4500)], ids=["found in time", "found after its time"]
)
@in_world
async def test_the_limit_of_the_whole_run_counts_from_its_first_start(
    world: World, frozen: float, ends: float
) -> None:
    begin, limits = now(), Limits(whole_run=4000)
    letters = Say(*"abcdefghij" * 99, every=7)
    _, _, run = await world.frozen(ScriptedSource([letters]), "abc", limits)
    await asyncio.sleep(frozen - (now() - begin) / 1000)
    source = ScriptedSource([letters], can_prefill=True)
    await world.worker(source, limits)
    ended = await world.ended(run)
    assert ends * 1000 <= now() - begin < ends * 1000 + 1000
    assert (ended.status, ended.text[:3]) == (Status.FAILED, "abc")
    assert ended.text[3:4] == ("a" if source.prompts else "")
    assert len(source.prompts) == (frozen < 4000)


@pytest.mark.promise("honest-failure")
@in_world
async def test_a_clock_that_was_set_back_gives_a_run_no_more_time(world: World) -> None:
    worker = await world.worker(ScriptedSource([Say(*"x" * 99, every=7)]), Limits(whole_run=40))
    worker.now = lambda: now() - 10**9
    run = await world.ask(worker)
    assert 40 <= await elapsed(world.ended(run)) < 41
    assert (await world.find(run)).status is Status.FAILED


LOST = ModelError("The connection was lost.", retryable=True)


@pytest.mark.parametrize("error", [LOST, ValueError("broken")])
@in_world
async def test_what_a_cancelled_source_raises_is_no_failure(world: World, error: Exception) -> None:
    source = ScriptedSource([Say("A"), Wait()], when_ended=error)
    worker, run = await world.answering(source, "A")
    await worker.close()
    assert (worker.running, len(source.prompts)) == (0, 1)
    assert (await world.find(run)).status is Status.QUEUED
    await world.worker(ScriptedSource([Say("B"), Done()]))
    ended = await world.ended(run)
    assert (ended.status, ended.text) == (Status.FINISHED, "B")
    assert [notice["event"] for notice in ended.notices] == ["takeover"]


@pytest.mark.promise("outage")
@pytest.mark.parametrize("phase", range(8))
@in_world
async def test_after_an_outage_owners_renew_before_others_claim(world: World, phase: int) -> None:
    stores, (source, other) = [world.faulty(), world.faulty()], [speaker(), speaker()]
    owner = await world.worker(source, store=stores[0])
    await asyncio.sleep(phase * 0.4)
    await world.worker(other, store=stores[1])
    run = await world.ask(owner)
    await world.said(run, "The")
    for store in stores:
        store.down = True
    await asyncio.sleep(20 + phase * 0.37)
    for store in stores:
        store.down = False
    ended = await world.ended(run)
    assert (ended.text, ended.run.takeovers, other.prompts) == (TEXT, 0, [])
