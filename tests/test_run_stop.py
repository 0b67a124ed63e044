"""Stopping is a fact in the log."""

from __future__ import annotations

import asyncio
import random

import pytest

from durable_llm_streams import chunks
from durable_llm_streams.errors import ChatNotFound, CursorLost, RunNotFound, StoreUnavailable
from durable_llm_streams.log import follow
from durable_llm_streams.model import Cursor, Run, Status
from durable_llm_streams.runs import Limits
from durable_llm_streams.runs.endings import opening
from durable_llm_streams.store import Append, Ending, Store

from .faulty_store import FaultyStore
from .run_world import OWNER, World, in_world
from .scripted_source import Done, Reason, Say, Scene, ScriptedSource, Stubborn, Wait
from .virtual_time import now, until


def speaker(every: float = 1.0) -> ScriptedSource:
    """Says one word after the other."""
    return ScriptedSource([Say(*[f"{number} " for number in range(500)], every=every), Done()])


@pytest.mark.promise("stop")
@in_world
async def test_a_stopped_run_keeps_what_was_said_and_its_source_is_closed(world: World) -> None:
    source = speaker()
    worker = await world.worker(source)
    run = await world.ask(worker)
    await world.said(run, "0 1 2 ")
    assert await worker.stop(run) is True
    ended = await world.ended(run)
    assert (ended.status, ended.text) == (Status.STOPPED, "0 1 2 ")
    assert ended.log[-3]["type"] == "text-end"
    assert ended.log[-1] == {"type": "abort"}
    assert ended.fold.parts[-1]["state"] == "done"
    await until(lambda: source.open == 0, within=0.1)
    await until(lambda: worker.running == 0, within=0.1)


@pytest.mark.promise("stop")
@in_world
async def test_a_run_is_stopped_from_another_worker_too(world: World) -> None:
    source = speaker(every=1)
    writer = await world.worker(source)
    other = await world.worker(ScriptedSource([Done()]))
    run = await world.ask(writer)
    await world.said(run, "0 1 ")
    assert await other.stop(run)
    log = await world.log(run)
    await asyncio.sleep(100)
    assert await world.log(run) == log
    assert (await world.ended(run)).text == "0 1 "
    assert (source.open, writer.running) == (0, 0)


@pytest.mark.promise("stop")
@in_world
async def test_a_queued_run_is_stopped_before_it_begins(world: World) -> None:
    source = speaker(every=0.01)
    worker = await world.worker(source)
    first, second, third = [await world.ask(worker) for _ in range(3)]
    assert await worker.stop(second)
    ended = await world.ended(second)
    assert ended.kinds == ["start", "start-step", "message-metadata", "abort"]
    assert ended.metadata["timing"]["totalMs"] < 1000, "since it was asked, not started"
    assert (await world.ended(first)).status is Status.FINISHED
    assert (await world.ended(third)).status is Status.FINISHED
    assert len(source.prompts) == 2


@in_world
async def test_the_next_run_of_the_chat_starts_when_one_is_stopped(world: World) -> None:
    worker = await world.worker(ScriptedSource([Wait()], [Say("B"), Done()]))
    first, second = await world.ask(worker), await world.ask(worker)
    await asyncio.sleep(1)
    begin = now()
    await worker.stop(first)
    assert (await world.ended(second)).text == "B"
    assert now() - begin < 100


@pytest.mark.promise("stop", "one-end")
@in_world
async def test_only_the_first_stop_has_stopped_it(world: World) -> None:
    worker = await world.worker(speaker())
    run = await world.ask(worker)
    await world.said(run, "0 ")
    answers = await asyncio.gather(*[worker.stop(run) for _ in range(5)])
    assert sorted(answers) == [False] * 4 + [True]
    assert await worker.stop(await world.find(run)) is False
    assert (await world.ended(run)).status is Status.STOPPED


@pytest.mark.promise("stop", "one-end")
@in_world
async def test_stopping_an_ended_run_changes_nothing_even_without_its_log(world: World) -> None:
    limits = Limits(log_age=10)
    worker = await world.worker(ScriptedSource([Say("A"), Done()]), limits)
    run = await world.ask(worker)
    ended = await world.ended(run)
    assert await worker.stop(run) is False
    assert await world.log(run) == ended.log
    await asyncio.sleep(120)
    assert (await world.store.read(run.id, len(ended.log))).records == []
    with pytest.raises(CursorLost):
        await world.store.read(run.id, 0)
    assert await worker.stop(await world.find(run)) is False
    assert (await world.message(run)).body != b""


@pytest.mark.promise("stop", "outage")
@in_world
async def test_a_stop_of_which_nobody_knows_is_simply_repeated(world: World) -> None:
    store = FaultyStore(world.store)
    source = speaker()
    worker = await world.worker(source, store=store)
    for fault in ("before", "after"):
        run = await world.ask(worker, chat=fault)
        await world.said(run, "0 1 ")
        store.fail("end", "before" if fault == "before" else "after")
        with pytest.raises(StoreUnavailable):
            await worker.stop(run)
        assert await worker.stop(run) is (fault == "before")
        assert (await world.ended(run)).status is Status.STOPPED
    await until(lambda: source.open == 0, within=3)


