"""Readers of a log: catching up and living on are one thing."""

from __future__ import annotations

import asyncio
import random

import pytest

from durable_llm_streams.errors import CursorLost, RunNotFound
from durable_llm_streams.log import Reader, follow
from durable_llm_streams.model import Cursor, Epoch, token_at
from durable_llm_streams.store import Append

from .run_world import World, in_world, record
from .virtual_time import elapsed


async def read_from(world: World, place: Cursor, pause: float) -> list[bytes]:
    """Follow a log from a record on, with a pause after each page."""
    records: list[bytes] = []
    async for page in follow(world.store.log, place, wait=1, max_bytes=200):
        assert page.first == place.seq + len(records) + 1
        records += page.records
        await asyncio.sleep(pause)
    return records


@pytest.mark.promise("prefix")
@pytest.mark.parametrize("seed", range(25))
@in_world
async def test_every_reader_gets_exactly_the_log_from_its_cursor_on(
    world: World, seed: int
) -> None:
    rng = random.Random(seed)
    claim = await world.claim(lease=3600)
    writer = world.flusher().writer(claim)
    readers: list[tuple[int, asyncio.Task[list[bytes]]]] = []
    for number in range(1, 150):
        writer.write(record(number))
        if rng.random() < 0.3:
            await asyncio.sleep(rng.choice([0, 0.0005, 0.002, 0.05, 3]))
        if rng.random() < 0.2:
            page = await world.store.log.read(claim.run.id, 0, max_bytes=1)
            after = rng.randrange(page.next_seq)
            place = Cursor(claim.run.id, after, token_at(page.spans, after))
            reading = read_from(world, place, rng.choice([0, 0, 0.001, 0.5]))
            readers.append((after, asyncio.create_task(reading)))
    await writer.drain()
    await world.end(claim)
    log = await world.records(claim.run)
    assert log == [*map(record, range(1, 150)), b'{"type":"abort"}']
    for after, reader in readers:
        assert await reader == log[after:]


@pytest.mark.promise("bounded")
@in_world
async def test_a_slow_reader_holds_nothing_back(world: World) -> None:
    claim = await world.claim(lease=3600)
    writer = world.flusher().writer(claim)
    slow = asyncio.create_task(read_from(world, Cursor.beginning(claim.run.id), 60.0))
    for number in range(100):
        writer.write(record(number))
        assert await elapsed(writer.drain()) < 0.01
    await world.end(claim)
    assert await elapsed(read_from(world, Cursor.beginning(claim.run.id), 0)) == 0
    assert len(await slow) == 101


@in_world
async def test_an_idle_reader_gets_empty_pages(world: World) -> None:
    claim = await world.claim(lease=3600)
    pages = follow(world.store.log, Cursor.beginning(claim.run.id), wait=15)
    for _ in range(3):
        assert 15 <= await elapsed(anext(pages)) <= 16
    await pages.aclose()


@in_world
async def test_a_reader_at_the_end_of_an_ended_log_ends_at_once(world: World) -> None:
    claim = await world.claim()
    await world.end(claim)
    token = token_at((await world.store.log.read(claim.run.id, 0)).spans, 1)
    assert await read_from(world, Cursor(claim.run.id, 1, token), 0) == []
    with pytest.raises(CursorLost):
        await read_from(world, Cursor(claim.run.id, 2, token), 0)
    with pytest.raises(RunNotFound):
        await read_from(world, Cursor.beginning("nothing"), 0)


@pytest.mark.promise("lost-tail-is-told")
@in_world
async def test_a_cursor_holds_only_for_the_epoch_that_wrote_its_record(world: World) -> None:
    first = await world.claim(lease=1)
    run_id, log = first.run.id, world.store.log
    assert await log.append([Append(run_id, first.epoch, 1, [record(1)])]) == [True]
    await asyncio.sleep(2)
    (second,) = await world.store.runs.claim("other", 1, 60)
    assert await log.append([Append(run_id, second.epoch, 2, [record(2)])]) == [True]
    old, new = first.epoch.token, second.epoch.token
    for seq, token, rest in ((0, "", 2), (0, new, 2), (1, old, 1), (2, new, 0)):
        page = await Reader(log, Cursor(run_id, seq, token)).read(max_bytes=1)
        assert (page.first, len(page.records)) == (seq + 1, min(rest, 1))
    for seq, token in ((1, new), (2, old), (2, ""), (3, new), (99, new)):
        with pytest.raises(CursorLost):
            await Reader(log, Cursor(run_id, seq, token)).read(max_bytes=1)
    with pytest.raises(RunNotFound):
        await Reader(log, Cursor.beginning("nothing")).read(max_bytes=1)
    assert Epoch(first.epoch.number + 1, new) == second.epoch
