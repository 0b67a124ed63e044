"""`FeedStore.changes`: what happens to an owner's chats is told to him, once, in order."""

from __future__ import annotations

import asyncio

import pytest

from durable_llm_streams.errors import ChatNotFound, DurableError, StoreUnavailable
from durable_llm_streams.model import Status
from durable_llm_streams.store import FEED_LENGTH, Change, Changes
from tests.waiting import within

from .harness import LONG, Talk

DAY = 24 * 3600.0
NOWHERE = ["", "0", "x", "1.1", "é", "\0", "-1", "9" * 40, "x" * 5000, "0-0", "0" * 16 + ".1"]


async def here(talk: Talk, owner: str = "ann") -> str:
    """Where an owner's feed stands."""
    return (await talk.store.changes(owner, None)).position


async def told(talk: Talk, after: str, owner: str = "ann") -> list[Change]:
    """All changes behind a position that missed nothing."""
    found = await talk.store.changes(owner, after)
    assert found.complete
    return list(found.changes)


async def kinds(talk: Talk, after: str, owner: str = "ann") -> list[tuple[str, str]]:
    return [(change.kind, change.chat_id) for change in await told(talk, after, owner)]


async def waiting(
    talk: Talk, after: str, owner: str = "ann", wait: float = LONG
) -> asyncio.Task[Changes]:
    """A reader that waits."""
    reader = asyncio.create_task(talk.store.changes(owner, after, wait=wait))
    await talk.stores.settle()
    return reader


async def bounded(reader: asyncio.Task[Changes]) -> Changes:
    async with within("a change in the feed"):
        return await reader


