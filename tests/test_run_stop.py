"""Stopping is a fact in the log."""

from __future__ import annotations

import asyncio
import random

import pytest

from durable_llm_streams.errors import (
    ChatNotFound,
    CursorLost,
    RunNotFound,
    SequenceMismatch,
    StoreUnavailable,
)
from durable_llm_streams.log import follow
from durable_llm_streams.model import Claim, Cursor, Run, Status
from durable_llm_streams.runs import Limits
from durable_llm_streams.store import Ending, Retention

from .run_world import OWNER, World, in_world
from .scripted_source import Done, Reason, Say, Scene, ScriptedSource, Stubborn, Wait
from .virtual_time import elapsed, until

pytestmark = pytest.mark.promise("stop")


def speaker(every: float = 1.0) -> ScriptedSource:
    """Says one word after the other."""
    return ScriptedSource([Say(*[f"{number} " for number in range(500)], every=every), Done()])


@pytest.mark.parametrize("who", ["its worker", "another"])
@in_world
async def test_a_stopped_run_keeps_its_text_so_far_and_its_source_is_closed(
    world: World, who: str
) -> None:
    source = speaker()
    worker, run = await world.answering(source, "0 1 2 ")
    other = await world.worker(ScriptedSource([Done()]))
    assert await (other if who == "another" else worker).stop(run) is True
    ended = await world.ended(run)
    assert (ended.status, ended.text) == (Status.STOPPED, "0 1 2 ")
    assert (ended.log[-3]["type"], ended.log[-1]) == ("text-end", {"type": "abort"})
    assert ended.fold.parts[-1]["state"] == "done"
    soon = 0.1 if who == "its worker" else 5 / 4 + 0.1  # with the next heartbeat
    await until(lambda: (source.open, worker.running) == (0, 0), within=soon)
    await asyncio.sleep(100)
    assert await world.log(run) == ended.log


@in_world
async def test_a_queued_run_is_stopped_before_it_begins(world: World) -> None:
    source = speaker(every=0.01)
    worker = await world.worker(source)
    first, second, third = [await world.ask(worker) for _ in range(3)]
    assert await worker.stop(second)
    ended = await world.ended(second)
    assert ended.kinds == ["start", "start-step", "message-metadata", "abort"]
    assert ended.metadata["timing"]["totalMs"] < 1000, "since it was asked, not started"
    for run in (first, third):
        assert (await world.ended(run)).status is Status.FINISHED
    assert len(source.prompts) == 2


@in_world
async def test_the_next_run_of_the_chat_starts_when_one_is_stopped(world: World) -> None:
    worker = await world.worker(ScriptedSource([Wait()], [Say("B"), Done()]), Limits(poll=60))
    first, second = await world.ask(worker), await world.ask(worker)
    await asyncio.sleep(1)
    await worker.stop(first)
    assert await elapsed(world.ended(second)) < 0.1
    assert await world.text(second) == "B"


@pytest.mark.promise("one-end")
@in_world
async def test_only_the_first_stop_has_stopped_it(world: World) -> None:
    worker, run = await world.answering(speaker(), "0 ")
    answers = await asyncio.gather(*[worker.stop(run) for _ in range(5)])
    assert sorted(answers) == [False] * 4 + [True]
    assert await worker.stop(await world.find(run)) is False
    assert (await world.ended(run)).status is Status.STOPPED


@pytest.mark.promise("one-end")
@in_world
async def test_stopping_an_ended_run_changes_nothing_even_without_its_log(world: World) -> None:
    worker = await world.worker(ScriptedSource([Say("A"), Done()]))
    run = await world.ask(worker)
    ended = await world.ended(run)
    assert await worker.stop(run) is False
    assert await world.log(run) == ended.log
    world.store.expiry.retention = Retention(log=10)
    await world.store.open()
    await asyncio.sleep(120)
    assert (await world.store.log.read(run.id, len(ended.log))).records == []
    with pytest.raises(CursorLost):
        await world.store.log.read(run.id, 0)
    assert await worker.stop(await world.find(run)) is False
    history = (await world.store.chats.snapshot(OWNER, run.chat_id)).messages
    assert history[-1].body == ended.fold.body()


@pytest.mark.promise("outage")
@pytest.mark.parametrize("fault", ["before", "after"])
@in_world
async def test_a_stop_with_an_unknown_outcome_can_be_repeated(world: World, fault: str) -> None:
    store = world.faulty()
    source = speaker()
    worker, run = await world.answering(source, "0 1 ", store=store)
    store.fail("end", "before" if fault == "before" else "after")
    with pytest.raises(StoreUnavailable):
        await worker.stop(run)
    assert await worker.stop(run) is (fault == "before")
    assert (await world.ended(run)).status is Status.STOPPED
    await until(lambda: source.open == 0, within=3)


