"""`LogStore.append`."""

from __future__ import annotations

import pytest

from durable_llm_streams.model import Epoch
from durable_llm_streams.store import Append

from .harness import Talk, records


class AppendContract:
    """Records are written once, by whoever may write, where the log ends."""

    @pytest.mark.promise("prefix")
    async def test_appended_records_are_in_the_log_in_order(self, talk: Talk) -> None:
        claim = await talk.start()
        new = records(5)
        assert await talk.append(claim, new[:2])
        assert await talk.append(claim, new[2:], at=3)
        assert await talk.log(claim.run.id) == new

    @pytest.mark.promise("prefix")
    async def test_records_come_back_byte_for_byte(self, talk: Talk) -> None:
        claim = await talk.start()
        new = ['"é中\u2028\u0085"'.encode(), b'"\\n\\u0000"', b"\xef\xbb\xbf{}", b"{ }\r", b"1"]
        assert await talk.append(claim, new)
        assert await talk.log(claim.run.id) == new
        await talk.crash()
        assert await talk.log(claim.run.id) == new

    async def test_one_call_writes_for_many_runs(self, talk: Talk) -> None:
        claims = [await talk.start(chat=f"c{n}") for n in range(20)]
        batch = [Append(c.run.id, c.epoch, 1, records(n)) for n, c in enumerate(claims, start=1)]
        assert list(await talk.store.append(batch)) == [True] * 20
        for n, claim in enumerate(claims, start=1):
            assert await talk.log(claim.run.id) == records(n)

    async def test_a_refused_item_does_not_hinder_the_others(self, talk: Talk) -> None:
        good, bad = await talk.start(chat="c1"), await talk.start(chat="c2")
        new = records(2)
        batch = [
            Append(bad.run.id, bad.epoch, 7, new),
            Append(good.run.id, good.epoch, 1, new),
            Append("r9999", good.epoch, 1, new),
        ]
        assert list(await talk.store.append(batch)) == [False, True, False]
        assert await talk.log(good.run.id) == new
        assert await talk.log(bad.run.id) == []

    @pytest.mark.promise("prefix")
    async def test_two_items_of_one_run_are_written_one_after_the_other(self, talk: Talk) -> None:
        claim = await talk.start()
        new = records(4)
        run_id, epoch = claim.run.id, claim.epoch
        batch = [Append(run_id, epoch, 1, new[:3]), Append(run_id, epoch, 4, new[3:])]
        assert list(await talk.store.append(batch)) == [True, True]
        assert await talk.log(run_id) == new
        await talk.crash()
        assert await talk.log(run_id) == new

    @pytest.mark.promise("prefix")
    async def test_the_same_item_twice_in_a_batch_is_written_once(self, talk: Talk) -> None:
        claim = await talk.start()
        item = Append(claim.run.id, claim.epoch, 1, records(3))
        assert list(await talk.store.append([item, item])) == [True, True]
        assert await talk.log(claim.run.id) == records(3)
        assert await talk.append(claim, records(2), at=4)
        await talk.crash()
        assert await talk.log(claim.run.id) == records(3) + records(2)

    @pytest.mark.promise("prefix")
    async def test_a_repeated_batch_adds_nothing(self, talk: Talk) -> None:
        claims = [await talk.start(chat=f"c{n}") for n in range(3)]
        batch = [Append(c.run.id, c.epoch, 1, records(3)) for c in claims]
        for _ in range(3):
            assert list(await talk.store.append(batch)) == [True] * 3
        for claim in claims:
            assert await talk.log(claim.run.id) == records(3)

    @pytest.mark.promise("prefix")
    async def test_records_that_stand_in_the_log_may_be_repeated_later(self, talk: Talk) -> None:
        claim = await talk.start()
        new = records(6)
        assert await talk.append(claim, new[:3])
        assert await talk.append(claim, new[3:], at=4)
        assert await talk.append(claim, new[:3])
        assert await talk.append(claim, new[1:5], at=2)
        assert await talk.log(claim.run.id) == new

    @pytest.mark.promise("prefix")
    async def test_a_repetition_that_brings_more_is_refused_whole(self, talk: Talk) -> None:
        claim = await talk.start()
        new = records(5)
        assert await talk.append(claim, new[:3])
        assert not await talk.append(claim, new)
        assert not await talk.append(claim, new[2:], at=3)
        assert await talk.log(claim.run.id) == new[:3]

    @pytest.mark.promise("prefix")
    async def test_records_behind_a_hole_are_refused(self, talk: Talk) -> None:
        claim = await talk.start()
        assert await talk.append(claim, records(2))
        assert not await talk.append(claim, records(1), at=4)
        assert await talk.log(claim.run.id) == records(2)

    @pytest.mark.promise("prefix", "fencing")
    async def test_what_another_epoch_wrote_is_no_repetition(self, talk: Talk) -> None:
        first = await talk.start()
        assert await talk.append(first, records(3))
        second = await talk.take_over(first)
        assert not await talk.append(second, records(3), at=1)
        assert await talk.append(second, records(1), at=4)

    @pytest.mark.promise("fencing")
    async def test_an_epoch_that_was_claimed_away_writes_nothing(self, talk: Talk) -> None:
        old = await talk.start()
        assert await talk.append(old, records(2))
        new = await talk.take_over(old)
        assert not await talk.append(old, records(1), at=3)
        assert not await talk.append(old, records(2)), "not even what it wrote"
        assert await talk.append(new, records(1, mark="y"))
        assert not await talk.append(old, records(1), at=4)
        assert await talk.log(old.run.id) == records(2) + records(1, mark="y")

    @pytest.mark.promise("fencing")
    async def test_the_number_and_the_token_must_both_be_the_claims(self, talk: Talk) -> None:
        claim = await talk.start()
        number, token = claim.epoch
        for epoch in (Epoch(number, "0badc0de"), Epoch(number + 1, token), Epoch(number, "")):
            assert not await talk.append(claim._replace(epoch=epoch), records(1))
        assert await talk.log(claim.run.id) == []

    async def test_a_lease_that_ran_out_still_writes_while_nobody_claims(self, talk: Talk) -> None:
        claim = await talk.start()
        talk.clock.advance(100_000)
        assert await talk.append(claim, records(1))

    async def test_a_run_that_waits_is_written_by_nobody(self, talk: Talk) -> None:
        run = (await talk.send()).run
        assert list(await talk.store.append([Append(run.id, run.epoch, 1, records(1))])) == [False]

    @pytest.mark.promise("fencing")
    async def test_a_run_that_was_given_back_is_written_by_nobody(self, talk: Talk) -> None:
        claim = await talk.start()
        assert await talk.append(claim, records(2))
        await talk.store.release([claim])
        assert not await talk.append(claim, records(1), at=3)
        assert await talk.log(claim.run.id) == records(2)

    @pytest.mark.promise("one-end")
    async def test_nothing_follows_the_end(self, talk: Talk) -> None:
        claim = await talk.start()
        await talk.end(claim)
        log = await talk.log(claim.run.id)
        assert not await talk.append(claim, records(1), at=len(log) + 1)
        assert not await talk.append(claim, log, at=1)
        assert await talk.log(claim.run.id) == log

    @pytest.mark.promise("fencing")
    async def test_a_run_that_was_deleted_is_written_by_nobody(self, talk: Talk) -> None:
        claim = await talk.start()
        await talk.store.delete("ann", "c1")
        assert not await talk.append(claim, records(1))
        again = await talk.start()
        assert not await talk.append(claim, records(1))
        assert await talk.log(again.run.id) == []

    async def test_no_records_ask_whether_the_claim_still_holds(self, talk: Talk) -> None:
        claim = await talk.start()
        assert await talk.append(claim, [])
        assert await talk.append(claim, records(2))
        assert await talk.append(claim, [], at=3)
        assert not await talk.append(claim, [], at=4)
        await talk.take_over(claim)
        assert not await talk.append(claim, [], at=3)
        assert await talk.log(claim.run.id) == records(2)

    async def test_an_empty_batch_is_in_order(self, talk: Talk) -> None:
        assert list(await talk.store.append([])) == []

    @pytest.mark.promise("seen-is-durable")
    async def test_what_was_accepted_is_there_after_a_crash(self, talk: Talk) -> None:
        claims = [await talk.start(chat=f"c{n}") for n in range(5)]
        for at in range(1, 101, 4):
            batch = [Append(c.run.id, c.epoch, at, records(4, size=600)) for c in claims]
            assert all(await talk.store.append(batch))
            talk.clock.advance(0.3)
        await talk.crash()
        for claim in claims:
            assert await talk.log(claim.run.id) == records(4, size=600) * 25

    @pytest.mark.promise("prefix")
    async def test_a_batch_may_be_repeated_after_a_crash(self, talk: Talk) -> None:
        claim = await talk.start()
        assert await talk.append(claim, records(3))
        await talk.crash()
        assert await talk.append(claim, records(3))
        assert await talk.append(claim, records(2), at=4)
        assert await talk.log(claim.run.id) == records(3) + records(2)