class FeedContract:
    """A feed tells what happened, or says that it does not know all of it."""

    # --- what is told --------------------------------------------------------------------------

    @pytest.mark.promise("feed")
    async def test_a_new_chat_and_its_run_are_told_as_they_are(self, talk: Talk) -> None:
        after = await here(talk)
        run = (await talk.start()).run
        created, started = await told(talk, after)
        (chat,) = (await talk.store.chats("ann")).chats
        assert (created.kind, created.chat_id, created.chat) == ("chat-created", "c1", chat)
        assert (created.run_id, created.message_id, created.status) == (None, None, None)
        assert (started.kind, started.chat_id, started.chat) == ("run-started", "c1", chat)
        assert (started.run_id, started.message_id) == (run.id, run.message_id)
        assert started.status is None
        assert chat.active_run == run.id

    @pytest.mark.promise("feed")
    async def test_a_further_message_tells_of_its_run_only(self, talk: Talk) -> None:
        await talk.answer("m1")
        after = await here(talk)
        await talk.start("m2")
        assert await kinds(talk, after) == [("run-started", "c1")]

    @pytest.mark.promise("feed")
    @pytest.mark.parametrize("status", [Status.FINISHED, Status.FAILED])
    async def test_the_end_of_a_run_is_told_with_how_it_ended(
        self, talk: Talk, status: Status
    ) -> None:
        claim = await talk.start()
        after = await here(talk)
        talk.clock.advance(5)
        run = await talk.end(claim, status=status)
        (ended,) = await told(talk, after)
        assert (ended.kind, ended.status) == ("run-ended", status)
        assert (ended.run_id, ended.message_id) == (run.id, run.message_id)
        assert [ended.chat] == (await talk.store.chats("ann")).chats
        assert ended.chat is not None
        assert (ended.chat.active_run, ended.chat.updated_at) == (None, talk.clock())

    @pytest.mark.promise("feed")
    async def test_a_stop_is_told_as_an_end(self, talk: Talk) -> None:
        run = (await talk.start()).run
        after = await here(talk)
        await talk.stop(run.id)
        (ended,) = await told(talk, after)
        assert (ended.kind, ended.run_id, ended.status) == ("run-ended", run.id, Status.STOPPED)

    @pytest.mark.promise("feed")
    async def test_a_run_that_waits_its_turn_is_told_when_it_is_accepted(self, talk: Talk) -> None:
        claim = await talk.start("m1")
        after = await here(talk)
        second = (await talk.send("m2", queue=True)).run
        (started,) = await told(talk, after)
        assert (started.kind, started.run_id) == ("run-started", second.id)
        after = started.position
        await talk.end(claim)
        (ended,) = await told(talk, after)
        assert ended.chat is not None
        assert ended.chat.active_run == second.id

    @pytest.mark.promise("feed")
    async def test_renaming_and_deleting_are_told(self, talk: Talk) -> None:
        await talk.answer()
        after = await here(talk)
        chat = await talk.store.rename("ann", "c1", "Trees")
        await talk.store.delete("ann", "c1")
        renamed, deleted = await told(talk, after)
        assert (renamed.kind, renamed.chat) == ("chat-renamed", chat)
        assert (deleted.kind, deleted.chat_id, deleted.chat) == ("chat-deleted", "c1", None)

    @pytest.mark.promise("feed")
    async def test_chats_that_are_over_age_are_told_as_deleted(self, talk: Talk) -> None:
        for number in range(3):
            await talk.answer(chat=f"c{number}")
        await talk.pass_time(DAY)
        await talk.answer(chat="young")
        after = await here(talk)
        while await talk.store.expire(now=talk.clock(), log_age=DAY / 2, chat_age=DAY / 2):
            pass
        gone = {("chat-deleted", f"c{number}") for number in range(3)}
        assert set(await kinds(talk, after)) == gone

    async def test_what_changes_nothing_tells_nothing(self, talk: Talk) -> None:
        claim = await talk.start(key="k1")
        after = await here(talk)
        await talk.send("m1", key="k1")
        await talk.append(claim, [b"{}"])
        claim = await talk.take_over(claim)
        await talk.store.renew([claim], 5.0)
        await talk.store.release([claim])
        await talk.store.expire(now=talk.clock(), log_age=DAY, chat_age=DAY)
        for refused in (
            talk.send("m2"), talk.store.rename("bob", "c1", "x"), talk.store.delete("bob", "c1"),
        ):  # fmt: skip
            with pytest.raises(DurableError):
                await refused
        assert await told(talk, after) == []

    @pytest.mark.promise("feed")
    async def test_an_end_that_is_repeated_is_told_once(self, talk: Talk) -> None:
        claim = await talk.start()
        after = await here(talk)
        await talk.end(claim, at=1)
        await talk.end(claim, at=1)
        assert await kinds(talk, after) == [("run-ended", "c1")]

    @pytest.mark.promise("owned")
    async def test_nobody_is_told_of_somebody_elses_chats(self, talk: Talk) -> None:
        after = {owner: await here(talk, owner) for owner in ("ann", "bob", "")}
        await talk.answer(chat="c1")
        await talk.answer(chat="c2", owner="bob")
        for owner, chat in (("ann", "c1"), ("bob", "c2")):
            assert {id_ for _, id_ in await kinds(talk, after[owner], owner)} == {chat}
        assert await told(talk, after[""], "") == []

    # --- positions -----------------------------------------------------------------------------

    async def test_a_first_reader_gets_nothing_but_where_it_stands(self, talk: Talk) -> None:
        await talk.answer()
        found = await talk.store.changes("ann", None, wait=LONG)
        assert (list(found.changes), found.complete) == ([], False)
        assert await told(talk, found.position) == []

    @pytest.mark.promise("feed")
    async def test_reading_goes_on_behind_any_change(self, talk: Talk) -> None:
        after = await here(talk)
        for number in range(5):
            await talk.answer(chat=f"c{number}")
            await talk.answer(chat=f"d{number}", owner="bob")
        every = await told(talk, after)
        assert len(every) == 15
        for index, change in enumerate(every, 1):
            assert await told(talk, change.position) == every[index:]

    async def test_a_position_has_no_line_feed(self, talk: Talk) -> None:
        after = await here(talk)
        await talk.answer()
        for position in (after, *(change.position for change in await told(talk, after))):
            assert position
            assert position.isascii()
            assert position.isprintable()

    @pytest.mark.promise("feed")
    @pytest.mark.parametrize("position", NOWHERE)
    async def test_what_is_no_position_may_have_missed_something(
        self, talk: Talk, position: str
    ) -> None:
        await talk.answer()
        found = await talk.store.changes("ann", position, wait=LONG)
        assert (list(found.changes), found.complete) == ([], False)
        await talk.answer("m2")
        assert len(await told(talk, found.position)) == 2

    @pytest.mark.promise("feed")
    async def test_a_position_of_another_store_may_have_missed_something(self, talk: Talk) -> None:
        position = await here(talk)
        assert (await talk.store.changes("ann", position)).complete
        elsewhere = f"{int(position[0], 16) ^ 1:x}{position[1:]}"
        assert not (await talk.store.changes("ann", elsewhere)).complete

    @pytest.mark.promise("feed")
    async def test_after_a_crash_a_reader_misses_nothing_or_is_told(self, talk: Talk) -> None:
        after = await here(talk)
        await talk.answer("m1")
        (*_, seen) = await told(talk, after)
        await talk.answer("m2")
        await talk.crash()
        await talk.answer("m3")
        found = await talk.store.changes("ann", seen.position)
        assert len(found.changes) == (4 if found.complete else 0)
        await talk.answer("m4")
        assert len(await told(talk, found.position)) == (2)

    @pytest.mark.promise("feed")
    async def test_a_reader_that_was_away_for_long_is_told(self, talk: Talk) -> None:
        await talk.answer()
        after = await here(talk)
        for number in range(3 * FEED_LENGTH):
            await talk.store.rename("ann", "c1", f"Title {number}")
        found = await talk.store.changes("ann", after)
        assert (list(found.changes), found.complete) == ([], False)
        for number in range(FEED_LENGTH):
            await talk.store.rename("ann", "c1", f"Other {number}")
        last = await told(talk, found.position)
        assert [change.chat.title for change in last if change.chat] == [
            f"Other {number}" for number in range(FEED_LENGTH)
        ]

    # --- waiting -------------------------------------------------------------------------------

    @pytest.mark.promise("feed")
    async def test_a_waiting_reader_gets_what_happens_and_finds_its_effect(
        self, talk: Talk
    ) -> None:
        reader = await waiting(talk, await here(talk))
        assert not reader.done()
        await talk.send()
        found = await bounded(reader)
        assert found.complete
        assert found.changes[0].kind == "chat-created"
        assert await talk.chat_ids() == ["c1"]
        reader = await waiting(talk, found.position)
        await talk.store.delete("ann", "c1")
        *_, deleted = (await bounded(reader)).changes
        assert deleted.kind == "chat-deleted"
        with pytest.raises(ChatNotFound):
            await talk.store.snapshot("ann", "c1")

    @pytest.mark.promise("feed")
    async def test_several_readers_wait_and_all_get_it(self, talk: Talk) -> None:
        after = await here(talk)
        readers = [await waiting(talk, after) for _ in range(5)]
        await talk.send()
        first, *others = [(await bounded(reader)).changes for reader in readers]
        assert first
        assert all(list(changes) == list(first) for changes in others)

    @pytest.mark.promise("owned")
    async def test_a_waiting_reader_hears_of_nobody_else(self, talk: Talk) -> None:
        reader = await waiting(talk, await here(talk))
        await talk.answer(chat="c2", owner="bob")
        await talk.stores.settle()
        assert not reader.done()
        await talk.send()
        assert {change.chat_id for change in (await bounded(reader)).changes} == {"c1"}

    async def test_who_waits_for_nothing_gets_nothing_in_the_end(self, talk: Talk) -> None:
        after = await here(talk)
        found = await bounded(await waiting(talk, after, wait=0.05))
        assert (list(found.changes), found.complete) == ([], True)
        await talk.send()
        assert len(await told(talk, found.position)) == 2

    async def test_what_happened_before_is_not_waited_for(self, talk: Talk) -> None:
        after = await here(talk)
        await talk.send()
        assert len((await bounded(await waiting(talk, after))).changes) == 2

    async def test_closing_lets_the_readers_of_feeds_go(self, talk: Talk) -> None:
        readers = [await waiting(talk, await here(talk)) for _ in range(5)]
        await talk.store.close()
        async with within("the readers of feeds when the store closes"):
            results = await asyncio.gather(*readers, return_exceptions=True)
        for result in results:
            assert isinstance(result, StoreUnavailable) or not result.changes  # type: ignore[union-attr]
        with pytest.raises(StoreUnavailable):
            await talk.store.changes("ann", None, wait=LONG)
