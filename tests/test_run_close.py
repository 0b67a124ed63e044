"""The planned end of a worker, its heartbeats and its house-keeping."""

from __future__ import annotations

import asyncio

import pytest

from durable_llm_streams.errors import CursorLost, ShuttingDown
from durable_llm_streams.model import Status
from durable_llm_streams.runs import Limits
from durable_llm_streams.store import Retention

from .run_world import World, in_world
from .scripted_source import Done, Fail, Say, Scene, ScriptedSource, Stubborn, Wait
from .virtual_time import elapsed, until

pytestmark = pytest.mark.promise("hand-over")

#: Long enough that a wait for a lease to run out is noticed.
LONG_LEASE = Limits(lease=600.0, backoff=2.0)


@in_world
async def test_an_idle_worker_ends_at_once_and_twice_is_once(world: World) -> None:
    never_started = await world.worker(ScriptedSource([Done()]), started=False)
    await never_started.close()
    worker = await world.worker(ScriptedSource([Done()]))
    assert worker.ready
    await asyncio.sleep(1)
    for call in (worker.finish, worker.close, worker.close):
        assert await elapsed(call()) < 0.1
    assert not worker.ready


@in_world
async def test_a_draining_worker_takes_no_message_and_finishes_what_runs(world: World) -> None:
    source = ScriptedSource([Wait(5), Say("A"), Done()])
    worker = await world.worker(source)
    run = await world.ask(worker)
    await until(lambda: source.open == 1)
    waiting = await world.queue("other")
    worker.drain()
    assert not worker.ready
    with pytest.raises(ShuttingDown):
        await world.ask(worker)
    assert (await world.ended(run)).text == "A"
    await asyncio.sleep(30)
    assert (await world.find(waiting)).status is Status.QUEUED


@in_world
async def test_the_grace_ends_with_the_last_answer_and_leases_are_renewed(world: World) -> None:
    source, other = ScriptedSource([Wait(7), Say("A"), Done()]), ScriptedSource([Done()])
    worker = await world.worker(source, Limits(lease=1.0, grace=60.0))
    run = await world.ask(worker)
    await until(lambda: source.open == 1)
    await world.worker(other, Limits(lease=1.0))
    assert 6 < await elapsed(worker.finish()) < 8
    ended = await world.ended(run)
    assert (ended.text, ended.run.takeovers, other.prompts) == ("A", 0, [])


@in_world
async def test_an_answer_longer_than_the_grace_is_taken_over_at_once(world: World) -> None:
    source = ScriptedSource([Say("A"), Wait()])
    other = ScriptedSource([Say("B"), Done()], can_prefill=True)
    worker, run = await world.answering(source, "A", LONG_LEASE)
    await world.worker(other, LONG_LEASE)
    assert 5 <= await elapsed(worker.finish()) < 5.1
    assert await elapsed(worker.close()) < 0.1
    assert source.open == 0
    assert await elapsed(world.ended(run)) < 0.1
    ended = await world.ended(run)
    assert (ended.text, ended.run.takeovers, ended.metadata["attempts"]) == ("AB", 0, 1)


@in_world
async def test_the_grace_can_be_none_and_can_be_ended_early(world: World) -> None:
    source = ScriptedSource([Say("A"), Wait()])
    none, _ = await world.answering(source, "A", Limits(grace=0.0))
    assert await elapsed(none.finish()) < 0.01
    await none.close()
    worker = await world.worker(source, Limits(grace=60.0))
    await until(lambda: source.open == 1)
    finishing = asyncio.create_task(worker.finish())
    await asyncio.sleep(1)
    finishing.cancel()
    await asyncio.wait([finishing])
    assert (worker.running, source.open) == (1, 1)


@pytest.mark.parametrize("silence", [0, 1], ids=["before the shutdown", "during the grace"])
@in_world
async def test_a_draining_worker_leaves_the_next_attempt_to_another(
    world: World, silence: float
) -> None:
    source = ScriptedSource([Say("A"), Wait(silence), Fail()], [Say("never"), Done()])
    other = ScriptedSource([Say("B"), Done()])
    worker, run = await world.answering(source, "A", LONG_LEASE)
    await asyncio.sleep(0.5)
    await world.worker(other, LONG_LEASE)
    assert await elapsed(worker.finish()) < 1 + 2  # the pause before the next attempt is kept
    ended = await world.ended(run)
    assert (ended.text, len(source.prompts), len(other.prompts)) == ("B", 1, 1)
    assert [notice["event"] for notice in ended.notices] == ["retry", "takeover"]
    assert (ended.run.takeovers, ended.metadata["attempts"]) == (0, 2)


@pytest.mark.parametrize("way", ["drain", "close"])
@in_world
async def test_a_run_that_is_claimed_during_the_shutdown_is_released(
    world: World, way: str
) -> None:
    store = world.faulty()
    source = ScriptedSource([Say("never"), Done()])
    worker = await world.worker(source, LONG_LEASE, store=store)
    await asyncio.sleep(1)
    store.delay = 0.3
    calls = store.calls.count("claim")
    run = await world.queue()
    await until(lambda: store.calls.count("claim") > calls)
    await asyncio.sleep(0.2)  # it is claimed, but the worker has no reply yet
    if way == "drain":
        worker.drain()
    else:
        await worker.close()
    await until(lambda: "release" in store.calls)
    store.delay = 0.0
    await asyncio.sleep(0.3)
    assert await world.records(run) == []
    await world.worker(ScriptedSource([Say("A"), Done()]), LONG_LEASE)
    assert await elapsed(world.ended(run)) < 2
    assert (source.prompts, worker.running) == ([], 0)


