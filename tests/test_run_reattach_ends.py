"""Jobs at the provider are paid for until they end: who ends them, and who must not."""

from __future__ import annotations

import asyncio

import pytest

from durable_llm_streams.model import Run, Status
from durable_llm_streams.source import Finish, Job, TextDelta
from durable_llm_streams.runs import Limits, Worker
from durable_llm_streams.runs.jobs import Jobs

from .faulty_store import FaultyStore
from .run_world import OWNER, World, in_world
from .scripted_jobs import Keeper, KeptSource
from .virtual_time import elapsed, now, until

pytestmark = pytest.mark.promise("stop")

WORDS = [TextDelta(f"w{number} ") for number in range(60)]
END = Finish(reason="stop", metadata={})


def talker(**more: float) -> Keeper:
    return Keeper([*WORDS, END], **more)  # type: ignore[arg-type]


async def answering(
    world: World, keeper: Keeper, limits: Limits | None = None
) -> tuple[Worker, Run]:
    """A worker in the middle of an answer."""
    worker = await world.worker(KeptSource(keeper), limits)
    run = await world.ask(worker)
    await world.said(run, "w0 w1 ")
    return worker, run


@pytest.mark.parametrize("who", ["the writer", "another", "another that is not started"])
@in_world
async def test_stopping_ends_the_job_from_any_process(world: World, who: str) -> None:
    keeper = talker()
    writer, run = await answering(world, keeper)
    other = await world.worker(KeptSource(keeper), started=who == "another")
    assert await (writer if who == "the writer" else other).stop(await world.find(run))
    ended = await world.ended(run)
    await until(lambda: keeper.jobs["job-1"].ended, within=1)
    assert (ended.status, set(keeper.cancels)) == (Status.STOPPED, {"job-1"})
    await until(lambda: writer.running == 0, within=2)
    assert len(keeper.begun) == 1


@in_world
async def test_deleting_the_chat_ends_the_job(world: World) -> None:
    keeper = talker()
    worker, run = await answering(world, keeper)
    await worker.delete(OWNER, run.chat_id)
    await until(lambda: keeper.jobs["job-1"].ended, within=1)
    assert set(keeper.cancels) == {"job-1"}


@in_world
async def test_a_run_that_waits_after_a_planned_end_is_stopped_with_its_job(world: World) -> None:
    keeper = talker()
    leaving, run = await answering(world, keeper)
    await leaving.close()
    assert (await world.find(run)).status is Status.QUEUED
    assert keeper.running == ["job-1"]
    other = await world.worker(KeptSource(keeper), started=False)
    assert await other.stop(await world.find(run))
    await until(lambda: keeper.jobs["job-1"].ended, within=1)


@in_world
async def test_whoever_stops_does_not_wait_for_a_provider_that_is_slow_to_end_the_job(
    world: World,
) -> None:
    keeper = talker(slow=5)
    worker, run = await answering(world, keeper)
    assert await elapsed(worker.stop(await world.find(run))) < 0.1
    assert (await world.find(run)).status is Status.STOPPED
    assert not keeper.jobs["job-1"].ended
    await until(lambda: keeper.jobs["job-1"].ended, within=6)


@pytest.mark.parametrize(("deaf", "ended"), [(2, True), (3, False)])
@in_world
async def test_a_provider_that_fails_to_end_it_is_asked_thrice_and_harms_nobody(
    world: World, deaf: int, ended: bool
) -> None:
    keeper = talker(deaf=deaf)
    worker, run = await answering(world, keeper)
    assert await worker.stop(await world.find(run))
    await asyncio.sleep(50)
    assert (len(keeper.cancels), keeper.jobs["job-1"].ended) == (3, ended)
    assert (await world.ended(await world.ask(worker))).status is Status.FINISHED


@in_world
async def test_a_provider_that_never_answers_does_not_keep_a_process_from_ending(
    world: World,
) -> None:
    keeper = talker(slow=1e6)
    worker, run = await answering(world, keeper, Limits(lease=4))
    assert await worker.stop(await world.find(run))
    assert await elapsed(worker.close()) < 6


@in_world
async def test_a_process_that_ends_waits_for_the_ends_of_jobs_that_are_under_way(
    world: World,
) -> None:
    keeper = talker(slow=1)
    worker, run = await answering(world, keeper)
    await worker.stop(await world.find(run))
    await worker.close()
    assert keeper.jobs["job-1"].ended


@in_world
async def test_a_run_that_takes_too_long_ends_with_its_job(world: World) -> None:
    keeper = talker(every=3)
    worker = await world.worker(KeptSource(keeper), Limits(whole_run=20))
    ended = await world.ended(await world.ask(worker))
    assert ended.status is Status.FAILED
    await until(lambda: keeper.jobs["job-1"].ended, within=1)


@in_world
async def test_a_run_that_is_given_up_ends_with_its_job(world: World) -> None:
    keeper = talker()
    keeper.cuts = [2, 4]
    worker = await world.worker(KeptSource(keeper), Limits(attempts=2))
    ended = await world.ended(await world.ask(worker))
    assert (ended.status, ended.text) == (Status.FAILED, "w0 w1 w2 w3 ")
    await until(lambda: keeper.jobs["job-1"].ended, within=1)


@pytest.mark.promise("no-leak")
@in_world
async def test_a_job_that_the_log_could_not_be_told_of_is_ended_by_whoever_began_it(
    world: World,
) -> None:
    keeper = talker(every=1)
    store = FaultyStore(world.store)
    store.delay = 0.2
    worker = await world.worker(KeptSource(keeper), store=store)
    run = await world.ask(worker)
    await until(lambda: bool(keeper.jobs))
    store.freeze()  # before the notice is written
    other = await world.worker(KeptSource(keeper))
    await until(lambda: len(keeper.jobs) == 2)
    store.thaw()
    await until(lambda: keeper.jobs["job-1"].ended, within=10)
    await until(lambda: worker.running == 0, within=10)
    ended = await world.ended(run)
    assert (ended.status, keeper.cancels) == (Status.FINISHED, ["job-1"])
    await until(lambda: other.running == 0)


@pytest.mark.promise("hand-over")
@in_world
async def test_a_planned_end_while_the_log_is_told_of_a_job_leaves_it_alone(world: World) -> None:
    keeper = talker()
    store = FaultyStore(world.store)
    store.delay = 0.3
    worker = await world.worker(KeptSource(keeper), store=store)
    run = await world.ask(worker)
    await until(lambda: bool(keeper.jobs))
    await worker.close()
    assert (await world.log(run))[-1]["data"] == {"event": "job", "job": "job-1", "mark": ""}
    assert keeper.cancels == [], "whoever takes the run over listens to it"


@pytest.mark.promise("no-leak")
@in_world
async def test_behind_the_end_no_job_is_ended_any_more(world: World) -> None:
    keeper = talker()
    jobs = Jobs(KeptSource(keeper))
    await jobs.close(1)
    assert jobs.abandon(Job("job-1")) is None, "a task that nobody would wait for"
    await jobs.end(Job("job-1"))
    assert keeper.cancels == []


@in_world
async def test_a_finished_answer_ends_no_job(world: World) -> None:
    keeper = talker(every=0.1)
    worker = await world.worker(KeptSource(keeper))
    begin = now()
    assert (await world.ended(await world.ask(worker))).status is Status.FINISHED
    assert now() - begin < 10_000
    await asyncio.sleep(30)
    assert keeper.cancels == []
