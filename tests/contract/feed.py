"""`FeedStore.changes`: each change of an owner's chats is reported to them, once, in order."""

from __future__ import annotations

import asyncio
import re

import pytest

from durable_llm_streams.errors import ChatNotFound, DurableError
from durable_llm_streams.model import Status
from durable_llm_streams.store import FEED_LENGTH, Change, Changes

from .harness import DAY, LONG, Talk, bounded, refused

NOWHERE = ["", "0", "x", "1.1", "é", "\0", "-1", "9" * 40, "x" * 5000, "0-0", "0" * 16 + ".1"]


async def here(talk: Talk, owner: str = "ann") -> str:
    """Where an owner's feed stands."""
    return (await talk.store.feed.changes(owner, None)).position


async def news(talk: Talk, after: str, owner: str = "ann") -> list[Change]:
    """All changes behind a position that missed nothing."""
    found = await talk.store.feed.changes(owner, after)
    assert found.complete, f"the feed says that something behind {after} is missing"
    return list(found.changes)


async def kinds(talk: Talk, after: str, owner: str = "ann") -> list[tuple[str, str]]:
    return [(change.kind, change.chat_id) for change in await news(talk, after, owner)]


async def waiting(talk: Talk, after: str, wait: float = LONG) -> asyncio.Task[Changes]:
    """A reader that waits."""
    reader = asyncio.create_task(talk.store.feed.changes("ann", after, wait=wait))
    await talk.stores.settle()
    return reader


