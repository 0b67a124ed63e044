"""The log: writers that batch, readers that pull."""

from __future__ import annotations

import asyncio
import random

import pytest

from durable_llm_streams.errors import Fenced
from durable_llm_streams.log import FULL, LogWriter, read_all
from durable_llm_streams.log.pacing import Pacing
from durable_llm_streams.store import Pace

from .run_world import World, in_world, record
from .scripted_source import Done, Say, ScriptedSource, Wait
from .virtual_time import elapsed

SPARING = Pace(interval=0.002, records=50, longest=0.5)


@in_world
async def test_what_all_runs_write_at_once_goes_to_the_store_in_one_call(world: World) -> None:
    store, flusher = world.flushing()
    writers = [flusher.writer(await world.claim()) for _ in range(20)]
    for writer in writers:
        assert (await elapsed(writer.drain()), writer.next_seq) == (0, 1)
    for number in range(3):
        for writer in writers:
            writer.write(record(number))
    for writer in writers:
        await writer.drain()
    assert [len(batch) for batch in store.batches] == [20]
    three = [*map(record, range(3))]
    assert [item.records for item in store.batches[0]] == [three] * 20
    for writer in writers:
        assert (writer.next_seq, writer.lost) == (4, False)
        assert await world.records(writer.claim.run) == three


@pytest.mark.parametrize("pace", [Pace(), SPARING], ids=["none", "sparing"])
@in_world
async def test_an_idle_flusher_flushes_at_once_whatever_the_pace(world: World, pace: Pace) -> None:
    _, flusher = world.flushing(pace)
    writer = flusher.writer(await world.claim())
    for number in range(20):
        await asyncio.sleep(number / 10)
        writer.write(record(number))
        assert await elapsed(writer.drain()) == 0


@in_world
async def test_the_pause_between_flushes_grows_and_shrinks_with_the_load(world: World) -> None:
    used = 0.0  # seconds of the core
    store, flusher = world.flushing(core=lambda: used)
    writer = flusher.writer(await world.claim())

    async def flushes(seconds: float, busy: float) -> int:
        nonlocal used
        begin, until = len(store.batches), asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < until:
            writer.write(record(0))
            used += busy * 0.002
            await asyncio.sleep(0.002)
        await writer.drain()
        return len(store.batches) - begin

    idle = await flushes(0.5, 0.0)
    await flushes(0.5, 1.0)
    busy = await flushes(0.5, 1.0)
    await flushes(3.0, 0.0)
    after = await flushes(0.5, 0.0)
    assert busy < idle / 5
    assert after > idle / 2


async def steadily(writer: LogWriter, rate: float, seconds: float) -> float:
    """Write so many records a second. The longest that one was seen to be held back."""
    loop = asyncio.get_running_loop()
    longest, since = 0.0, loop.time()
    for number in range(int(seconds * rate)):
        if not writer.pending:
            since = loop.time()
        writer.write(record(number))
        await asyncio.sleep(1 / rate)
        if writer.pending:
            longest = max(longest, loop.time() - since)
    await writer.drain()
    return longest


@pytest.mark.parametrize("writers", [1, 50, 300])
@in_world
async def test_records_wait_for_others_only_where_calls_are_to_be_spared(
    world: World, writers: int
) -> None:
    """At 50 a second each. Where nothing is to be spared, no number of records holds one back."""
    for pace, fewest, longest in ((Pace(0.002), 1, 0.01), (SPARING, 40, 0.51)):
        store, flusher = world.flushing(pace)
        async with asyncio.TaskGroup() as group:
            writing = [
                group.create_task(steadily(flusher.writer(await world.claim()), 50, 4))
                for _ in range(writers)
            ]
        assert max(task.result() for task in writing) <= longest
        if writers > 1:
            records = sum(len(item.records) for batch in store.batches for item in batch)
            assert records / len(store.batches) >= fewest


