"""`LogStore.append`. What lost claims cannot do is in `claim.py`."""

from __future__ import annotations

import pytest
from msgspec import structs

from durable_llm_streams.store import Append

from .harness import Talk, records


class AppendContract:
    """Records are written once, by the run's current epoch, at the end of the log."""

    @pytest.mark.promise("prefix")
    async def test_records_come_back_byte_for_byte(self, talk: Talk) -> None:
        claim = await talk.start()
        new = ['"é中\u2028\u0085"'.encode(), b'"\\n\\u0000"', b"\xef\xbb\xbf{}", b"{ }\r", b"1"]
        assert await talk.append(claim, new)
        assert await talk.log(claim.run.id) == new
        await talk.crash()
        assert await talk.log(claim.run.id) == new

    @pytest.mark.promise("prefix")
    async def test_one_call_writes_for_many_runs_but_for_what_is_refused(self, talk: Talk) -> None:
        claims = [await talk.start(chat=f"c{n}") for n in range(20)]
        batch = [Append(c.run.id, c.epoch, 1, records(n)) for n, c in enumerate(claims)]
        batch[0] = structs.replace(batch[0], at=7, records=records(2))
        waiting = (await talk.send(chat="waiting")).run  # no epoch may write it yet
        batch.append(Append(waiting.id, waiting.epoch, 1, records(1)))
        batch.insert(9, structs.replace(batch[9], run_id="r9999"))
        for _ in ("first", "repeated", "repeated"):
            results = list(await talk.store.log.append(batch))
            assert results == [False, *[True] * 8, False, *[True] * 11, False]
        for n, claim in enumerate(claims):
            assert await talk.log(claim.run.id) == records(n)
        assert await talk.log(waiting.id) == []
        assert list(await talk.store.log.append([])) == []

    @pytest.mark.promise("prefix")
    async def test_items_of_one_run_are_written_one_after_the_other(self, talk: Talk) -> None:
        claim = await talk.start()
        new = records(4)
        first = Append(claim.run.id, claim.epoch, 1, new[:3])
        batch = [first, first, structs.replace(first, at=4, records=new[3:])]
        assert list(await talk.store.log.append(batch)) == [True] * 3
        assert await talk.log(claim.run.id) == new
        await talk.crash()
        assert await talk.log(claim.run.id) == new

    @pytest.mark.promise("prefix")
    async def test_records_in_the_log_may_be_appended_again(self, talk: Talk) -> None:
        """Anything else is refused as a whole. No records ask whether the claim still holds."""
        claim = await talk.start()
        new = records(6)
        steps = [
            (1, [], True, 0),
            (1, new[:3], True, 3),
            (5, new[4:], False, 3),  # behind a hole
            (1, new, False, 3),  # a repetition that brings more
            (3, new[2:], False, 3),
            (4, [], True, 3),
            (5, [], False, 3),
            (4, new[3:], True, 6),
            (1, new[:3], True, 6),
            (2, new[1:5], True, 6),
        ]
        for at, lot, accepted, length in steps:
            assert await talk.append(claim, lot, at) is accepted, (at, lot)
            assert await talk.log(claim.run.id) == new[:length], (at, lot)
        await talk.crash()
        assert await talk.append(claim, new[:3])
        assert await talk.append(claim, records(2), at=7)
        assert await talk.log(claim.run.id) == new + records(2)

    @pytest.mark.promise("prefix", "fencing")
    async def test_records_of_another_epoch_are_no_duplicates(self, talk: Talk) -> None:
        first = await talk.start()
        assert await talk.append(first, records(3))
        second = await talk.take_over(first)
        assert not await talk.append(second, records(3), at=1)
        assert await talk.append(second, records(1), at=4)
        assert not await talk.append(first, records(1), at=5)
        assert await talk.log(first.run.id) == records(3) + records(1)

    @pytest.mark.promise("seen-is-durable")
    async def test_what_was_accepted_is_there_after_a_crash(self, talk: Talk) -> None:
        claims = [await talk.start(chat=f"c{n}") for n in range(5)]
        for at in range(1, 101, 4):
            batch = [Append(c.run.id, c.epoch, at, records(4, size=600)) for c in claims]
            assert all(await talk.store.log.append(batch))
            talk.clock.advance(0.3)
        await talk.crash()
        for claim in claims:
            assert await talk.log(claim.run.id) == records(4, size=600) * 25