class FeedContract:
    """A feed reports every change, or reports that some are missing."""

    # --- what is reported ----------------------------------------------------------------------

    @pytest.mark.promise("feed")
    async def test_a_new_chat_and_its_runs_are_reported_as_they_are(self, talk: Talk) -> None:
        after = await here(talk)
        run = (await talk.start()).run
        created, started = await news(talk, after)
        (chat,) = (await talk.store.chats.page("ann")).chats
        assert (created.kind, created.chat_id, created.chat) == ("chat-created", "c1", chat)
        assert (created.run_id, created.message_id, created.status) == (None, None, None)
        assert (started.kind, started.chat_id, started.chat) == ("run-started", "c1", chat)
        assert (started.run_id, started.message_id) == (run.id, run.message_id)
        assert started.status is None
        assert chat.active_run == run.id
        queued = (await talk.send("m2", queue=True)).run
        (started,) = await news(talk, started.position)
        assert (started.kind, started.run_id) == ("run-started", queued.id)

    @pytest.mark.promise("feed")
    @pytest.mark.parametrize("status", [Status.FINISHED, Status.FAILED, Status.STOPPED])
    @pytest.mark.parametrize("queued", [False, True])
    async def test_the_end_of_a_run_is_reported_with_how_it_ended(
        self, talk: Talk, status: Status, queued: bool
    ) -> None:
        claim = await talk.start()
        following = (await talk.send("m2", queue=True)).run.id if queued else None
        after = await here(talk)
        talk.clock.advance(5)
        if status is Status.STOPPED:
            run = await talk.stop(claim.run.id)
        else:
            run = await talk.end(claim, status=status)
        (ended,) = await news(talk, after)
        assert (ended.kind, ended.status) == ("run-ended", status)
        assert (ended.run_id, ended.message_id) == (run.id, run.message_id)
        assert ended.chat == await talk.chat()
        assert (ended.chat.active_run, ended.chat.updated_at) == (following, talk.clock())

    @pytest.mark.promise("feed")
    async def test_renaming_and_deleting_are_reported(self, talk: Talk) -> None:
        await talk.answer()
        after = await here(talk)
        chat = await talk.store.chats.rename("ann", "c1", "Trees")
        (renamed,) = await news(talk, after)
        after = renamed.position
        await talk.store.chats.delete("ann", "c1")
        (deleted,) = await news(talk, after)
        assert (renamed.kind, renamed.chat) == ("chat-renamed", chat)
        assert (deleted.kind, deleted.chat_id, deleted.chat) == ("chat-deleted", "c1", None)

    @pytest.mark.promise("feed")
    async def test_chats_that_are_over_age_are_reported_as_deleted(self, talk: Talk) -> None:
        for number in range(3):
            await talk.answer(chat=f"c{number}")
        await talk.pass_time(DAY)
        await talk.answer(chat="young")
        after = await here(talk)
        await talk.expire(log_age=DAY / 2, chat_age=DAY / 2)
        gone = {("chat-deleted", f"c{number}") for number in range(3)}
        assert set(await kinds(talk, after)) == gone

    @pytest.mark.promise("feed")
    async def test_what_changes_nothing_is_not_reported(self, talk: Talk) -> None:
        claim = await talk.start(key="k1")
        after = await here(talk)
        await talk.send("m1", key="k1")
        await talk.append(claim, [b"{}"])
        claim = await talk.take_over(claim)
        await talk.store.runs.renew([claim], 5.0)
        await talk.store.runs.release([claim])
        await talk.expire()
        for call in (
            talk.send("m2"),
            talk.store.chats.rename("bob", "c1", "x"),
            talk.store.chats.delete("bob", "c1"),
        ):
            await refused(DurableError, call)
        assert await news(talk, after) == []
        (claim,) = await talk.claims()
        for _ in ("the end", "the same end"):
            await talk.end(claim, at=2)
        assert await kinds(talk, after) == [("run-ended", "c1")]

    @pytest.mark.promise("owned")
    async def test_a_feed_has_no_changes_of_foreign_chats(self, talk: Talk) -> None:
        after = {owner: await here(talk, owner) for owner in ("ann", "bob", "")}
        await talk.answer(chat="c1")
        await talk.answer(chat="c2", owner="bob")
        for owner, chat in (("ann", "c1"), ("bob", "c2")):
            assert {id_ for _, id_ in await kinds(talk, after[owner], owner)} == {chat}
        assert await news(talk, after[""], "") == []

    # --- positions -----------------------------------------------------------------------------

    @pytest.mark.promise("feed")
    async def test_reading_continues_after_any_change(self, talk: Talk) -> None:
        after = await here(talk)
        for number in range(5):
            await talk.answer(chat=f"c{number}")
            await talk.answer(chat=f"d{number}", owner="bob")
        every = await news(talk, after)
        assert len(every) == 15
        for index, change in enumerate(every, 1):
            assert await news(talk, change.position) == every[index:]
        for position in (after, *(change.position for change in every)):
            assert re.fullmatch("[ -~]+", position), f"not printable: {position!r}"

    @pytest.mark.promise("feed")
    @pytest.mark.parametrize("position", [None, *NOWHERE])
    async def test_an_invalid_position_gives_an_incomplete_page(
        self, talk: Talk, position: str | None
    ) -> None:
        await talk.answer()
        found = await talk.store.feed.changes("ann", position, wait=LONG)
        assert (list(found.changes), found.complete) == ([], False)
        assert await news(talk, found.position) == []
        await talk.answer("m2")
        assert len(await news(talk, found.position)) == 2

    @pytest.mark.promise("feed")
    async def test_a_position_of_another_store_may_have_missed_something(self, talk: Talk) -> None:
        position = await here(talk)
        assert await news(talk, position) == []
        elsewhere = f"{int(position[0], 16) ^ 1:x}{position[1:]}"
        assert not (await talk.store.feed.changes("ann", elsewhere)).complete

    @pytest.mark.promise("feed")
    async def test_after_a_crash_a_reader_gets_every_change_or_an_incomplete_page(
        self, talk: Talk
    ) -> None:
        after = await here(talk)
        await talk.answer("m1")
        (*_, seen) = await news(talk, after)
        await talk.answer("m2")
        await talk.crash()
        await talk.answer("m3")
        found = await talk.store.feed.changes("ann", seen.position)
        assert len(found.changes) == (4 if found.complete else 0)
        await talk.answer("m4")
        assert len(await news(talk, found.position)) == 2

    @pytest.mark.promise("feed")
    async def test_a_reader_that_was_away_for_long_gets_an_incomplete_page(
        self, talk: Talk
    ) -> None:
        await talk.answer()
        after = await here(talk)
        for number in range(3 * FEED_LENGTH):
            await talk.store.chats.rename("ann", "c1", f"Title {number}")
        found = await talk.store.feed.changes("ann", after)
        assert (list(found.changes), found.complete) == ([], False)
        titles = [f"Other {number}" for number in range(FEED_LENGTH)]
        for title in titles:
            await talk.store.chats.rename("ann", "c1", title)
        last = await news(talk, found.position)
        assert [change.chat.title for change in last if change.chat] == titles

    # --- waiting -------------------------------------------------------------------------------

    @pytest.mark.promise("feed")
    async def test_waiting_readers_get_what_happens_and_find_its_effect(self, talk: Talk) -> None:
        after = await here(talk)
        readers = [await waiting(talk, after) for _ in range(5)]
        assert not any(reader.done() for reader in readers)
        await talk.send()
        first, *others = [await bounded(reader) for reader in readers]
        assert first.complete
        assert first.changes[0].kind == "chat-created"
        assert all(list(other.changes) == list(first.changes) for other in others)
        assert await talk.chat_ids() == ["c1"]
        reader = await waiting(talk, first.position)
        await talk.store.chats.delete("ann", "c1")
        *_, deleted = (await bounded(reader)).changes
        assert deleted.kind == "chat-deleted"
        await refused(ChatNotFound, talk.snapshot())

    @pytest.mark.promise("owned")
    async def test_a_waiting_reader_is_not_woken_by_others(self, talk: Talk) -> None:
        reader = await waiting(talk, await here(talk))
        await talk.answer(chat="c2", owner="bob")
        await talk.stores.settle()
        assert not reader.done()
        await talk.send()
        assert {change.chat_id for change in (await bounded(reader)).changes} == {"c1"}

    async def test_waiting_ends_and_what_happened_before_is_not_waited_for(
        self, talk: Talk
    ) -> None:
        found = await bounded(await waiting(talk, await here(talk), wait=0.05))
        assert (list(found.changes), found.complete) == ([], True)
        await talk.send()
        for _ in range(2):
            assert len((await bounded(await waiting(talk, found.position))).changes) == 2