@in_world
async def test_the_first_and_last_records_of_a_run_are_never_held_back(world: World) -> None:
    async with asyncio.TaskGroup() as group:
        store, flusher = world.flushing(SPARING)
        crowd = [
            group.create_task(steadily(flusher.writer(await world.claim()), 50, 2))
            for _ in range(300)
        ]
        await asyncio.sleep(1)
        newcomer = flusher.writer(await world.claim())
        newcomer.write(record(0))
        before = len(store.batches)
        while newcomer.pending:
            await asyncio.sleep(0.001)
        assert len(store.batches) <= before + 1
        await asyncio.sleep(0.1)
        newcomer.write(record(1))
        assert await elapsed(newcomer.drain()) < 0.005
        assert not any(task.done() for task in crowd)


@in_world
async def test_a_first_word_is_not_held_back(world: World) -> None:
    store, flusher = world.flushing(SPARING)
    writer = flusher.writer(await world.claim())
    for number in range(101):  # at 50 a second, calls are half a second apart
        writer.write(record(number))
        await asyncio.sleep(0.02)
    writer.hurry()
    writer.write(record(101))
    await asyncio.sleep(0.001)
    assert store.batches[-1][0].records[-1] == record(101)


@in_world
async def test_a_writer_that_waits_for_its_records_ends_the_pause(world: World) -> None:
    _, flusher = world.flushing(SPARING)
    writer = flusher.writer(await world.claim())
    for number in range(101):  # at 50 a second, calls are half a second apart
        writer.write(record(number))
        await asyncio.sleep(0.02)
    writer.write(record(101))
    assert await elapsed(writer.drain()) < 0.005


def paced(pace: Pace, seconds: float, *, busy: float, late: float = 0.0, rate: float = 0) -> Pacing:
    """A controller after so many seconds of a load.

    Args:
        pace: of the store.
        seconds: of the load.
        busy: the share of them that the thread computed.
        late: how late its timers were, in seconds.
        rate: of records, a second.
    """
    wall, due = 100.0, 0.0
    pacing = Pacing(pace, lambda: busy * (wall - 100))
    while wall < 100 + seconds:
        step = max(0.001, pacing.interval)
        wall, due = wall + step, due + rate * step
        pacing.fired(late)
        pacing.flushed(int(due), wall)
        due %= 1
    return pacing


@pytest.mark.parametrize(
    ("load", "delay"),
    [
        ({"busy": 0.3, "rate": 100_000}, 0.0),
        ({"busy": 0.5, "rate": 100_000}, 0.0),
        ({"busy": 0.9}, 0.060),
        ({"busy": 0.3, "late": 0.02}, 0.060),
        ({"busy": 0.3, "late": 0.005}, 0.0),
    ],
    ids=["idle core", "half-used core", "busy core", "late timers", "timers a little late"],
)
def test_the_delay_depends_on_the_core_and_not_on_the_count(
    load: dict[str, float], delay: float
) -> None:
    pacing = paced(Pace(0.002), 3, **load)
    assert pacing.delay == pytest.approx(delay)
    assert pacing.interval == pytest.approx(max(0.002, delay / 12))


def test_a_busy_core_is_detected_in_a_second_and_cleared_in_a_second() -> None:
    pacing = paced(Pace(), 1, busy=1.0)
    assert pacing.delay > 0.04
    for moment in range(1, 21):
        pacing.flushed(1, 101 + moment * 0.051)
    assert pacing.delay == 0


def test_a_moment_of_work_delays_nothing() -> None:
    used = iter([0.1, 0.2, 0.3, 0.4, 1.4, 1.5])
    pacing = Pacing(Pace(), lambda: next(used) * 0.051)
    for moment in range(1, 7):
        pacing.flushed(1, moment * 0.051)
        assert pacing.delay == 0


