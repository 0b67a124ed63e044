"""`LogReader.read`: pages, waiting, cursors."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from durable_llm_streams.errors import CursorLost, RunNotFound
from durable_llm_streams.model import Span, Status, token_at
from durable_llm_streams.store import PAGE_BYTES
from tests.waiting import within

from .harness import LAST, LONG, Talk, bounded, records, refused


class ReadContract:
    """Readers have what is committed, in order, from where they were."""

    @pytest.mark.promise("prefix")
    async def test_reading_continues_after_the_last_record(self, talk: Talk) -> None:
        claim = await talk.start()
        new = records(9)
        assert await talk.append(claim, new)
        for after in range(10):
            page = await talk.store.log.read(claim.run.id, after)
            assert (page.first, list(page.records)) == (after + 1, new[after:])
            assert (page.next_seq, page.last, page.status) == (10, 9, Status.RUNNING)

    @pytest.mark.promise("bounded", "prefix")
    @pytest.mark.parametrize("ended", [False, True])
    async def test_pages_keep_to_their_size(self, talk: Talk, ended: bool) -> None:
        """A record that is larger than a page comes alone."""
        claim = await talk.start()
        log: list[bytes] = []
        for n in range(40):
            new = records(3, size=50 * n) if n != 20 else [b'"%s"' % (b"-" * 100_000)]
            assert await talk.append(claim, new, at=len(log) + 1)
            log += new
        if ended:
            await talk.end(claim)
            log.append(LAST)
        for max_bytes in (1, 1000, 5000, 40_000, 10**7):
            got: list[bytes] = []
            while len(got) < len(log):
                page = await talk.store.log.read(claim.run.id, len(got), max_bytes=max_bytes)
                assert page.records, "at least one, if there are any"
                assert len(page.records) == 1 or sum(map(len, page.records)) <= max_bytes
                assert page.next_seq == len(log) + 1
                got += page.records
            assert got == log

    @pytest.mark.promise("bounded")
    async def test_a_page_has_a_default_size(self, talk: Talk) -> None:
        claim = await talk.start()
        new = records(80, size=8000)
        assert await talk.append(claim, new)
        page = await talk.store.log.read(claim.run.id, 0)
        assert 0 < sum(map(len, page.records)) <= PAGE_BYTES
        assert await talk.log(claim.run.id) == new

    async def test_a_page_names_the_epoch_of_each_record(self, talk: Talk) -> None:
        first = await talk.start()
        assert await talk.append(first, records(3))
        second = await talk.take_over(first)
        assert await talk.append(second, records(2))
        page = await talk.store.log.read(first.run.id, 0)
        assert page.spans == (Span(1, first.epoch), Span(4, second.epoch))
        tokens = [token_at(page.spans, seq) for seq in range(1, 6)]
        assert tokens == [first.epoch.token] * 3 + [second.epoch.token] * 2
        await talk.end(second)
        assert (await talk.store.log.read(first.run.id, 5)).spans == page.spans

    async def test_a_run_that_waits_has_an_empty_log(self, talk: Talk) -> None:
        page = await talk.store.log.read((await talk.send()).run.id, 0)
        assert (page.first, page.next_seq, page.spans) == (1, 1, ())
        assert (list(page.records), page.last, page.status) == ([], 0, Status.QUEUED)

    @pytest.mark.parametrize("cause", ["records", "the end", "a delete", "a claim", "a stop"])
    async def test_a_waiting_reader_is_woken(self, talk: Talk, cause: str) -> None:
        claim, new = await talk.start(), records(1, mark="y")
        assert await talk.append(claim, records(2))
        queued = (await talk.send(chat="c2")).run.id
        run_id = queued if cause in {"a claim", "a stop"} else claim.run.id
        after = 0 if run_id == queued else 2
        readers = [await talk.waiting(run_id, after) for _ in range(3)]
        causes: dict[str, tuple[Callable[[], Awaitable[object]], list[bytes], Status]] = {
            "records": (lambda: talk.append(claim, new, at=3), new, Status.RUNNING),
            "the end": (lambda: talk.end(claim), [LAST], Status.FINISHED),
            "a delete": (lambda: talk.store.chats.delete("ann", "c1"), [], Status.RUNNING),
            "a claim": (talk.claims, [], Status.RUNNING),
            "a stop": (lambda: talk.stop(queued), [LAST], Status.STOPPED),
        }
        step, expected, status = causes[cause]
        await step()
        for reader in readers:
            if cause == "a delete":
                await refused(RunNotFound, bounded(reader))
                continue
            page = await bounded(reader)
            if cause == "a stop" and not page.status.ended:  # woken by the claim before the end
                assert not page.records
                page = await bounded(await talk.waiting(run_id, after))
            assert (page.first, page.status) == (after + 1, status)
            assert list(page.records) == expected

    async def test_waiting_ends_with_an_empty_page(self, talk: Talk) -> None:
        claim = await talk.start()
        assert await talk.append(claim, records(2))
        other = await talk.start(chat="c2")
        longer = await talk.waiting(claim.run.id, 2, wait=0.7)
        for reader, last in ((await talk.waiting(other.run.id, 0, wait=0.05), 0), (longer, 2)):
            page = await bounded(reader)
            assert (list(page.records), page.next_seq) == ([], last + 1)
            assert page.status is Status.RUNNING

    async def test_a_reader_does_not_wait_for_existing_records(self, talk: Talk) -> None:
        claim = await talk.start()
        assert await talk.append(claim, records(1))
        page = await bounded(await talk.waiting(claim.run.id, 0))
        assert list(page.records) == records(1)
        await talk.end(claim)
        page = await bounded(await talk.waiting(claim.run.id, 2))
        assert (list(page.records), page.status) == ([], Status.FINISHED)

    async def test_many_readers_wait_for_one_run(self, talk: Talk) -> None:
        claim, other = await talk.start(), await talk.start(chat="c2")
        readers = [await talk.waiting(claim.run.id, 0) for _ in range(100)]
        bystander = await talk.waiting(other.run.id, 0)
        cancelled, readers = readers[:20], readers[20:]
        for reader in cancelled:
            reader.cancel()
        async with within("the readers that were cancelled"):
            await asyncio.gather(*cancelled, return_exceptions=True)
        assert await talk.append(claim, records(3))
        for reader in readers:
            assert list((await bounded(reader)).records) == records(3)
        assert not bystander.done()
        await talk.end(other)
        assert list((await bounded(bystander)).records) == [LAST]

    async def test_a_waiting_reader_gets_no_more_than_it_asks_for(self, talk: Talk) -> None:
        claim = await talk.start()
        reader = asyncio.create_task(talk.store.log.read(claim.run.id, 0, max_bytes=10, wait=LONG))
        await talk.stores.settle()
        assert await talk.append(claim, records(3))
        assert list((await bounded(reader)).records) == records(1)

    @pytest.mark.promise("prefix")
    async def test_readers_follow_a_writer_without_gap_or_repeat(self, talk: Talk) -> None:
        claim = await talk.start()

        async def follow() -> list[bytes]:
            log: list[bytes] = []
            while True:
                page = await talk.store.log.read(claim.run.id, len(log), max_bytes=3000, wait=5)
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
            await refused(CursorLost, talk.store.log.read(claim.run.id, after, wait=wait))
        assert await talk.append(claim, records(3))
        await refused(CursorLost, talk.store.log.read(claim.run.id, 4))
        await talk.end(claim)
        await refused(CursorLost, talk.store.log.read(claim.run.id, 5))
        await talk.crash()
        await refused(CursorLost, talk.store.log.read(claim.run.id, 5))

    async def test_there_is_no_log_without_a_run(self, talk: Talk) -> None:
        await refused(RunNotFound, talk.store.log.read("r9999", 0))
        run = await talk.answer()
        await talk.store.chats.delete("ann", "c1")
        await refused(RunNotFound, talk.store.log.read(run.id, 0, wait=5))
