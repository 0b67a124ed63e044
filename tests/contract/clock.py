"""`Store`: what it keeps when the wall clock is wrong: retention goes by time that passed."""

from __future__ import annotations

import logging

import pytest

from durable_llm_streams.errors import ChatNotFound, CursorLost
from durable_llm_streams.model import Run

from .harness import DAY, HOUR, StoreFactory, Talk, records, refused

YEAR = 365 * DAY
MINUTE = 60.0


def to_1970(talk: Talk) -> float:
    """Set the clock to where a machine without a battery boots. Returns how far that is."""
    seconds = talk.clock() / 1000 - 100
    talk.clock.jump(-seconds)
    return seconds


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged about clocks since the last call."""
    found = [
        record.getMessage()
        for record in caplog.records
        if record.name.endswith("seen_time") and record.levelno >= logging.WARNING
    ]
    caplog.clear()
    return found


async def nothing_goes(talk: Talk, *runs: Run) -> None:
    """Nothing is due to be deleted, and these runs have their logs."""
    assert await talk.expire() == 0
    assert [len(await talk.log(run.id)) for run in runs] == [1] * len(runs)


class ClockContract:
    """No jump of the wall clock deletes anything, and the time that passes counts."""

    @pytest.mark.promise("bounded")
    async def test_a_year_ahead_for_half_a_minute_deletes_nothing(self, talk: Talk) -> None:
        old = await talk.answer(chat="old")
        active = await talk.start(chat="active")
        assert await talk.append(active, records(1))
        await talk.look()
        await talk.pass_time(MINUTE)
        talk.clock.jump(YEAR)
        await nothing_goes(talk)
        ahead = await talk.answer(chat="ahead")
        talk.clock.advance(30)
        await nothing_goes(talk)
        talk.clock.jump(-YEAR)
        await nothing_goes(talk, old, ahead, active.run)
        assert sorted(await talk.chat_ids()) == ["active", "ahead", "old"]

    async def test_an_answer_after_a_while_without_a_look_ages_in_time(self, talk: Talk) -> None:
        await talk.look()
        talk.clock.advance(9 * MINUTE)  # of them, 5 count
        run = await talk.answer()
        await talk.look()
        await talk.pass_time(HOUR + MINUTE)
        await talk.expires(run.id)

    @pytest.mark.promise("bounded")
    async def test_a_clock_that_is_ahead_at_every_start_deletes_nothing(self, talk: Talk) -> None:
        run = await talk.answer()
        await talk.look()
        for jump in [YEAR, -YEAR] * 5:
            talk.clock.jump(jump)
            await talk.crash()
            await nothing_goes(talk, run)
        assert await talk.chat_ids() == ["c1"]

    @pytest.mark.promise("bounded")
    async def test_a_clock_in_1970_at_the_start_is_logged_and_deletes_nothing(
        self, talk: Talk, caplog: pytest.LogCaptureFixture
    ) -> None:
        before = await talk.answer(chat="before")
        await talk.look()
        away = to_1970(talk)
        await talk.crash()
        await nothing_goes(talk, before)
        (text,) = warnings(caplog)
        assert "1970-01-01 00:01:40 UTC" in text
        run = await talk.answer(chat="in 1970")
        await talk.pass_time(MINUTE)
        talk.clock.jump(away)
        await nothing_goes(talk, before, run)
        await talk.crash()
        await nothing_goes(talk, before, run)
        assert sorted(await talk.chat_ids()) == ["before", "in 1970"]

    @pytest.mark.promise("bounded")
    async def test_a_store_made_in_1970_keeps_its_chats_when_the_clock_is_right(
        self, stores: StoreFactory
    ) -> None:
        talk = Talk(stores, None)  # type: ignore[arg-type]  # the clock comes first
        away = to_1970(talk)
        talk.store = await stores.open()
        run = await talk.answer()
        await talk.pass_time(MINUTE)
        talk.clock.jump(away)
        await nothing_goes(talk)
        await talk.crash()
        await nothing_goes(talk)
        await talk.pass_time(HOUR)
        await talk.expires(run.id)
        assert await talk.chat_ids() == ["c1"]

    @pytest.mark.promise("bounded")
    @pytest.mark.parametrize("jump", [YEAR, -YEAR])
    async def test_what_a_wrong_clock_has_stamped_does_not_live_for_ever(
        self, talk: Talk, jump: float
    ) -> None:
        await talk.look()
        talk.clock.jump(jump)
        run = await talk.answer()
        talk.clock.jump(-jump)
        await talk.look()
        await talk.pass_time(HOUR - 2 * MINUTE)
        await nothing_goes(talk)
        await talk.pass_time(10 * MINUTE)
        await talk.expires(run.id)
        await talk.pass_time(DAY - HOUR - 10 * MINUTE)
        await nothing_goes(talk)
        await talk.pass_time(10 * MINUTE)
        assert await talk.expire() == 1
        await refused(ChatNotFound, talk.snapshot())

    @pytest.mark.promise("bounded")
    async def test_time_passes_over_processes_that_live_for_less_than_a_look(
        self, talk: Talk
    ) -> None:
        run = await talk.answer()
        gone = []
        for _ in range(14):
            await talk.crash()
            gone.append(await talk.expire())
            talk.clock.advance(290)
        assert (sum(gone[:12]), sum(gone)) == (0, 1)
        await refused(CursorLost, talk.store.log.read(run.id, 0))
        assert await talk.chat_ids() == ["c1"]

    @pytest.mark.promise("bounded")
    @pytest.mark.parametrize(
        ("passed", "stop", "log_age", "chat_age"),
        [
            pytest.param(0, "stop and look", HOUR + MINUTE, DAY, id="an hour"),
            pytest.param(50 * MINUTE, "stop", HOUR, DAY, id="a tenth of the logs' retention"),
            pytest.param(50 * MINUTE, "stop", DAY, HOUR, id="a tenth of the chats' retention"),
            pytest.param(0, "pause", 6 * MINUTE, DAY, id="five minutes between two looks"),
        ],
    )
    async def test_of_a_time_without_a_look_counts_at_most(
        self, talk: Talk, passed: float, stop: str, log_age: float, chat_age: float
    ) -> None:
        """A long stop makes deletion late, not early."""
        await talk.answer()
        await talk.look()
        await talk.pass_time(passed)
        talk.clock.advance(2 * YEAR)
        if stop != "pause":
            await talk.crash()
        if stop == "stop and look":
            await talk.look()
        assert await talk.expire(log_age=log_age, chat_age=chat_age) == 0
        await talk.pass_time(2 * MINUTE if stop == "pause" else HOUR - passed)
        assert await talk.expire(log_age=log_age, chat_age=chat_age) == 1

    @pytest.mark.promise("bounded")
    async def test_a_clock_that_goes_too_fast_deletes_nothing_early(self, talk: Talk) -> None:
        run = await talk.answer()
        await talk.look()
        for _ in range(20):
            talk.clock.advance(MINUTE)
            talk.clock.jump(3 * MINUTE)
            await talk.look()
        await nothing_goes(talk, run)

    async def test_a_clock_that_is_set_back_for_a_moment_takes_no_time_back(
        self, talk: Talk
    ) -> None:
        run = await talk.answer()
        await talk.look()
        await talk.pass_time(HOUR - MINUTE)
        for jump in (-3 * MINUTE, 3 * MINUTE):
            talk.clock.jump(jump)
            await nothing_goes(talk)
        await talk.pass_time(2 * MINUTE)
        await talk.expires(run.id)

    async def test_a_clock_that_is_set_back_holds_up_deletion_by_one_look(self, talk: Talk) -> None:
        run = await talk.answer()
        await talk.look()
        talk.clock.jump(-YEAR)
        await talk.pass_time(HOUR)
        await nothing_goes(talk)
        await talk.pass_time(6 * MINUTE)
        await talk.expires(run.id)

    async def test_a_jump_is_logged_once_with_both_times(
        self, talk: Talk, caplog: pytest.LogCaptureFixture
    ) -> None:
        await talk.look()
        await talk.pass_time(3 * MINUTE)
        assert warnings(caplog) == []
        talk.clock.jump(YEAR)
        await talk.pass_time(3 * MINUTE)
        (text,) = warnings(caplog)
        assert "2023-11-14" in text
        assert "2024-11-13" in text
        talk.clock.jump(-YEAR)
        await talk.pass_time(3 * MINUTE)
        await talk.pass_time(3 * MINUTE)
        assert len(warnings(caplog)) == 1

    async def test_a_lease_does_not_outlast_the_year_that_the_clock_was_ahead(
        self, talk: Talk
    ) -> None:
        talk.clock.jump(YEAR)
        claim = await talk.start()
        talk.clock.jump(-YEAR)
        assert await talk.claims() == []
        await talk.take_over(claim)
