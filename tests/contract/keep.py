"""`Store`: what it keeps, for how long, and how it closes."""

from __future__ import annotations

import asyncio

import pytest

from durable_llm_streams.errors import ChatNotFound, CursorLost, RunNotFound, StoreUnavailable
from durable_llm_streams.model import Status
from tests.waiting import within

from .harness import DAY, HOUR, LAST, LEASE, LONG, Talk, records, refused


class KeepContract:
    """Nothing is kept longer than it shall be, and nothing shorter."""

    @pytest.mark.promise("bounded", "idempotent-send")
    async def test_a_log_goes_its_message_and_its_key_stay(self, talk: Talk) -> None:
        claim = await talk.start(key="k1", content="x")
        assert await talk.append(claim, records(100, size=400))
        run = await talk.end(claim)
        async with talk.unchanged():
            await talk.pass_time(HOUR - 1)
            assert await talk.expire() == 0
            assert len(await talk.log(run.id)) == 101
            await talk.pass_time(2)
            await talk.expires(run.id)
            assert await talk.expire() == 0
        page = await talk.store.log.read(run.id, 101)  # this reader has missed nothing
        assert (list(page.records), page.status) == ([], Status.FINISHED)
        again = await talk.send(key="k1", content="x")
        assert (again.created, again.run) == (False, run)

    @pytest.mark.promise("bounded")
    async def test_a_chat_goes_when_it_was_not_changed_for_long(self, talk: Talk) -> None:
        old = await talk.answer(chat="c1")
        await talk.pass_time(HOUR)
        await talk.answer(chat="c2")
        await talk.pass_time(DAY - HOUR + 1)
        await talk.expire()
        assert await talk.chat_ids() == ["c2"]
        await refused(RunNotFound, talk.store.log.read(old.id, 0))
        await refused(ChatNotFound, talk.snapshot())
        await talk.pass_time(2 * DAY)
        await talk.expire(chat_age=0)
        assert await talk.chat_ids() == ["c2"], "chats can be kept for ever"

    @pytest.mark.promise("bounded")
    async def test_retention_counts_from_the_last_message_and_the_last_end(
        self, talk: Talk
    ) -> None:
        first = await talk.answer("m1")
        await talk.pass_time(DAY - HOUR / 2)
        claim = await talk.start("m2")
        await talk.pass_time(HOUR)
        assert await talk.expire() == 1, "the first log"
        second = await talk.end(claim)
        await talk.pass_time(HOUR / 2)
        assert await talk.expire() == 0
        assert len(await talk.log(second.id)) == 1
        await refused(CursorLost, talk.store.log.read(first.id, 0))
        await talk.pass_time(DAY - HOUR)
        assert await talk.expire() == 1, "the second log"
        assert await talk.chat_ids() == ["c1"]
        await talk.pass_time(HOUR)
        assert await talk.expire() == 1, "the chat"
        assert await talk.chat_ids() == []

    async def test_a_chat_in_which_an_answer_is_written_stays(self, talk: Talk) -> None:
        claim = await talk.start(chat="c1")
        waiting = (await talk.send(chat="c2")).run
        assert await talk.append(claim, records(3))
        await talk.pass_time(2 * DAY)
        assert await talk.expire() == 0
        assert await talk.log(claim.run.id) == records(3)
        assert await talk.append(claim, records(1), at=4)
        for _ in ("at once", "after a crash"):
            assert await talk.expire() == 0
            assert await talk.find(chat="c2") == waiting
            assert await talk.log(claim.run.id) == records(3) + records(1)
            await talk.crash()

    @pytest.mark.promise("bounded")
    async def test_many_chats_in_which_answers_are_written_hold_up_no_others(
        self, talk: Talk
    ) -> None:
        for n in range(60):
            await talk.send(chat=f"c{n}")
        await talk.pass_time(1)
        await talk.answer(chat="old")
        await talk.pass_time(2 * DAY)
        await talk.expire()
        assert "old" not in await talk.chat_ids(limit=100)
        assert len(await talk.chat_ids(limit=100)) == 60

    @pytest.mark.promise("bounded")
    async def test_everything_that_is_due_goes_in_the_end(self, talk: Talk) -> None:
        for n in range(230):
            await talk.answer(chat=f"c{n}")
        await talk.pass_time(HOUR + 1)
        assert await talk.expire() == 230
        await talk.pass_time(DAY)
        assert await talk.expire() == 230
        assert await talk.chat_ids() == []
        assert await talk.store.operators.newest() == []

    @pytest.mark.promise("owned")
    async def test_a_value_of_the_store_is_written_once(self, talk: Talk) -> None:
        secret = await talk.store.meta("secret", bytes(range(32)))
        assert secret == bytes(range(32))
        for _ in ("at once", "after a crash"):
            assert await talk.store.meta("secret", b"another") == secret
            assert await talk.store.meta("other", b"") == b""
            await talk.crash()

    async def test_checking_does_nothing(self, talk: Talk) -> None:
        await talk.start()
        async with talk.unchanged():
            await talk.store.check()

    @pytest.mark.promise("no-leak")
    async def test_closing_ends_every_wait(self, talk: Talk) -> None:
        claim, store = await talk.start(), talk.store
        await talk.work_is_quiet()
        position = (await store.feed.changes("ann", None)).position
        readers = [await talk.waiting(claim.run.id, 0) for _ in range(10)]
        feeds = [
            asyncio.create_task(store.feed.changes("ann", position, wait=LONG)) for _ in range(5)
        ]
        work = asyncio.create_task(store.runs.wait_for_work(LONG))
        await talk.stores.settle()
        await store.close()
        async with within("everything that waits when the store closes"):
            pages = await asyncio.gather(*readers, return_exceptions=True)
            changes = await asyncio.gather(*feeds, return_exceptions=True)
            await work
        for page in pages:
            assert isinstance(page, StoreUnavailable) or not page.records  # type: ignore[union-attr]
        for found in changes:
            assert isinstance(found, StoreUnavailable) or not found.changes  # type: ignore[union-attr]

    async def test_a_store_that_was_closed_takes_nothing(self, talk: Talk) -> None:
        claim = await talk.start()
        store = talk.store
        await store.close()
        for call in (
            talk.append(claim, records(1)),
            talk.send(chat="c3"),
            store.log.read(claim.run.id, 0, wait=5),
            store.feed.changes("ann", None, wait=LONG),
            store.check(),
        ):
            await refused(StoreUnavailable, call)
        await store.close()

    @pytest.mark.promise("seen-is-durable")
    async def test_what_was_accepted_is_there_when_it_is_opened_again(self, talk: Talk) -> None:
        ended = await talk.answer("m1")
        claim = await talk.start("m2")
        assert await talk.append(claim, records(30, size=1000))
        before = await talk.snapshot()
        talk.store = await talk.stores.reopen()
        assert await talk.snapshot() == before
        assert await talk.log(ended.id) == [LAST]
        talk.clock.advance(LEASE + 1)
        (again,) = await talk.claims()
        assert again.next_seq == 31
        assert await talk.append(again, records(1))
