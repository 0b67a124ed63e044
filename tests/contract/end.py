"""`LogStore.end`: the terminal record, the status and the history, in one step."""

from __future__ import annotations

import asyncio

import pytest

from durable_llm_streams.errors import Fenced, RunNotFound, SequenceMismatch
from durable_llm_streams.model import Run, Status
from durable_llm_streams.store import Ending
from tests.waiting import within

from .harness import LAST, LEASE, Talk, records, refused


class EndContract:
    """Every run ends once."""

    @pytest.mark.promise("one-end", "seen-is-durable")
    async def test_the_end_is_one_step_and_there_after_a_crash(self, talk: Talk) -> None:
        claim = await talk.start()
        assert await talk.append(claim, records(3))
        talk.clock.advance(5)
        last = [*records(2, mark="y"), LAST]
        run = await talk.end(claim, records=last, status=Status.FAILED, body=b'{"a":1}')
        assert (run.status, run.ended_at) == (Status.FAILED, talk.clock())
        assert run.epoch == claim.epoch
        for _ in ("at once", "after a crash"):
            assert await talk.find(run.id) == run
            assert await talk.log(run.id) == records(3) + last
            snapshot = await talk.snapshot()
            assert snapshot.messages[-1].body == b'{"a":1}'
            assert snapshot.chat.updated_at == run.ended_at
            assert (snapshot.chat.active_run, snapshot.run) == (None, None)
            assert await talk.claims() == []
            await talk.crash()

    @pytest.mark.promise("one-end")
    async def test_ending_again_under_the_same_epoch_changes_nothing(self, talk: Talk) -> None:
        claim = await talk.start()
        ended = await talk.end(claim)
        talk.clock.advance(60)
        async with talk.unchanged():
            assert await talk.end(claim, at=1, status=Status.FAILED, body=b"{}") == ended
        assert await talk.log(ended.id) == [LAST]

    @pytest.mark.promise("one-end")
    async def test_the_end_must_know_the_whole_log(self, talk: Talk) -> None:
        claim = await talk.start()
        assert await talk.append(claim, records(3))
        async with talk.unchanged():
            for at in (1, 3, 5):
                assert (await refused(SequenceMismatch, talk.end(claim, at=at))).next_seq == 4
        assert await talk.append(claim, records(1), at=4), "the claim was not touched"

    @pytest.mark.promise("stop")
    async def test_a_stop_claims_the_run_and_ends_it(self, talk: Talk) -> None:
        claim = await talk.start()
        assert await talk.append(claim, records(2))
        run = await talk.stop(claim.run.id)
        assert (run.status, run.takeovers) == (Status.STOPPED, 0)
        assert run.epoch.number == claim.epoch.number + 1
        assert run.epoch.token not in ("", claim.epoch.token)
        assert run.spans[-1] == (3, run.epoch)
        assert await talk.log(run.id) == [*records(2), LAST]

    @pytest.mark.promise("one-end", "stop")
    async def test_a_run_that_ended_cannot_be_stopped(self, talk: Talk) -> None:
        stopped = await talk.stop((await talk.start()).run.id)
        for run in (stopped, await talk.answer("m2")):
            for at in (1, 2):
                await refused(Fenced, talk.stop(run.id, at=at))
            assert await talk.find(run.id) == run
            assert await talk.log(run.id) == [LAST]

    @pytest.mark.promise("stop")
    async def test_the_next_run_of_the_chat_becomes_claimable(self, talk: Talk) -> None:
        """Whether the one before it has ended, was stopped, or was stopped while it waited."""
        first = await talk.start("m1")
        others = [(await talk.send(f"m{n}", queue=True)).run for n in range(2, 6)]
        assert await talk.claims() == []
        await talk.end(first)
        for stopped, following in ((1, 0), (0, 2), (2, 3)):
            run = await talk.stop(others[stopped].id)
            assert run.status is Status.STOPPED
            assert (await talk.find()).id == others[following].id
            (claim,) = await talk.claims()
            assert claim.run.id == others[following].id

    @pytest.mark.promise("one-end")
    async def test_only_one_of_many_concurrent_ends_succeeds(self, talk: Talk) -> None:
        lost = await talk.start()
        claim = await talk.store.runs.claim_run(lost.run.id, "w2", LEASE)
        endings = [
            Ending(claim.run.id, epoch, 1, [LAST], status, b'{"s":%d}' % n, talk.clock())
            for n, (epoch, status) in enumerate(
                [
                    (lost.epoch, Status.STOPPED),
                    (claim.epoch, Status.FINISHED),
                    (claim.epoch, Status.FAILED),
                    (lost.epoch, Status.FAILED),
                ]
            )
        ]
        async with within("all ends of one run"):
            results = await asyncio.gather(
                *map(talk.store.log.end, endings), return_exceptions=True
            )
        assert [type(result) for result in results] == [Fenced, Run, Run, Fenced]
        assert results[1] == results[2] == await talk.find(claim.run.id)
        assert await talk.log(claim.run.id) == [LAST]
        ended = [Status.FINISHED, Status.FAILED].index(results[1].status) + 1
        assert (await talk.snapshot()).messages[-1].body == endings[ended].body

    async def test_a_later_change_of_the_chat_is_not_set_back(self, talk: Talk) -> None:
        claim = await talk.start()
        run = await talk.end(claim, now=talk.clock() - 5000)
        assert run.ended_at == talk.clock() - 5000
        assert (await talk.chat()).updated_at == talk.clock()

    async def test_only_the_answers_own_message_gets_the_text(self, talk: Talk) -> None:
        await talk.end(await talk.start("m1", answer_id="a"), body=b'{"n":1}')
        await talk.end(await talk.start("m1", chat="c2", answer_id="a"), body=b'{"n":2}')
        await talk.end(await talk.start(None, place="again"), body=b'{"n":3}')
        for chat, leaf, body in (("c1", "a", 1), ("c2", "a", 2), ("c1", "a3", 3)):
            bodies = [message.body for message in (await talk.snapshot(leaf, chat)).messages]
            assert bodies == [b'{"text":"hello"}', b'{"n":%d}' % body]

    async def test_a_run_that_was_never_there_is_not_found(self, talk: Talk) -> None:
        await refused(RunNotFound, talk.stop("r9999", at=1))