@in_world
async def test_on_a_busy_core_each_run_waits_for_its_own_records(world: World) -> None:
    """At 50 records a second each. No call carries all runs, so none waits for the work of all."""
    store, flusher = world.flushing(Pace(0.002), core=asyncio.get_running_loop().time)

    async def later(number: int) -> float:
        writer = flusher.writer(await world.claim())
        await asyncio.sleep(number / 5000)
        return await steadily(writer, 50, 4)

    async with asyncio.TaskGroup() as group:
        writing = [group.create_task(later(number)) for number in range(100)]
        await asyncio.sleep(2)
        newcomer = flusher.writer(await world.claim())
        newcomer.write(record(0))
        before = len(store.batches)
        await newcomer.drain()
        assert len(store.batches) == before + 1  # at once, and it does not hurry the others
        await asyncio.sleep(1)
        batches = store.batches[before:]
    assert max(task.result() for task in writing) <= 0.070
    assert max(map(len, batches)) < 30
    sizes = [len(item.records) for batch in batches for item in batch]
    assert 2.5 < sum(sizes) / len(sizes) < 4


@pytest.mark.parametrize(
    ("rate", "interval"), [(0, 0.002), (10, 0.5), (100, 0.5), (1000, 0.05), (100_000, 0.002)]
)
def test_to_spare_calls_the_interval_brings_the_wanted_number_of_records(
    rate: float, interval: float
) -> None:
    assert paced(SPARING, 5, busy=0.1, rate=rate).interval == pytest.approx(interval, rel=0.1)


@pytest.mark.promise("fencing")
@in_world
async def test_a_writer_whose_claim_is_lost_is_fenced_and_the_others_continue(world: World) -> None:
    flusher = world.flusher()
    lost, kept = await world.claim(), await world.claim()
    writers = [flusher.writer(claim) for claim in (lost, kept)]
    await world.end(lost)
    for writer in writers:
        writer.write(record(1))
    with pytest.raises(Fenced):
        await writers[0].drain()
    with pytest.raises(Fenced):
        writers[0].write(record(2))
    assert writers[0].lost
    await writers[1].drain()
    writers[1].write(record(2))
    await writers[1].drain()
    assert (await read_all(world.store.log, kept.run.id))[0] == [record(1), record(2)]


@pytest.mark.promise("fencing")
@in_world
async def test_what_is_written_during_the_refused_flush_is_dropped_too(world: World) -> None:
    store = world.faulty()
    store.delay = 1.0
    claim = await world.claim()
    writer = world.flusher(store).writer(claim)
    writer.write(record(1))
    await asyncio.sleep(0.4)
    await world.end(claim)
    writer.write(record(2))
    with pytest.raises(Fenced):
        await writer.drain()
    await asyncio.sleep(5)
    assert len(await world.records(claim.run)) == 1


@pytest.mark.promise("prefix", "outage")
@pytest.mark.parametrize("faults", [["before"], ["after"], ["after", "before", "after"]])
@in_world
async def test_a_flush_with_an_unknown_outcome_is_retried_unchanged(
    world: World, faults: list[str]
) -> None:
    store, flusher = world.flushing()
    writer = flusher.writer(await world.claim())
    store.fail("append", *["after" if fault == "after" else "before" for fault in faults])
    writer.write(record(1))
    await asyncio.sleep(0.01)
    writer.write(record(2))  # must not get into the batch that is sent again
    await writer.drain()
    first, *others = store.batches
    assert others[: len(faults)] == [first] * len(faults)
    assert await world.records(writer.claim.run) == [record(1), record(2)]


@pytest.mark.promise("prefix", "outage")
@pytest.mark.parametrize("seed", range(25))
@in_world
async def test_nothing_is_lost_or_doubled_whatever_the_store_does(world: World, seed: int) -> None:
    rng = random.Random(seed)
    store = world.faulty(jitter=rng)
    flusher = world.flusher(store)
    writers = [flusher.writer(await world.claim(lease=3600)) for _ in range(4)]
    for number in range(80):
        for writer in rng.sample(writers, rng.randrange(5)):
            writer.write(record(number))
        if rng.random() < 0.3:
            store.fail("append", rng.choice(["before", "after"]))
        if rng.random() < 0.5:
            await asyncio.sleep(rng.random() / 10)
        if rng.random() < 0.1:
            await rng.choice(writers).drain()
    for writer in writers:
        await writer.drain()
    for writer in writers:
        run_id = writer.claim.run.id
        sent = [item for batch in store.batches for item in batch if item.run_id == run_id]
        wanted = {item.at: item.records for item in sent}
        assert all(wanted[item.at] == item.records for item in sent)
        log = await world.records(writer.claim.run)
        assert log == [one for at in sorted(wanted) for one in wanted[at]]


