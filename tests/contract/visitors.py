"""`VisitorStore`: sign-outs stay, a link is used once, and the time never goes back."""

from __future__ import annotations

import asyncio

import pytest

from durable_llm_streams.store import Link

from .harness import DAY, HOUR, Talk

MINUTE = 60_000
#: Owners that a store must keep apart and give back as they are.
NAMES = ["ann", "Ann", "ann ", "a|b", "~acme/hook:ann", "*", "%", "a:b", "Zoë Ω", "x" * 200]


class VisitorsContract:
    @pytest.mark.promise("owned")
    async def test_a_sign_out_is_kept_for_its_owner_alone(self, talk: Talk) -> None:
        visitors = talk.store.visitors
        assert list(await visitors.signed_out([])) == []
        assert list(await visitors.signed_out(NAMES)) == [0] * len(NAMES)
        for number, name in enumerate(NAMES, start=1):
            await visitors.sign_out(name, 1_700_000_000_000 + number, forget=0)
        await talk.crash()
        found = await talk.store.visitors.signed_out([*NAMES, "bob"])
        expected = [1_700_000_000_000 + number for number in range(1, len(NAMES) + 1)]
        assert list(found) == [*expected, 0]

    @pytest.mark.promise("owned")
    async def test_a_later_sign_out_stays(self, talk: Talk) -> None:
        visitors = talk.store.visitors
        for time, held in ((5, 5), (5, 5), (9, 9), (7, 9)):
            await visitors.sign_out("ann", time, forget=0)
            assert list(await visitors.signed_out(["ann"])) == [held]

    @pytest.mark.promise("no-leak")
    async def test_sign_outs_from_long_ago_are_forgotten(self, talk: Talk) -> None:
        visitors = talk.store.visitors
        for number in range(10):
            await visitors.sign_out(f"v{number}", 100 + number, forget=0)
        await visitors.sign_out("ann", 1000, forget=105)
        owners = [f"v{number}" for number in range(10)]
        assert list(await visitors.signed_out(owners)) == [0] * 5 + [105, 106, 107, 108, 109]

    @pytest.mark.promise("owned")
    async def test_a_link_is_used_once_however_many_ask(self, talk: Talk) -> None:
        link = Link("ann", 1_700_000_000_123)
        await talk.store.visitors.keep_link("aa", link, seconds=60)
        await talk.crash()
        visitors = talk.store.visitors
        assert await visitors.take_link("ab") is None
        found = await asyncio.gather(*(visitors.take_link("aa") for _ in range(10)))
        assert sorted(found, key=lambda each: each is None) == [link] + [None] * 9
        await talk.crash()
        assert await talk.store.visitors.take_link("aa") is None

    @pytest.mark.promise("owned")
    async def test_a_link_hands_on_its_own_owner(self, talk: Talk) -> None:
        visitors = talk.store.visitors
        for number, name in enumerate(NAMES):
            await visitors.keep_link(f"{number:x}", Link(name, number), seconds=60)
        for number, name in enumerate(NAMES):
            assert await visitors.take_link(f"{number:x}") == Link(name, number)

    @pytest.mark.promise("no-leak")
    async def test_an_owner_has_one_link_at_most(self, talk: Talk) -> None:
        visitors = talk.store.visitors
        await visitors.keep_link("01", Link("ann", 1), seconds=60)
        await visitors.keep_link("02", Link("bob", 2), seconds=60)
        for number in (3, 4, 4):
            await visitors.keep_link(f"0{number}", Link("ann", number), seconds=60)
        assert await visitors.take_link("01") is None
        assert await visitors.take_link("03") is None
        assert await visitors.take_link("02") == Link("bob", 2)
        assert await visitors.take_link("04") == Link("ann", 4)

    @pytest.mark.promise("bounded")
    async def test_the_time_that_a_store_has_seen_does_not_jump(self, talk: Talk) -> None:
        await talk.answer()
        before = await talk.store.visitors.now()
        await talk.pass_time(HOUR)
        passed = await talk.store.visitors.now() - before
        assert 0.9 * HOUR * 1000 <= passed <= 1.1 * HOUR * 1000
        talk.clock.jump(400 * DAY)
        assert 0 <= await talk.store.visitors.now() - before - passed <= 6 * MINUTE
        talk.clock.jump(-800 * DAY)
        await talk.look()
        assert 0 <= await talk.store.visitors.now() - before - passed <= 6 * MINUTE
