"""`ChatStore`: snapshots, threads, lists, titles, deleting."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from msgspec import structs

from durable_llm_streams.errors import (
    ChatNotFound,
    InvalidRequest,
    MessageNotFound,
    RunNotFound,
)
from durable_llm_streams.model import Status

from .harness import LEASE, Talk, records


class ChatsContract:
    """An owner's chats and their history."""

    # --- snapshot ------------------------------------------------------------------------------

    async def test_a_snapshot_shows_the_branch_of_the_head(self, talk: Talk) -> None:
        await talk.answer("m1")
        await talk.answer("m2", body=b'{"n":2}')
        snapshot = await talk.store.snapshot("ann", "c1")
        assert [(m.id, m.body) for m in snapshot.messages] == [
            ("m1", b'{"text":"hello"}'), ("a1", b'{"text":"hello you"}'),
            ("m2", b'{"n":2}'), ("a2", b'{"text":"hello you"}'),
        ]  # fmt: skip
        assert (snapshot.run, snapshot.log) == (None, None)

    async def test_a_snapshot_shows_a_branch_down_to_its_newest_message(self, talk: Talk) -> None:
        await talk.answer("m1")  # a1
        await talk.answer("m2")  # a2
        await talk.answer("m3", anchor="a1")  # a3
        await talk.answer(None, place="again", anchor="m2")  # a4
        await talk.answer("m5", place="edit", anchor="m1")  # a5
        assert await talk.branch() == ["m5", "a5"]
        assert await talk.branch("m1") == ["m1", "a1", "m3", "a3"]
        assert await talk.branch("a1") == ["m1", "a1", "m3", "a3"]
        assert await talk.branch("m2") == ["m1", "a1", "m2", "a4"]
        assert await talk.branch("a2") == ["m1", "a1", "m2", "a2"]
        assert (await talk.store.snapshot("ann", "c1", "a2")).chat.head == "a5"

    @pytest.mark.promise("versions")
    async def test_versions_tell_of_all_branches_oldest_first(self, talk: Talk) -> None:
        await talk.answer("m2")
        await talk.answer("m1", place="edit", anchor="m2")
        await talk.send(None, place="again", anchor="m2")
        for leaf in (None, "m1", "m2"):
            assert (await talk.store.snapshot("ann", "c1", leaf)).versions == [
                ("m2", None, "user"), ("a1", "m2", "assistant"), ("m1", None, "user"),
                ("a2", "m1", "assistant"), ("a3", "m2", "assistant"),
            ]  # fmt: skip

    async def test_a_snapshot_has_the_active_run_with_its_whole_log(self, talk: Talk) -> None:
        claim = await talk.start()
        log: list[bytes] = []
        for n in range(30):
            new = records(20, size=400, mark=f"n{n}")
            assert await talk.append(claim, new, at=len(log) + 1)
            log += new
            talk.clock.advance(1)
            snapshot = await talk.store.snapshot("ann", "c1")
            assert snapshot.log is not None
            assert list(snapshot.log.records) == log
            assert snapshot.log.first == 1
            assert snapshot.log.next_seq == len(log) + 1
        snapshot = await talk.store.snapshot("ann", "c1")
        assert snapshot.log is not None
        assert snapshot.run == claim.run
        assert snapshot.log.spans == claim.run.spans
        assert snapshot.log.status is Status.RUNNING
        assert snapshot.messages[-1].body == b""
        await talk.crash()
        again = (await talk.store.snapshot("ann", "c1")).log
        assert again is not None
        assert list(again.records) == log

    async def test_a_run_that_waits_is_in_the_snapshot_too(self, talk: Talk) -> None:
        run = (await talk.send()).run
        snapshot = await talk.store.snapshot("ann", "c1")
        assert snapshot.run == run
        assert snapshot.log is not None
        assert list(snapshot.log.records) == []
        assert snapshot.log.next_seq == 1

    @pytest.mark.promise("prefix")
    async def test_reading_goes_on_after_a_snapshot_without_a_seam(self, talk: Talk) -> None:
        claim = await talk.start()
        assert await talk.append(claim, records(4))
        log = (await talk.store.snapshot("ann", "c1")).log
        assert log is not None
        assert await talk.append(claim, records(2, mark="y"), at=5)
        page = await talk.store.read(claim.run.id, log.last)
        assert [*log.records, *page.records] == await talk.log(claim.run.id)

    @pytest.mark.promise("owned")
    async def test_a_snapshot_is_for_the_owner(self, talk: Talk) -> None:
        await talk.answer()
        for owner, chat in (("bob", "c1"), ("ann", "c2"), ("", "c1")):
            with pytest.raises(ChatNotFound):
                await talk.store.snapshot(owner, chat)

    async def test_a_snapshot_wants_a_leaf_that_is_there(self, talk: Talk) -> None:
        await talk.answer()
        await talk.answer("m2", chat="c2")
        for leaf in ("nowhere", "m2", "a2"):
            with pytest.raises(MessageNotFound):
                await talk.store.snapshot("ann", "c1", leaf)

    # --- thread --------------------------------------------------------------------------------

    async def test_a_thread_is_what_a_run_answers(self, talk: Talk) -> None:
        await talk.answer("m1")
        await talk.answer("m2")
        again = await talk.answer(None, place="again", anchor="a1")
        edited = (await talk.send("m4", place="edit", anchor="m2", body=b'{"n":4}')).run
        thread = await talk.store.thread(edited.id)
        assert [(m.id, m.role, m.body) for m in thread] == [
            ("m1", "user", b'{"text":"hello"}'), ("a1", "assistant", b'{"text":"hello you"}'),
            ("m4", "user", b'{"n":4}'),
        ]  # fmt: skip
        assert [m.id for m in await talk.store.thread(again.id)] == ["m1"]
        assert list(thread) == (await talk.store.snapshot("ann", "c1")).messages[:-1]

    async def test_there_is_no_thread_without_a_run(self, talk: Talk) -> None:
        run = await talk.answer()
        await talk.store.delete("ann", "c1")
        for run_id in (run.id, "r9999"):
            with pytest.raises(RunNotFound):
                await talk.store.thread(run_id)

    # --- chats ---------------------------------------------------------------------------------

    async def test_chats_are_listed_newest_change_first(self, talk: Talk) -> None:
        for n in (1, 2, 3):
            await talk.answer(chat=f"c{n}")
            talk.clock.advance(1)
        assert await talk.chat_ids() == ["c3", "c2", "c1"]
        claim = await talk.start("m2", chat="c1")
        talk.clock.advance(1)
        assert await talk.chat_ids() == ["c1", "c3", "c2"]
        await talk.answer("m2", chat="c2")
        talk.clock.advance(1)
        await talk.end(claim)
        page = await talk.store.chats("ann")
        assert [chat.id for chat in page.chats] == ["c1", "c2", "c3"]
        assert page.more is None
        assert page.chats[0] == (await talk.store.snapshot("ann", "c1")).chat

    async def test_chats_tell_of_their_active_run(self, talk: Talk) -> None:
        claim = await talk.start()
        (chat,) = (await talk.store.chats("ann")).chats
        assert chat.active_run == claim.run.id

    @pytest.mark.parametrize("step", [0, 1])
    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 10])
    async def test_pages_together_are_the_list(self, talk: Talk, step: int, limit: int) -> None:
        """Also when all the chats were changed at the same time."""
        for n in range(7):
            await talk.answer(chat=f"c{n}")
            await talk.answer(chat=f"b{n}", owner="bob")
            talk.clock.advance(step)
        found, more = [], None
        while True:
            page = await talk.store.chats("ann", limit=limit, more=more)
            assert len(page.chats) <= limit
            found += [chat.id for chat in page.chats]
            assert len(found) < 10, "the pages have no end"
            more = page.more
            if more is None:
                break
        assert sorted(found) == [f"c{n}" for n in range(7)]
        assert found == await talk.chat_ids()
        if step:
            assert found == sorted(found, reverse=True)

    @pytest.mark.parametrize("query", ["", "c"])
    async def test_the_page_with_the_last_chat_has_no_next_one(
        self, talk: Talk, query: str
    ) -> None:
        for n in range(4):
            await talk.send(chat=f"c{n}", title=f"c{n}")
        for limit, has_next in ((3, True), (4, False), (5, False)):
            page = await talk.store.chats("ann", query=query, limit=limit)
            assert (len(page.chats), page.more is not None) == (min(limit, 4), has_next)
        assert (await talk.store.chats("bob", query=query)).more is None

    async def test_thirty_chats_make_a_page(self, talk: Talk) -> None:
        for n in range(31):
            await talk.send(chat=f"c{n}")
        page = await talk.store.chats("ann")
        assert len(page.chats) == 30
        assert len((await talk.store.chats("ann", more=page.more)).chats) == 1

    async def test_chats_are_found_by_a_part_of_their_title(self, talk: Talk) -> None:
        titles = {
            "c1": "Äpfel und Birnen", "c2": "100% sure", "c3": "1000 sure", "c4": "snake_case",
            "c5": "snakeXcase", "c6": "back\\slash", "c7": "STRASSE", "c8": "",
        }  # fmt: skip
        for chat, title in titles.items():
            await talk.send(chat=chat, title=title)
            talk.clock.advance(1)
        expected = {
            "": ["c8", "c7", "c6", "c5", "c4", "c3", "c2", "c1"],
            "sure": ["c3", "c2"],
            "SURE": ["c3", "c2"],
            "0%": ["c2"],
            "%": ["c2"],
            "_": ["c4"],
            "E_C": ["c4"],
            "\\": ["c6"],
            "\\s": ["c6"],
            "%%": [],
            "äPFEL": ["c1"],
            "straße": ["c7"],
            "*": [],
            " ": ["c3", "c2", "c1"],
            "x" * 60_000: [],
        }
        for query, found in expected.items():
            assert await talk.chat_ids(query=query) == found, query[:20]

    async def test_pages_of_a_search_together_are_the_search(self, talk: Talk) -> None:
        for n in range(9):
            await talk.send(chat=f"c{n}", title="even" if n % 2 == 0 else "odd")
        found, more = [], None
        while True:
            page = await talk.store.chats("ann", query="EVEN", limit=2, more=more)
            found += [chat.id for chat in page.chats]
            assert len(found) < 10, "the pages have no end"
            more = page.more
            if more is None:
                break
        assert sorted(found) == ["c0", "c2", "c4", "c6", "c8"]

    @pytest.mark.promise("owned")
    async def test_nobody_sees_the_chats_of_others(self, talk: Talk) -> None:
        await talk.send(chat="c1")
        await talk.send(chat="c2", owner="bob")
        assert await talk.chat_ids("ann") == ["c1"]
        assert await talk.chat_ids("bob") == ["c2"]
        assert await talk.chat_ids("bob", query="c1") == []
        assert await talk.chat_ids("eve") == []
        assert await talk.chat_ids("") == []

    @pytest.mark.parametrize(
        "more", ["", "nonsense", "1", "1-", "-1", "1-2-3", "1-x", "²-1", "9" * 99]
    )
    async def test_a_page_token_that_is_none_is_refused(self, talk: Talk, more: str) -> None:
        with pytest.raises(InvalidRequest):
            await talk.store.chats("ann", more=more)

    @pytest.mark.promise("owned")
    async def test_what_is_done_in_one_chat_changes_nothing_in_another(self, talk: Talk) -> None:
        """The others have messages with the same ids, and keys that are the same."""
        others = {"c2": "ann", "c3": "bob"}
        same = {"key": "k1", "content": "x"}
        for chat, owner in others.items():
            await talk.answer("m1", chat=chat, owner=owner, answer_id="a1", **same)
            await talk.start("m2", chat=chat, owner=owner, answer_id="a2")
            await talk.send("m3", chat=chat, owner=owner, answer_id="a3", queue=True)

        async def state() -> object:
            shown = [await talk.store.snapshot(owner, chat) for chat, owner in others.items()]
            runs = await talk.store.runs()
            return shown, [run for run in runs if run.chat_id in others]

        before = await state()
        claim = await talk.start("m1", answer_id="a1", **same)
        talk.clock.advance(1)
        steps: dict[str, Callable[[], Awaitable[object]]] = {
            "append": lambda: talk.append(claim, records(40, size=900)),
            "release": lambda: talk.store.release([claim]),
            "claim": lambda: talk.store.claim("w2", 1, LEASE),
            "seize": lambda: talk.store.seize(claim.run.id, "w3", LEASE),
            "stop": lambda: talk.stop(claim.run.id),
            "edit": lambda: talk.answer("m2", place="edit", anchor="m1", answer_id="a2"),
            "show": lambda: talk.send("m1", shown=True, **same),
            "again": lambda: talk.answer(None, place="again", anchor="m1", answer_id="a3"),
            "rename": lambda: talk.store.rename("ann", "c1", "Other"),
            "delete": lambda: talk.store.delete("ann", "c1"),
        }
        for name, step in steps.items():
            await step()
            assert await state() == before, f"after {name}"
        await talk.crash()
        assert await state() == before, "after a crash"

    # --- rename and delete ---------------------------------------------------------------------

    async def test_a_chat_gets_another_title(self, talk: Talk) -> None:
        await talk.answer()
        before = (await talk.store.snapshot("ann", "c1")).chat
        talk.clock.advance(5)
        chat = await talk.store.rename("ann", "c1", 'New "title" ü')
        assert chat.title == 'New "title" ü'
        assert (await talk.store.snapshot("ann", "c1")).chat == chat
        assert chat == structs.replace(before, title=chat.title), "nothing else has changed"
        await talk.crash()
        assert (await talk.store.snapshot("ann", "c1")).chat == chat

    @pytest.mark.promise("owned")
    async def test_nobody_renames_or_deletes_a_foreign_chat(self, talk: Talk) -> None:
        await talk.answer()
        before = await talk.store.snapshot("ann", "c1")
        for owner, chat in (("bob", "c1"), ("ann", "c2")):
            with pytest.raises(ChatNotFound):
                await talk.store.rename(owner, chat, "Mine")
            with pytest.raises(ChatNotFound):
                await talk.store.delete(owner, chat)
        assert await talk.store.snapshot("ann", "c1") == before

    @pytest.mark.promise("no-leak")
    async def test_a_deleted_chat_is_gone_with_all_it_had(self, talk: Talk) -> None:
        ended = await talk.answer("m1", key="k1")
        active = await talk.start("m2")
        waiting = (await talk.send("m3", queue=True)).run
        assert await talk.append(active, records(50, size=900))
        await talk.store.delete("ann", "c1")
        for _ in range(2):
            for run_id in (ended.id, active.run.id, waiting.id):
                with pytest.raises(RunNotFound):
                    await talk.store.read(run_id, 0)
                with pytest.raises(ChatNotFound):
                    await talk.store.find_run("ann", "c1", run_id)
            with pytest.raises(ChatNotFound):
                await talk.store.snapshot("ann", "c1")
            with pytest.raises(ChatNotFound):
                await talk.store.delete("ann", "c1")
            assert await talk.chat_ids() == []
            assert await talk.store.runs() == []
            assert await talk.store.claim("w2", 10, LEASE) == []
            assert await talk.store.renew([active], LEASE) == [active]
            await talk.crash()

    async def test_a_chat_may_come_again_after_it_was_deleted(self, talk: Talk) -> None:
        old = await talk.start("m1", key="k1", content="x")
        assert await talk.append(old, records(9))
        await talk.store.delete("ann", "c1")
        new = await talk.start("m1", key="k1", content="y", owner="bob")
        assert new.run.id != old.run.id
        assert await talk.append(new, records(1, mark="y"))
        await talk.crash()
        assert await talk.log(new.run.id) == records(1, mark="y")
        assert await talk.chat_ids() == []
