"""`LogReader.read`: pages, waiting, cursors."""

from __future__ import annotations

import asyncio

import pytest

from durable_llm_streams.errors import CursorLost, RunNotFound
from durable_llm_streams.model import Span, Status, token_at
from durable_llm_streams.store import PAGE_BYTES
from tests.waiting import within

from .harness import LAST, LEASE, LONG, Talk, bounded, records


class ReadContract:
    """Readers have what is committed, in order, from where they were."""

    @pytest.mark.promise("prefix")
    async def test_reading_goes_on_after_the_last_record(self, talk: Talk) -> None:
        claim = await talk.start()
        new = records(9)
        assert await talk.append(claim, new)
        for after in range(10):
            page = await talk.store.read(claim.run.id, after)
            assert page.first == after + 1
            assert list(page.records) == new[after:]
            assert page.next_seq == 10
            assert page.last == 9
            assert page.status is Status.RUNNING

    @pytest.mark.promise("bounded")
    @pytest.mark.parametrize("ended", [False, True])
    async def test_pages_keep_to_their_size(self, talk: Talk, ended: bool) -> None:
        claim = await talk.start()
        log: list[bytes] = []
        for n in range(40):
            new = records(3, size=50 * n)
            assert await talk.append(claim, new, at=len(log) + 1)
            log += new
        if ended:
            await talk.end(claim)
            log.append(LAST)
        for max_bytes in (1, 1000, 5000, 40_000, 10**7):
            got: list[bytes] = []
            while len(got) < len(log):
                page = await talk.store.read(claim.run.id, len(got), max_bytes=max_bytes)
                assert page.records, "at least one, if there are any"
                assert len(page.records) == 1 or sum(map(len, page.records)) <= max_bytes
                assert page.next_seq == len(log) + 1
                got += page.records
            assert got == log

    @pytest.mark.promise("bounded")
    async def test_a_page_has_a_size_that_nobody_has_to_name(self, talk: Talk) -> None:
        claim = await talk.start()
        new = records(80, size=8000)
        assert await talk.append(claim, new)
        page = await talk.store.read(claim.run.id, 0)
        assert 0 < sum(map(len, page.records)) <= PAGE_BYTES
        assert await talk.log(claim.run.id) == new

    @pytest.mark.promise("prefix")
    async def test_a_record_larger_than_the_page_comes_alone(self, talk: Talk) -> None:
        claim = await talk.start()
        new = [b'"1"', b'"%s"' % (b"-" * 100_000), b'"3"']
        assert await talk.append(claim, new)
        page = await talk.store.read(claim.run.id, 1, max_bytes=10)
        assert list(page.records) == new[1:2]

    async def test_a_page_tells_which_epoch_wrote_what(self, talk: Talk) -> None:
        first = await talk.start()
        assert await talk.append(first, records(3))
        second = await talk.take_over(first)
        assert await talk.append(second, records(2))
        page = await talk.store.read(first.run.id, 0)
        assert page.spans == (Span(1, first.epoch), Span(4, second.epoch))
        tokens = [token_at(page.spans, seq) for seq in range(1, 6)]
        assert tokens == [first.epoch.token] * 3 + [second.epoch.token] * 2
        await talk.end(second)
        assert (await talk.store.read(first.run.id, 5)).spans == page.spans

    async def test_a_run_that_waits_has_an_empty_log(self, talk: Talk) -> None:
        run = (await talk.send()).run
        page = await talk.store.read(run.id, 0)
        assert (page.first, page.next_seq, page.spans) == (1, 1, ())
        assert page.status is Status.QUEUED
        assert list(page.records) == []
        assert page.last == 0

    async def test_a_waiting_reader_is_woken_by_records(self, talk: Talk) -> None:
        claim = await talk.start()
        assert await talk.append(claim, records(2))
        reader = await talk.waiting(claim.run.id, 2)
        assert await talk.append(claim, records(1, mark="y"), at=3)
        page = await bounded(reader)
        assert page.first == 3
        assert list(page.records) == records(1, mark="y")

    async def test_a_waiting_reader_is_woken_by_the_end(self, talk: Talk) -> None:
        claim = await talk.start()
        reader = await talk.waiting(claim.run.id, 0)
        await talk.end(claim)
        page = await bounded(reader)
        assert list(page.records) == [LAST]
        assert page.status is Status.FINISHED

    async def test_a_waiting_reader_is_woken_by_a_stop_of_a_run_that_waits(
        self, talk: Talk
    ) -> None:
        run = (await talk.send()).run
        reader = await talk.waiting(run.id, 0)
        await talk.stop(run.id)
        assert (await bounded(reader)).status is Status.STOPPED

    async def test_a_waiting_reader_is_woken_by_a_delete(self, talk: Talk) -> None:
        claim = await talk.start()
        assert await talk.append(claim, records(1))
        readers = [await talk.waiting(claim.run.id, 1) for _ in range(3)]
        await talk.store.delete("ann", "c1")
        for reader in readers:
            with pytest.raises(RunNotFound):
                await bounded(reader)

    async def test_a_waiting_reader_is_woken_by_a_claim(self, talk: Talk) -> None:
        run = (await talk.send()).run
        reader = await talk.waiting(run.id, 0)
        await talk.store.claim("w1", 1, LEASE)
        page = await bounded(reader)
        assert list(page.records) == []
        assert page.status is Status.RUNNING

    async def test_waiting_ends_with_an_empty_page(self, talk: Talk) -> None:
        claim = await talk.start()
        assert await talk.append(claim, records(2))
        other = await talk.start(chat="c2")
        longer = await talk.waiting(claim.run.id, 2, wait=0.7)
        for reader, last in ((await talk.waiting(other.run.id, 0, wait=0.05), 0), (longer, 2)):
            page = await bounded(reader)
            assert list(page.records) == []
            assert page.next_seq == last + 1
            assert page.status is Status.RUNNING

    async def test_one_record_is_no_reason_to_wait(self, talk: Talk) -> None:
        claim = await talk.start()
        assert await talk.append(claim, records(1))
        page = await bounded(await talk.waiting(claim.run.id, 0))
        assert list(page.records) == records(1)

    async def test_nobody_waits_for_a_run_that_ended(self, talk: Talk) -> None:
        run = await talk.answer()
        page = await bounded(await talk.waiting(run.id, 1))
        assert list(page.records) == []
        assert page.status is Status.FINISHED

    async def test_many_readers_wait_for_one_run(self, talk: Talk) -> None:
        claim = await talk.start()
        other = await talk.start(chat="c2")
        readers = [await talk.waiting(claim.run.id, 0) for _ in range(100)]
        bystander = await talk.waiting(other.run.id, 0)
        assert await talk.append(claim, records(3))
        for reader in readers:
            assert list((await bounded(reader)).records) == records(3)
        assert not bystander.done()
        await talk.end(other)
        assert list((await bounded(bystander)).records) == [LAST]

    async def test_a_reader_that_was_cancelled_is_no_trouble(self, talk: Talk) -> None:
        claim = await talk.start()
        readers = [await talk.waiting(claim.run.id, 0) for _ in range(20)]
        for reader in readers[:-1]:
            reader.cancel()
        async with within("all readers of one log"):
            await asyncio.gather(*readers[:-1], return_exceptions=True)
        assert await talk.append(claim, records(1))
        assert list((await bounded(readers[-1])).records) == records(1)
        await bounded(await talk.waiting(claim.run.id, 1, wait=0.01))

    async def test_a_waiting_reader_gets_no_more_than_it_asks_for(self, talk: Talk) -> None:
        claim = await talk.start()
        reader = asyncio.create_task(talk.store.read(claim.run.id, 0, max_bytes=10, wait=LONG))
        await talk.stores.settle()
        assert await talk.append(claim, records(3))
        assert list((await bounded(reader)).records) == records(1)

    @pytest.mark.promise("prefix")
    async def test_readers_follow_a_writer_without_gap_or_repeat(self, talk: Talk) -> None:
        claim = await talk.start()

        async def follow() -> list[bytes]:
            log: list[bytes] = []
            while True:
                page = await talk.store.read(claim.run.id, len(log), max_bytes=3000, wait=5)
                log += page.records
                if page.status.ended and len(log) + 1 == page.next_seq:
                    return log
                assert page.records or not page.status.ended

        readers = [asyncio.create_task(follow()) for _ in range(5)]
        for at in range(1, 301, 3):
            assert await talk.append(claim, records(3, size=at), at=at)
            talk.clock.advance(0.5)
            await asyncio.sleep(0)
        await talk.end(claim)
        async with within("all readers of one log"):
            logs = await asyncio.gather(*readers)
        assert logs == [await talk.log(claim.run.id)] * 5

    @pytest.mark.promise("lost-tail-is-told")
    async def test_a_cursor_beyond_the_log_is_lost(self, talk: Talk) -> None:
        claim = await talk.start()
        for after, wait in ((1, 0.0), (1, 5.0), (-1, 0.0), (-1, 5.0)):
            with pytest.raises(CursorLost):
                await talk.store.read(claim.run.id, after, wait=wait)
        assert await talk.append(claim, records(3))
        with pytest.raises(CursorLost):
            await talk.store.read(claim.run.id, 4)
        await talk.end(claim)
        with pytest.raises(CursorLost):
            await talk.store.read(claim.run.id, 5)
        await talk.crash()
        with pytest.raises(CursorLost):
            await talk.store.read(claim.run.id, 5)

    async def test_there_is_no_log_without_a_run(self, talk: Talk) -> None:
        with pytest.raises(RunNotFound):
            await talk.store.read("r9999", 0)
        run = await talk.answer()
        await talk.store.delete("ann", "c1")
        with pytest.raises(RunNotFound):
            await talk.store.read(run.id, 0, wait=5)
