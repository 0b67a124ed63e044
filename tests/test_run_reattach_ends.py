"""Jobs at the provider are paid for until they end: what cancels them, and what must not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from durable_llm_streams.model import Status
from durable_llm_streams.runs import Limits
from durable_llm_streams.runs.jobs import Jobs
from durable_llm_streams.source import Event, Finish, Job, Prompt, TextDelta

from .run_world import OWNER, World, in_world
from .scripted_jobs import Keeper, KeptSource
from .virtual_time import elapsed, until

pytestmark = pytest.mark.promise("stop")

SAYS: list[Event] = [
    *(TextDelta(f"w{number} ") for number in range(60)),
    Finish(reason="stop", metadata={}),
]
SAID = "w0 w1 "


@pytest.mark.parametrize("who", ["the writer", "another", "another that is not started"])
@in_world
async def test_stopping_ends_the_job_from_any_process(world: World, who: str) -> None:
    keeper = Keeper(SAYS)
    writer, run = await world.answering(KeptSource(keeper), SAID)
    other = await world.worker(KeptSource(keeper), started=who == "another")
    assert await (writer if who == "the writer" else other).stop(run)
    ended = await world.ended(run)
    await until(lambda: keeper.ended == {"job-1"}, within=1)
    assert (ended.status, set(keeper.cancels)) == (Status.STOPPED, {"job-1"})
    await until(lambda: writer.running == 0, within=2)
    assert len(keeper.jobs) == 1


@in_world
async def test_a_run_that_waits_after_a_planned_end_is_stopped_with_its_job(world: World) -> None:
    keeper = Keeper(SAYS)
    leaving, run = await world.answering(KeptSource(keeper), SAID)
    await leaving.close()
    assert ((await world.find(run)).status, keeper.cancels) == (Status.QUEUED, [])
    other = await world.worker(KeptSource(keeper), started=False)
    assert await other.stop(await world.find(run))
    await until(lambda: keeper.ended == {"job-1"}, within=1)


@pytest.mark.parametrize("slow", [0, 5])
@in_world
async def test_deleting_the_chat_ends_the_job_and_waits_for_no_provider(
    world: World, slow: float
) -> None:
    keeper = Keeper(SAYS, slow=slow)
    worker, run = await world.answering(KeptSource(keeper), SAID)
    assert await elapsed(worker.delete(OWNER, run.chat_id)) < 0.1
    await until(lambda: keeper.ended == {"job-1"}, within=slow + 1)
    assert set(keeper.cancels) == {"job-1"}


@pytest.mark.parametrize(("deaf", "ended"), [(2, {"job-1"}), (3, set())])
@in_world
async def test_a_failed_cancel_of_a_job_is_tried_three_times(
    world: World, deaf: int, ended: set[str]
) -> None:
    keeper = Keeper(SAYS, deaf=deaf)
    worker, run = await world.answering(KeptSource(keeper), SAID)
    assert await worker.stop(run)
    await asyncio.sleep(50)
    assert (len(keeper.cancels), keeper.ended) == (3, ended)
    assert (await world.ended(await world.ask(worker))).status is Status.FINISHED


@pytest.mark.parametrize(("slow", "ended"), [(1, {"job-1"}), (1e6, set())])
@in_world
async def test_a_process_that_ends_waits_a_bounded_time_for_the_ends_of_jobs(
    world: World, slow: float, ended: set[str]
) -> None:
    keeper = Keeper(SAYS, slow=slow)
    worker, run = await world.answering(KeptSource(keeper), SAID, Limits(lease=4))
    assert await worker.stop(run)
    assert await elapsed(worker.close()) < 6
    assert keeper.ended == ended


@pytest.mark.parametrize(
    ("cuts", "limits", "text"),
    [
        ([], Limits(whole_run=5.5), "w0 w1 w2 w3 w4 "),
        ([2, 4], Limits(attempts=2), "w0 w1 w2 w3 "),
    ],
    ids=["it takes too long", "it is given up"],
)
@in_world
async def test_a_run_that_fails_ends_with_its_job(
    world: World, cuts: list[int], limits: Limits, text: str
) -> None:
    keeper = Keeper(SAYS, cuts=[*cuts])
    ended = await world.play(KeptSource(keeper), limits)
    assert (ended.status, ended.text) == (Status.FAILED, text)
    await until(lambda: keeper.ended == {"job-1"}, within=1)


@pytest.mark.promise("no-leak")
@in_world
async def test_a_job_that_the_log_does_not_know_is_ended_by_the_worker_that_began_it(
    world: World,
) -> None:
    class Freezing(KeptSource):
        async def stream(self, prompt: Prompt) -> AsyncGenerator[Event, None]:
            store.freeze()  # before the notice is written
            async for event in super().stream(prompt):
                yield event

    keeper, store = Keeper(SAYS), world.faulty()
    worker = await world.worker(Freezing(keeper), store=store)
    run = await world.ask(worker)
    await until(lambda: bool(keeper.jobs))
    await world.worker(KeptSource(keeper))
    await until(lambda: len(keeper.jobs) == 2)
    store.thaw()
    await until(lambda: keeper.ended == {"job-1"} and worker.running == 0, within=10)
    ended = await world.ended(run)
    assert (ended.status, keeper.cancels) == (Status.FINISHED, ["job-1"])


@pytest.mark.promise("hand-over")
@in_world
async def test_a_shutdown_while_a_job_is_recorded_leaves_the_job_running(world: World) -> None:
    keeper, store = Keeper(SAYS), world.faulty()
    store.delay = 0.3
    worker = await world.worker(KeptSource(keeper), store=store)
    run = await world.ask(worker)
    await until(lambda: bool(keeper.jobs))
    await worker.close()
    assert (await world.log(run))[-1]["data"] == {"event": "job", "job": "job-1", "mark": ""}
    assert keeper.cancels == [], "the next worker listens to it"


@pytest.mark.promise("no-leak")
@in_world
async def test_after_the_end_of_the_process_no_task_is_begun_for_a_job(world: World) -> None:
    keeper = Keeper(SAYS)
    jobs = Jobs(KeptSource(keeper))
    await jobs.close(1)
    assert jobs.abandon(Job("job-1")) is None, "a task that nobody would wait for"
    await jobs.end(Job("job-1"))
    assert keeper.cancels == []


@in_world
async def test_a_finished_answer_ends_no_job(world: World) -> None:
    keeper = Keeper(SAYS, every=0.1)
    ended = await world.play(KeptSource(keeper))
    assert (ended.status, ended.metadata["timing"]["totalMs"] < 10_000) == (Status.FINISHED, True)
    await asyncio.sleep(30)
    assert keeper.cancels == []
