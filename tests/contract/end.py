"""`LogStore.end`: the terminal record, the status and the history, in one step."""

from __future__ import annotations

import asyncio

import pytest

from durable_llm_streams.errors import Fenced, RunNotFound, SequenceMismatch
from durable_llm_streams.model import Epoch, Run, Status
from durable_llm_streams.store import Ending
from tests.waiting import within

from .harness import LAST, LEASE, Talk, records


class EndContract:
    """Every run ends once."""

    @pytest.mark.promise("one-end")
    async def test_the_end_is_one_step(self, talk: Talk) -> None:
        claim = await talk.start()
        assert await talk.append(claim, records(3))
        talk.clock.advance(5)
        last = [*records(2, mark="y"), LAST]
        run = await talk.end(claim, records=last, status=Status.FAILED, body=b'{"a":1}')
        assert run.status is Status.FAILED
        assert run.ended_at == talk.clock()
        assert run.epoch == claim.epoch
        assert await talk.store.find_run("ann", "c1", run.id) == run
        assert await talk.log(run.id) == records(3) + last
        snapshot = await talk.store.snapshot("ann", "c1")
        assert snapshot.messages[-1].body == b'{"a":1}'
        assert snapshot.chat.updated_at == talk.clock()
        assert snapshot.chat.active_run is None
        assert snapshot.run is None

    @pytest.mark.promise("one-end", "seen-is-durable")
    async def test_the_end_is_there_after_a_crash(self, talk: Talk) -> None:
        run = await talk.answer()
        before = await talk.store.snapshot("ann", "c1")
        await talk.crash()
        assert await talk.store.snapshot("ann", "c1") == before
        assert await talk.store.find_run("ann", "c1", run.id) == run
        assert await talk.log(run.id) == [LAST]
        assert await talk.store.claim("w2", 10, LEASE) == []

    @pytest.mark.promise("one-end")
    async def test_ending_again_under_the_same_epoch_changes_nothing(self, talk: Talk) -> None:
        claim = await talk.start()
        ended = await talk.end(claim)
        before = await talk.store.snapshot("ann", "c1")
        talk.clock.advance(60)
        again = await talk.end(claim, at=1, status=Status.FAILED, body=b"{}")
        assert again == ended
        assert await talk.store.snapshot("ann", "c1") == before
        assert await talk.log(ended.id) == [LAST]

    @pytest.mark.promise("one-end")
    async def test_the_end_must_know_the_whole_log(self, talk: Talk) -> None:
        claim = await talk.start()
        assert await talk.append(claim, records(3))
        for at in (1, 3, 5):
            with pytest.raises(SequenceMismatch) as caught:
                await talk.end(claim, at=at)
            assert caught.value.next_seq == 4
            with pytest.raises(SequenceMismatch):
                await talk.stop(claim.run.id, at=at)
        assert await talk.log(claim.run.id) == records(3)
        assert (await talk.store.snapshot("ann", "c1")).messages[-1].body == b""
        assert await talk.append(claim, records(1), at=4), "the claim was not touched"

    @pytest.mark.promise("fencing", "one-end")
    async def test_only_the_runs_epoch_may_end_it(self, talk: Talk) -> None:
        old = await talk.start()
        new = await talk.take_over(old)
        for claim in (old, new._replace(epoch=Epoch(new.epoch.number, old.epoch.token))):
            with pytest.raises(Fenced):
                await talk.end(claim)
        assert (await talk.end(new)).status is Status.FINISHED
        with pytest.raises(Fenced):
            await talk.end(old)

    @pytest.mark.promise("fencing")
    async def test_a_run_that_was_given_back_is_ended_by_nobody_who_held_it(
        self, talk: Talk
    ) -> None:
        claim = await talk.start()
        await talk.store.release([claim])
        with pytest.raises(Fenced):
            await talk.end(claim)

    @pytest.mark.promise("stop")
    async def test_a_stop_claims_the_run_and_ends_it(self, talk: Talk) -> None:
        claim = await talk.start()
        assert await talk.append(claim, records(2))
        run = await talk.stop(claim.run.id)
        assert run.status is Status.STOPPED
        assert run.epoch.number == claim.epoch.number + 1
        assert run.epoch.token not in ("", claim.epoch.token)
        assert run.spans[-1] == (3, run.epoch)
        assert not await talk.append(claim, records(1), at=3)
        assert not await talk.append(claim, records(1), at=4)
        with pytest.raises(Fenced):
            await talk.end(claim)
        assert await talk.store.renew([claim], LEASE) == [claim]
        assert await talk.log(run.id) == [*records(2), LAST]
        assert run.takeovers == 0

    @pytest.mark.promise("one-end", "stop")
    async def test_a_run_that_ended_cannot_be_stopped(self, talk: Talk) -> None:
        run = await talk.answer()
        for at in (1, 2):
            with pytest.raises(Fenced):
                await talk.stop(run.id, at=at)
        assert (await talk.store.find_run("ann", "c1", run.id)).status is Status.FINISHED

    @pytest.mark.promise("one-end", "stop")
    async def test_a_run_is_stopped_once(self, talk: Talk) -> None:
        claim = await talk.start()
        await talk.stop(claim.run.id)
        with pytest.raises(Fenced):
            await talk.stop(claim.run.id)
        assert await talk.log(claim.run.id) == [LAST]

    @pytest.mark.promise("stop")
    async def test_a_run_that_waits_can_be_stopped(self, talk: Talk) -> None:
        await talk.start("m1")
        waiting = (await talk.send("m2", queue=True)).run
        third = (await talk.send("m3", queue=True)).run
        run = await talk.stop(waiting.id)
        assert run.status is Status.STOPPED
        assert run.started_at is None
        active = await talk.store.find_run("ann", "c1")
        assert active.message_id == "a1"
        await talk.stop(active.id)
        assert (await talk.store.find_run("ann", "c1")).id == third.id

    async def test_the_next_run_of_the_chat_becomes_claimable(self, talk: Talk) -> None:
        first = await talk.start("m1")
        second = (await talk.send("m2", queue=True)).run
        third = (await talk.send("m3", queue=True)).run
        assert await talk.store.claim("w2", 10, LEASE) == []
        await talk.end(first)
        (claim,) = await talk.store.claim("w2", 10, LEASE)
        assert claim.run.id == second.id
        await talk.stop(second.id)
        (claim,) = await talk.store.claim("w2", 10, LEASE)
        assert claim.run.id == third.id

    @pytest.mark.promise("one-end")
    async def test_of_many_who_end_a_run_one_does(self, talk: Talk) -> None:
        claim = await talk.start()
        endings = [
            Ending(claim.run.id, None, 1, [LAST], Status.STOPPED, b'{"s":%d}' % n, talk.clock())
            for n in range(5)
        ]
        endings.insert(2, endings[0]._replace(epoch=claim.epoch, status=Status.FINISHED))
        async with within("all ends of one run"):
            results = await asyncio.gather(
                *(talk.store.end(ending) for ending in endings), return_exceptions=True
            )
        (winner,) = [result for result in results if isinstance(result, Run)]
        assert [type(result) for result in results if result is not winner] == [Fenced] * 5
        assert await talk.log(claim.run.id) == [LAST]
        body = (await talk.store.snapshot("ann", "c1")).messages[-1].body
        assert body == endings[results.index(winner)].body

    async def test_a_later_change_of_the_chat_is_not_set_back(self, talk: Talk) -> None:
        claim = await talk.start()
        run = await talk.end(claim, now=talk.clock() - 5000)
        assert run.ended_at == talk.clock() - 5000
        assert (await talk.store.snapshot("ann", "c1")).chat.updated_at == talk.clock()

    async def test_only_the_answers_own_message_gets_the_text(self, talk: Talk) -> None:
        await talk.end(await talk.start("m1", answer_id="a"), body=b'{"n":1}')
        await talk.end(await talk.start("m1", chat="c2", answer_id="a"), body=b'{"n":2}')
        await talk.end(await talk.start(None, place="again"), body=b'{"n":3}')
        for chat, leaf, body in (("c1", "a", 1), ("c2", "a", 2), ("c1", "a3", 3)):
            snapshot = await talk.store.snapshot("ann", chat, leaf)
            bodies = [message.body for message in snapshot.messages]
            assert bodies == [b'{"text":"hello"}', b'{"n":%d}' % body]

    async def test_a_run_that_is_gone_is_not_found(self, talk: Talk) -> None:
        claim = await talk.start()
        await talk.store.delete("ann", "c1")
        with pytest.raises(RunNotFound):
            await talk.end(claim, at=1)
        with pytest.raises(RunNotFound):
            await talk.stop("r9999", at=1)
