"""Jobs that the provider stores are deleted there when nobody can need them any more."""

from __future__ import annotations

import asyncio

import pytest

from durable_llm_streams.model import Status
from durable_llm_streams.runs import Limits
from durable_llm_streams.runs.jobs import Jobs
from durable_llm_streams.source import Job

from .run_world import OWNER, World, in_world
from .scripted_jobs import Keeper, KeptSource, StoredSource, says
from .virtual_time import elapsed, until

pytestmark = pytest.mark.promise("erased")

TEXT = "The fox jumps over the dog."


@in_world
async def test_a_finished_answers_job_is_deleted_once(world: World) -> None:
    keeper = Keeper(says(TEXT))
    ended = await world.play(StoredSource(keeper))
    assert ended.status is Status.FINISHED
    await until(lambda: keeper.deleted == ["job-1"], within=1)
    assert keeper.cancels == []


@in_world
async def test_a_failed_answers_job_is_cancelled_and_deleted(world: World) -> None:
    keeper = Keeper(says(TEXT), stuck={"job-1"})
    ended = await world.play(StoredSource(keeper), Limits(attempts=1, first_token=5, next_token=5))
    assert ended.status is Status.FAILED
    await until(lambda: "job-1" in keeper.deleted, within=1)
    assert "job-1" in keeper.ended


@in_world
async def test_a_stopped_answers_job_is_cancelled_and_deleted(world: World) -> None:
    keeper = Keeper(says(TEXT))
    worker, run = await world.answering(StoredSource(keeper), TEXT[:6])
    assert await worker.stop(run)
    await until(lambda: keeper.deleted == ["job-1"], within=1)
    assert keeper.ended == {"job-1"}


@in_world
async def test_a_job_is_not_deleted_before_it_is_cancelled(world: World) -> None:
    keeper = Keeper(says(TEXT), slow=2)
    worker, run = await world.answering(StoredSource(keeper), TEXT[:6])
    await worker.delete(OWNER, run.chat_id)
    await asyncio.sleep(1)
    assert (keeper.cancels, keeper.deleted) == (["job-1"], [])
    await until(lambda: keeper.deleted == ["job-1"], within=2)
    assert keeper.ended == {"job-1"}


@in_world
async def test_a_job_that_was_taken_over_is_kept_until_the_answers_end(world: World) -> None:
    keeper = Keeper(says(TEXT))
    _, _, run = await world.frozen(StoredSource(keeper), TEXT[:6])
    assert keeper.deleted == []
    await world.worker(StoredSource(keeper))
    assert (await world.ended(run)).text == TEXT
    await until(lambda: keeper.deleted == ["job-1"], within=1)


@pytest.mark.parametrize("keeps", [2, 3])
@in_world
async def test_what_was_not_deleted_at_the_end_is_deleted_with_its_chat(
    world: World, keeps: int
) -> None:
    keeper = Keeper(says(TEXT), keeps=keeps)
    worker = await world.worker(StoredSource(keeper))
    run = await world.ask(worker)
    await world.ended(run)
    await asyncio.sleep(50)
    assert keeper.deleted == ["job-1"] * 3, "it is tried three times"
    assert await elapsed(worker.delete(OWNER, run.chat_id)) < 0.1
    await until(lambda: keeper.deleted == ["job-1"] * 4, within=1)


@in_world
async def test_a_provider_that_stores_nothing_is_asked_to_delete_nothing(world: World) -> None:
    keeper = Keeper(says(TEXT))
    worker = await world.worker(KeptSource(keeper))
    run = await world.ask(worker)
    await world.ended(run)
    await worker.delete(OWNER, run.chat_id)
    assert keeper.deleted == []


@in_world
async def test_a_process_that_ends_begins_no_more_deletions(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    keeper = Keeper(says(TEXT))
    jobs = Jobs(StoredSource(keeper))
    await jobs.close(1)
    jobs.delete([Job("job-1")])
    assert (keeper.deleted, "1 jobs of the provider are not deleted" in caplog.text) == ([], True)
