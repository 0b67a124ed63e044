"""`Store`: what it keeps, for how long, and how it closes."""

from __future__ import annotations

import asyncio

import pytest

from durable_llm_streams.errors import ChatNotFound, CursorLost, RunNotFound, StoreUnavailable
from durable_llm_streams.model import Status
from tests.waiting import within

from .harness import DAY, HOUR, LAST, LEASE, Talk, records


class KeepContract:
    """Nothing is kept longer than it shall be, and nothing shorter."""

    @pytest.mark.promise("bounded")
    async def test_a_log_goes_its_message_stays(self, talk: Talk) -> None:
        claim = await talk.start()
        assert await talk.append(claim, records(100, size=400))
        run = await talk.end(claim)
        before = await talk.store.snapshot("ann", "c1")
        await talk.pass_time(HOUR - 1)
        assert await talk.expire() == 0
        assert len(await talk.log(run.id)) == 101
        await talk.pass_time(2)
        assert await talk.expire() == 1
        with pytest.raises(CursorLost):
            await talk.store.read(run.id, 0)
        assert await talk.store.snapshot("ann", "c1") == before
        assert await talk.store.find_run("ann", "c1", run.id) == run
        assert await talk.expire() == 0

    async def test_who_has_the_whole_log_that_went_has_missed_nothing(self, talk: Talk) -> None:
        run = await talk.answer()
        await talk.pass_time(HOUR + 1)
        await talk.expire()
        page = await talk.store.read(run.id, 1)
        assert list(page.records) == []
        assert page.status is Status.FINISHED

    @pytest.mark.promise("bounded")
    async def test_a_chat_goes_when_it_was_not_changed_for_long(self, talk: Talk) -> None:
        old = await talk.answer(chat="c1")
        await talk.pass_time(HOUR)
        await talk.answer(chat="c2")
        await talk.pass_time(DAY - HOUR + 1)
        await talk.expire()
        assert await talk.chat_ids() == ["c2"]
        with pytest.raises(RunNotFound):
            await talk.store.read(old.id, 0)
        with pytest.raises(ChatNotFound):
            await talk.store.snapshot("ann", "c1")

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
        with pytest.raises(CursorLost):
            await talk.store.read(first.id, 0)
        await talk.pass_time(DAY - HOUR)
        assert await talk.expire() == 1, "the second log"
        assert await talk.chat_ids() == ["c1"]
        await talk.pass_time(HOUR)
        assert await talk.expire() == 1, "the chat"
        assert await talk.chat_ids() == []

    async def test_chats_can_be_kept_for_ever(self, talk: Talk) -> None:
        await talk.answer()
        await talk.pass_time(2 * DAY)
        await talk.expire(chat_age=0)
        assert await talk.chat_ids() == ["c1"]

    async def test_a_chat_in_which_an_answer_is_written_stays(self, talk: Talk) -> None:
        claim = await talk.start(chat="c1")
        waiting = (await talk.send(chat="c2")).run
        assert await talk.append(claim, records(3))
        await talk.pass_time(2 * DAY)
        assert await talk.expire() == 0
        assert await talk.log(claim.run.id) == records(3)
        assert await talk.append(claim, records(1), at=4)
        assert (await talk.store.find_run("ann", "c2")) == waiting
        await talk.crash()
        assert await talk.expire() == 0
        assert await talk.log(claim.run.id) == records(3) + records(1)

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
        assert await talk.store.runs() == []

    @pytest.mark.promise("idempotent-send")
    async def test_a_repetition_is_recognised_after_its_log_went(self, talk: Talk) -> None:
        run = await talk.answer(key="k1", content="x")
        await talk.pass_time(HOUR + 1)
        await talk.expire()
        assert (await talk.send(key="k1", content="x")).run == run

    async def test_the_secret_is_drawn_once(self, talk: Talk) -> None:
        secret = await talk.store.secret()
        assert isinstance(secret, bytes)
        assert len(secret) == 32
        assert await talk.store.secret() == secret
        await talk.crash()
        assert await talk.store.secret() == secret

    @pytest.mark.promise("owned")
    async def test_two_stores_have_two_secrets(self, talk: Talk) -> None:
        assert len(set(await talk.store.secret())) > 8

    async def test_checking_does_nothing(self, talk: Talk) -> None:
        await talk.start()
        before = await talk.store.snapshot("ann", "c1")
        await talk.store.check()
        assert await talk.store.snapshot("ann", "c1") == before

    @pytest.mark.promise("no-leak")
    async def test_closing_lets_waiting_readers_go(self, talk: Talk) -> None:
        claim = await talk.start()
        readers = [await talk.waiting(claim.run.id, 0) for _ in range(10)]
        await talk.store.close()
        async with within("the waiting readers when the store closes"):
            results = await asyncio.gather(*readers, return_exceptions=True)
        for result in results:
            assert isinstance(result, StoreUnavailable) or not result.records  # type: ignore[union-attr]

    async def test_a_store_that_was_closed_takes_nothing(self, talk: Talk) -> None:
        claim = await talk.start()
        await talk.end(await talk.start(chat="c2"))
        await talk.store.close()
        with pytest.raises(StoreUnavailable):
            await talk.append(claim, records(1))
        with pytest.raises(StoreUnavailable):
            await talk.send(chat="c3")
        with pytest.raises(StoreUnavailable):
            await talk.store.read(claim.run.id, 0, wait=5)
        with pytest.raises(StoreUnavailable):
            await talk.store.check()
        await talk.store.close()

    @pytest.mark.promise("seen-is-durable")
    async def test_what_was_accepted_is_there_when_it_is_opened_again(self, talk: Talk) -> None:
        ended = await talk.answer("m1")
        claim = await talk.start("m2")
        assert await talk.append(claim, records(30, size=1000))
        before = await talk.store.snapshot("ann", "c1")
        talk.store = await talk.stores.reopen()
        assert await talk.store.snapshot("ann", "c1") == before
        assert await talk.log(ended.id) == [LAST]
        talk.clock.advance(LEASE + 1)
        (again,) = await talk.store.claim("w2", 10, LEASE)
        assert again.next_seq == 31
        assert await talk.append(again, records(1))