@in_world
async def test_a_source_that_ignores_cancellation_cannot_write_after_a_stop(world: World) -> None:
    free = asyncio.Event()
    source = ScriptedSource([Say("A"), Stubborn(free), Say("B"), Wait(1), Say("C"), Done()])
    worker, run = await world.answering(source, "A")
    assert await worker.stop(run)
    ended = await world.ended(run)
    free.set()
    await until(lambda: source.open == 0)
    assert (await world.log(run), ended.text) == (ended.log, "A")


@pytest.mark.promise("one-end")
@pytest.mark.parametrize("seed", range(40))
@in_world
async def test_after_a_stop_nothing_follows_whatever_it_races_with(world: World, seed: int) -> None:
    rng = random.Random(seed)
    words = [f"{number} " for number in range(rng.randrange(12))]
    scene: Scene = [Reason("Hm"), Say(*words, every=0.004), Done()]
    limits = Limits(lease=1, poll=0.05)
    workers = [
        await world.worker(
            ScriptedSource(scene, can_prefill=True), limits, store=world.faulty(jitter=rng)
        )
        for _ in range(2)
    ]
    run = await world.ask(workers[0])
    await asyncio.sleep(rng.random() * 0.12)
    stops = [worker.stop(run) for worker in rng.choices(workers, k=rng.randint(1, 3))]
    stopped = await asyncio.gather(*stops)
    log = await world.records(run)
    ended = await world.ended(run)
    assert sum(stopped) == (ended.status is Status.STOPPED)
    assert "".join(words).startswith(ended.text)
    await asyncio.sleep(10)
    assert await world.records(run) == log
    assert [worker.running for worker in workers] == [0, 0]


@pytest.mark.promise("stop")
@in_world
async def test_a_stop_of_a_log_that_was_cut_meanwhile_can_be_repeated(world: World) -> None:
    store = world.faulty()
    worker, run = await world.answering(speaker(), "0 ", store=store)
    store.fail("end", SequenceMismatch(1))
    with pytest.raises(StoreUnavailable, match="lost records"):
        await worker.stop(run)
    assert await worker.stop(run)
    assert (await world.ended(run)).status is Status.STOPPED


@pytest.mark.promise("no-leak")
@in_world
async def test_deleting_a_chat_ends_what_is_being_written_in_it(world: World) -> None:
    source = speaker()
    worker, run = await world.answering(source, "0 1 ")
    runs = [run, await world.ask(worker), await world.ask(worker)]
    await worker.delete(OWNER, "chat")
    await until(lambda: source.open == 0 and worker.running == 0, within=1)
    for run in runs:
        with pytest.raises(RunNotFound):
            await world.store.log.read(run.id, 0)
    with pytest.raises(ChatNotFound):
        await worker.delete(OWNER, "chat")
    with pytest.raises(RunNotFound):
        await worker.stop(runs[0])


@pytest.mark.promise("no-leak")
@pytest.mark.parametrize("quiet", [True, False])
@in_world
async def test_a_run_whose_chat_is_deleted_elsewhere_is_cancelled(
    world: World, quiet: bool
) -> None:
    source = ScriptedSource([Say("0 "), Wait()]) if quiet else speaker()
    worker, run = await world.answering(source, "0 ")
    await world.store.chats.delete(OWNER, "chat")
    with pytest.raises(RunNotFound):
        async for _ in follow(world.store.log, Cursor.beginning(run.id), wait=5):
            pass
    await until(lambda: (source.open, worker.running) == (0, 0), within=3)


@pytest.mark.promise("stop")
@in_world
async def test_a_stop_that_another_one_has_overtaken_ends_the_run_itself(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other stop claims the run and dies: when this one returns, the run has ended."""
    worker = await world.worker(ScriptedSource([Say("Hel"), Wait()]))
    run = (await worker.send(world.order())).run
    await world.said(run, "Hel")
    end = world.store.log.end
    overtaken: list[Claim] = []

    async def overtaken_once(ending: Ending) -> Run:
        if not overtaken:
            overtaken.append(await world.store.runs.claim_run(run.id, "other", 5.0))
        return await end(ending)

    monkeypatch.setattr(world.store.log, "end", overtaken_once)
    assert await worker.stop(await world.find(run))
    assert (await world.find(run)).status is Status.STOPPED