@in_world
async def test_an_unexpected_store_error_fails_only_its_runs(world: World) -> None:
    store, flusher = world.flushing()
    first, second = [flusher.writer(await world.claim()) for _ in range(2)]
    store.fail("append", ValueError("a bug"))
    first.write(record(1))
    with pytest.raises(Fenced):
        await first.drain()
    second.write(record(1))
    await second.drain()
    assert await world.records(second.claim.run) == [record(1)]


@in_world
async def test_a_flusher_that_died_is_replaced_and_its_writers_are_fenced(world: World) -> None:
    store = world.faulty()
    store.freeze()
    flusher = world.flusher(store)
    writers = [flusher.writer(await world.claim()) for _ in range(2)]
    writers[0].write(record(1))
    await asyncio.sleep(1)
    writers[1].write(record(1))
    waiting = [asyncio.create_task(writer.drain()) for writer in writers]
    await asyncio.sleep(1)
    (task,) = [task for task in asyncio.all_tasks() if task.get_name() == "log-flusher"]
    task.cancel()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [Fenced, Fenced]
    store.thaw()
    third = flusher.writer(await world.claim())
    third.write(record(1))
    await third.drain()


@pytest.mark.promise("bounded")
@in_world
async def test_a_writer_that_the_store_holds_up_takes_no_more_than_its_fill(world: World) -> None:
    store = world.faulty()
    source = ScriptedSource([Say("A"), Wait(1), Say(*"x" * (5 * FULL)), Done()])
    run = await world.ask(await world.worker(source, store=store))
    await world.said(run, "A")
    store.delay = 0.5
    assert (await world.ended(run)).text == "A" + "x" * (5 * FULL)
    assert max(len(item.records) for batch in store.batches for item in batch) <= FULL + 1


@in_world
async def test_a_drain_that_is_cancelled_leaves_the_writer_in_order(world: World) -> None:
    store = world.faulty()
    store.delay = 1.0
    writer = world.flusher(store).writer(await world.claim())
    writer.write(record(1))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(writer.drain(), 0.1)
    writer.write(record(2))
    await writer.drain()
    assert await world.records(writer.claim.run) == [record(1), record(2)]


@pytest.mark.promise("hand-over")
@in_world
async def test_closing_writes_what_is_pending_and_fences_later_writes(world: World) -> None:
    flusher = world.flusher()
    writer = flusher.writer(await world.claim())
    writer.write(record(1))
    await flusher.close()
    assert await world.records(writer.claim.run) == [record(1)]
    with pytest.raises(Fenced):
        writer.write(record(2))
    await flusher.close()


@in_world
async def test_closing_an_idle_or_unused_flusher_does_not_call_the_store(world: World) -> None:
    store, flusher = world.flushing()
    writer = flusher.writer(await world.claim())
    writer.write(record(1))
    await writer.drain()
    store.freeze()
    await flusher.close()
    await world.flusher(store).close()
    assert len(store.batches) == 1


@pytest.mark.promise("hand-over")
@pytest.mark.parametrize("fault", ["is down", "hangs"])
@in_world
async def test_closing_always_ends_whatever_the_store_does_and_fences_waiters(
    world: World, fault: str
) -> None:
    store, flusher = world.flushing()
    writer = flusher.writer(await world.claim())
    writer.write(record(1))
    drain = asyncio.create_task(writer.drain())
    if fault == "hangs":
        store.freeze()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(flusher.close(), 3)
    else:
        store.down = True
        await asyncio.sleep(10)
        assert await elapsed(flusher.close()) <= 2
    with pytest.raises(Fenced):
        await drain
    store.down = False
    store.thaw()
    await asyncio.sleep(10)
    assert await world.records(writer.claim.run) == []
