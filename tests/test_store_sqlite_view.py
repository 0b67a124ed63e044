"""Reading a SQLite store's file from beside the process that serves it."""

from __future__ import annotations

import asyncio

import pytest
from msgspec import structs

from durable_llm_streams.errors import CursorLost, RunNotFound, StoreUnavailable
from durable_llm_streams.store import Append
from durable_llm_streams.stores import view as view_of
from durable_llm_streams.stores.sqlite import SQLiteView
from tests.contract.harness import HOUR, LAST, LONG, Talk, bounded, records
from tests.sqlite_stores import SQLiteStores, stores, talk

__all__ = ["stores", "talk"]


async def test_a_view_reads_what_the_store_reads(talk: Talk, stores: SQLiteStores) -> None:
    claim, other = await talk.start(chat="c1"), await talk.start(chat="c2")
    view = SQLiteView(stores.path)
    log: list[bytes] = []
    for n in range(25):
        new = records(1 + n % 7, size=90 * n)
        batch = [Append(claim.run.id, claim.epoch, len(log) + 1, new)]
        batch.append(Append(other.run.id, other.epoch, n + 1, records(1)))
        assert all(await talk.store.log.append(batch))
        log += new
        talk.clock.advance(0.7)
        for max_bytes in (1, 3000, 10**6):
            got: list[bytes] = []
            while len(got) < len(log):
                page = await view.read(claim.run.id, len(got), max_bytes=max_bytes)
                own = await talk.store.log.read(claim.run.id, len(got), max_bytes=10**7)
                assert page.records
                assert len(page.records) == 1 or sum(map(len, page.records)) <= max_bytes
                assert structs.replace(page, records=()) == structs.replace(own, records=())
                got += page.records
            assert got == log
    with pytest.raises(CursorLost):
        await view.read(claim.run.id, len(log) + 1)
    with pytest.raises(RunNotFound):
        await view.read("r9999", 0)
    await talk.end(claim)
    assert list((await view.read(claim.run.id, len(log))).records) == [LAST]
    assert await view.newest() == await talk.store.operators.newest()
    assert await view.newest(active=True) == await talk.store.operators.newest(active=True)
    await talk.pass_time(2 * HOUR)
    assert await talk.expire() == 1
    with pytest.raises(CursorLost):
        await view.read(claim.run.id, len(log) - 1)
    page = await view.read(claim.run.id, len(log) + 1)
    assert (list(page.records), page.next_seq) == ([], len(log) + 2)
    await view.close()


async def test_a_view_follows_live_and_outlives_the_store(talk: Talk, stores: SQLiteStores) -> None:
    claim = await talk.start()
    view = SQLiteView(stores.path)
    reader = asyncio.create_task(view.read(claim.run.id, 0, wait=LONG))
    await stores.settle()
    assert await talk.append(claim, records(2))
    assert list((await bounded(reader)).records) == records(2)
    reader = asyncio.create_task(view.read(claim.run.id, 2, wait=LONG))
    await talk.end(claim)
    assert list((await bounded(reader)).records) == [LAST]
    await talk.store.close()
    assert list((await view.read(claim.run.id, 0)).records) == [*records(2), LAST]
    await view.close()
    view = SQLiteView(stores.path)
    assert list((await view.read(claim.run.id, 0)).records) == [*records(2), LAST]
    await view.close()
    async with view_of(f"sqlite:///{stores.path}") as found:
        assert (await found.log.read(claim.run.id, 2)).status.ended
    for closed in (view, found.log):
        with pytest.raises(StoreUnavailable):
            await closed.read(claim.run.id, 0)
    for unlisted in (view, found.runs):
        with pytest.raises(StoreUnavailable):
            await unlisted.newest()