@pytest.mark.promise("stop")
@in_world
async def test_a_source_that_does_not_listen_cannot_write_after_a_stop(world: World) -> None:
    free = asyncio.Event()
    source = ScriptedSource([Say("A"), Stubborn(free), Say("B"), Wait(1), Say("C"), Done()])
    worker = await world.worker(source)
    run = await world.ask(worker)
    await world.said(run, "A")
    assert await worker.stop(run)
    ended = await world.ended(run)
    free.set()
    await until(lambda: source.open == 0)
    assert await world.log(run) == ended.log
    assert ended.text == "A"


@pytest.mark.promise("stop", "one-end")
@pytest.mark.parametrize("seed", range(40))
@in_world
async def test_after_a_stop_nothing_follows_whatever_it_races_with(world: World, seed: int) -> None:
    rng = random.Random(seed)
    stores = [FaultyStore(world.store, jitter=rng) for _ in range(2)]
    words = [f"{number} " for number in range(rng.randrange(12))]
    scene: Scene = [Reason("Hm"), Say(*words, every=0.004), Done()]
    limits = Limits(lease=1, poll=0.05)
    workers = [
        await world.worker(ScriptedSource(scene, can_prefill=True), limits, store=store)
        for store in stores
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


class Racing(FaultyStore):
    """A store to which the writer gets through once more just before the run is ended."""

    def __init__(self, inner: Store, last_words: Append) -> None:
        super().__init__(inner)
        self._last_words = [last_words]

    async def end(self, ending: Ending) -> Run:
        """End the run, once the writer has been."""
        while self._last_words:
            assert await self._inner.append([self._last_words.pop()]) == [True]
        return await self._inner.end(ending)


@pytest.mark.promise("stop", "history-is-fold")
@in_world
async def test_a_stop_that_the_writer_outran_reads_what_it_wrote(world: World) -> None:
    claim = await world.claim(lease=60)
    run = claim.run
    head = chunks.delta_prefix("text", "p1")
    said = [*opening(run), chunks.part_start("text", "p1"), head + b'"A"}']
    assert await world.store.append([Append(run.id, claim.epoch, 1, said)]) == [True]
    store = Racing(world.store, Append(run.id, claim.epoch, len(said) + 1, [head + b'"B"}']))
    worker = await world.worker(ScriptedSource([Done()]), store=store)
    assert await worker.stop(run)
    ended = await world.ended(run)
    assert (ended.status, ended.text) == (Status.STOPPED, "AB")
    assert ended.kinds[-4:] == ["text-delta", "text-end", "message-metadata", "abort"]
    late = Append(run.id, claim.epoch, len(ended.log) + 1, [b"{}"])
    assert await world.store.append([late]) == [False]


@pytest.mark.promise("stop")
@in_world
async def test_a_stop_gets_through_to_a_log_that_never_rests(world: World) -> None:
    far, near = FaultyStore(world.store), FaultyStore(world.store)
    far.delay = 0.020
    source = speaker(every=0.013)
    run = await world.ask(await world.worker(source, store=near))
    await world.said(run, "0 1 2 3 ")
    other = await world.worker(ScriptedSource([Done()]), store=far, started=False)
    assert await other.stop(run)
    assert (await world.ended(run)).status is Status.STOPPED


@pytest.mark.promise("no-leak")
@in_world
async def test_deleting_a_chat_ends_what_is_being_written_in_it(world: World) -> None:
    source = speaker()
    worker = await world.worker(source)
    runs = [await world.ask(worker) for _ in range(3)]
    await world.said(runs[0], "0 1 ")
    await worker.delete(OWNER, "chat")
    await until(lambda: source.open == 0 and worker.running == 0, within=1)
    for run in runs:
        with pytest.raises(RunNotFound):
            await world.store.read(run.id, 0)
    with pytest.raises(ChatNotFound):
        await worker.delete(OWNER, "chat")
    with pytest.raises(RunNotFound):
        await worker.stop(runs[0])


@pytest.mark.promise("no-leak")
@in_world
async def test_a_run_whose_chat_is_deleted_behind_its_back_is_let_go(world: World) -> None:
    quiet, loud = ScriptedSource([Say("A"), Wait()]), speaker()
    for source in (quiet, loud):
        worker = await world.worker(source)
        run = await world.ask(worker)
        await asyncio.sleep(1.5)
        await world.store.delete(OWNER, "chat")
        with pytest.raises(RunNotFound):
            async for _ in follow(world.store, Cursor.beginning(run.id), wait=5):
                pass
        await until(lambda source=source: source.open == 0, within=3)  # type: ignore[misc]
        assert worker.running == 0
        await worker.close()