@pytest.mark.promise("fencing")
@in_world
async def test_a_stubborn_source_holds_up_no_reader_of_others_and_cannot_write(
    world: World,
) -> None:
    free = asyncio.Event()
    stubborn: Scene = [Say("A"), Stubborn(free), Say("B"), Wait(1), Say("C"), Done()]
    source = ScriptedSource(
        by_prompt=lambda prompt: stubborn if prompt.turns[-1].text == "1" else [Say("A"), Wait()]
    )
    worker = await world.worker(source, LONG_LEASE)
    runs = [await world.ask(worker, f"chat-{number}", str(number)) for number in range(3)]
    for run in runs:
        await world.said(run, "A")
    await world.worker(ScriptedSource([Say("D"), Done()], can_prefill=True), LONG_LEASE)
    closing = asyncio.create_task(worker.close())
    for run in (runs[0], runs[2]):
        assert await elapsed(world.ended(run)) < 0.5
    assert not closing.done()
    assert await elapsed(closing) <= 5
    free.set()
    await until(lambda: source.open == 0)
    assert [(await world.ended(run)).text for run in runs] == ["AD"] * 3


@in_world
async def test_the_text_so_far_is_committed_before_the_run_is_released(world: World) -> None:
    store = world.faulty()
    source = ScriptedSource([Say(*"abcdefgh"), Wait()])
    worker = await world.worker(source, store=store)
    run = await world.ask(worker)
    await until(lambda: bool(source.prompts))
    store.delay = 0.3
    await worker.close()
    assert await world.text(run) == "abcdefgh"
    assert (await world.find(run)).status is Status.QUEUED
    assert store.calls[-1] == "release"


@pytest.mark.parametrize("fault", ["hangs", "is down"])
@in_world
async def test_a_store_that_does_not_answer_cannot_hold_up_the_end(
    world: World, fault: str
) -> None:
    store = world.faulty()
    source = ScriptedSource([Say(*[f"{n} " for n in range(3000)], every=0.01), Done()])
    worker, run = await world.answering(source, "0 1 ", store=store)
    if fault == "hangs":
        store.freeze()
    else:
        store.down = True
    await asyncio.sleep(2.5)
    assert await elapsed(worker.close()) <= 15
    assert (source.open, worker.running) == (0, 0)
    text = await world.text(run)
    await world.worker(source)
    assert (await world.ended(run)).text.startswith(text)


@pytest.mark.promise("honest-failure")
@in_world
async def test_a_message_being_accepted_is_not_lost_with_the_worker(world: World) -> None:
    store = world.faulty()
    store.delay = 1.0
    source = ScriptedSource([Say("A"), Done()])
    worker = await world.worker(source, store=store)
    sending = asyncio.create_task(world.ask(worker))
    await asyncio.sleep(0.7)
    await worker.close()
    run = await sending
    assert source.prompts == []
    assert (await world.find(run)).status is Status.QUEUED


@in_world
async def test_all_leases_are_renewed_in_one_call_five_times_in_a_lease(world: World) -> None:
    store = world.faulty()
    worker = await world.worker(ScriptedSource([Wait(59), Done()]), store=store)
    runs = [await world.ask(worker, chat=f"chat-{number}") for number in range(20)]
    await asyncio.sleep(50.5)
    assert store.calls.count("renew") == 50
    for run in runs:
        assert (await world.ended(run)).run.takeovers == 0


@pytest.mark.promise("bounded")
@in_world
async def test_what_is_over_age_is_deleted_every_minute_and_all_of_it(world: World) -> None:
    sweep, sweeps = world.store.expiry.delete_some, 0

    async def counted() -> int:
        nonlocal sweeps
        sweeps += 1
        return await sweep()

    world.store.expiry.delete_some = counted  # type: ignore[method-assign]
    world.store.expiry.retention = Retention(log=1, chat=90)
    await world.store.open()
    worker = await world.worker(ScriptedSource([Done()]))
    runs = [await world.ask(worker, chat=f"chat-{number}") for number in range(450)]
    await world.ended(runs[-1])
    await asyncio.sleep(65)
    assert (await world.store.chats.page("ann")).chats, "chats live longer than logs"
    with pytest.raises(CursorLost):
        await world.records(runs[0])
    await asyncio.sleep(60)
    assert (await world.store.chats.page("ann")).chats == []
    before = sweeps
    assert before > 2
    await asyncio.sleep(600)
    assert sweeps - before == 10


@in_world
async def test_an_unexpected_failure_of_the_store_ends_no_loop(world: World) -> None:
    store = world.faulty()
    worker = await world.worker(ScriptedSource([Wait(30), Say("A"), Done()]), store=store)
    first = await world.ask(worker)
    for name in ("claim", "renew", "expire"):
        store.fail(name, ValueError("a bug"), "before")
    for run in (first, await world.queue("other")):
        assert (await world.ended(run)).text == "A"
    assert worker.ready
