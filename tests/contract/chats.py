"""`ChatStore`: snapshots, threads, lists, titles, deleting."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec import structs

from durable_llm_streams.errors import ChatNotFound, InvalidRequest, RunNotFound
from durable_llm_streams.model import Status

from .harness import LEASE, Talk, records, refused


async def ids_of_pages(talk: Talk, **fields: Any) -> list[str]:
    """The chats of all pages, which keep to their size."""
    found: list[str] = []
    more = None
    while True:
        page = await talk.store.chats.page("ann", more=more, **fields)
        assert len(page.chats) <= fields["limit"]
        found += [chat.id for chat in page.chats]
        assert len(found) < 20, "the pages have no end"
        more = page.more
        if more is None:
            return found


class ChatsContract:
    """An owner's chats and their history."""

    # --- snapshot ------------------------------------------------------------------------------

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
        assert (await talk.snapshot("a2")).chat.head == "a5"

    @pytest.mark.promise("versions")
    async def test_versions_tell_of_all_branches_oldest_first(self, talk: Talk) -> None:
        await talk.answer("m2")
        await talk.answer("m1", place="edit", anchor="m2")
        await talk.send(None, place="again", anchor="m2")
        for leaf in (None, "m1", "m2"):
            assert (await talk.snapshot(leaf)).versions == [
                ("m2", None, "user"), ("a1", "m2", "assistant"), ("m1", None, "user"),
                ("a2", "m1", "assistant"), ("a3", "m2", "assistant"),
            ]  # fmt: skip

    async def test_a_snapshot_has_the_active_run_with_its_whole_log(self, talk: Talk) -> None:
        run = (await talk.send()).run
        snapshot = await talk.snapshot()
        assert snapshot.run == run
        assert snapshot.log == await talk.store.log.read(run.id, 0)
        (claim,) = await talk.claims()
        log: list[bytes] = []
        for n in range(30):
            new = records(20, size=400, mark=f"n{n}")
            assert await talk.append(claim, new, at=len(log) + 1)
            log += new
            talk.clock.advance(1)
            snapshot = await talk.snapshot()
            assert snapshot.log is not None
            assert list(snapshot.log.records) == log
            assert (snapshot.log.first, snapshot.log.next_seq) == (1, len(log) + 1)
        assert snapshot.run == claim.run
        assert snapshot.log is not None
        assert (snapshot.log.spans, snapshot.log.status) == (claim.run.spans, Status.RUNNING)
        assert snapshot.messages[-1].body == b""
        await talk.crash()
        again = (await talk.snapshot()).log
        assert again is not None
        assert list(again.records) == log

    @pytest.mark.promise("owned")
    async def test_a_snapshot_is_for_the_owner(self, talk: Talk) -> None:
        await talk.answer()
        for owner, chat in (("bob", "c1"), ("ann", "c2"), ("", "c1")):
            await refused(ChatNotFound, talk.store.chats.snapshot(owner, chat))

    async def test_a_thread_is_what_a_run_answers(self, talk: Talk) -> None:
        await talk.answer("m1")
        await talk.answer("m2")
        again = await talk.answer(None, place="again", anchor="a1")
        edited = (await talk.send("m4", place="edit", anchor="m2", body=b'{"n":4}')).run
        thread = await talk.store.chats.thread(edited.id)
        assert [(m.id, m.role, m.body) for m in thread] == [
            ("m1", "user", b'{"text":"hello"}'), ("a1", "assistant", b'{"text":"hello you"}'),
            ("m4", "user", b'{"n":4}'),
        ]  # fmt: skip
        assert [m.id for m in await talk.store.chats.thread(again.id)] == ["m1"]
        assert list(thread) == (await talk.snapshot()).messages[:-1]
        await talk.store.chats.delete("ann", "c1")
        for run_id in (again.id, edited.id, "r9999"):
            await refused(RunNotFound, talk.store.chats.thread(run_id))

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
        page = await talk.store.chats.page("ann")
        assert [chat.id for chat in page.chats] == ["c1", "c2", "c3"]
        assert page.more is None
        assert page.chats[0] == await talk.chat()
        active = (await talk.start("m3")).run.id
        assert (await talk.store.chats.page("ann")).chats[0].active_run == active

    @pytest.mark.parametrize("step", [0, 1])
    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 10])
    async def test_pages_together_are_the_list(self, talk: Talk, step: int, limit: int) -> None:
        """Also when all the chats were changed at the same time."""
        for n in range(7):
            await talk.answer(chat=f"c{n}")
            await talk.answer(chat=f"b{n}", owner="bob")
            talk.clock.advance(step)
        found = await ids_of_pages(talk, limit=limit)
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
            page = await talk.store.chats.page("ann", query=query, limit=limit)
            assert (len(page.chats), page.more is not None) == (min(limit, 4), has_next)
        assert (await talk.store.chats.page("bob", query=query)).more is None

    async def test_thirty_chats_make_a_page(self, talk: Talk) -> None:
        for n in range(31):
            await talk.send(chat=f"c{n}")
        page = await talk.store.chats.page("ann")
        assert len(page.chats) == 30
        assert len((await talk.store.chats.page("ann", more=page.more)).chats) == 1

    async def test_chats_are_found_by_a_part_of_their_title(self, talk: Talk) -> None:
        titles = {
            "c1": "Äpfel und Birnen", "c2": "100% sure", "c3": "1000 sure", "c4": "snake_case",
            "c5": "snakeXcase", "c6": "back\\slash", "c7": "STRASSE", "c8": "",
        }  # fmt: skip
        for chat, title in titles.items():
            await talk.send(chat=chat, title=title)
            talk.clock.advance(1)
        expected = {
            "": ["c8", "c7", "c6", "c5", "c4", "c3", "c2", "c1"], " ": ["c3", "c2", "c1"],
            "sure": ["c3", "c2"], "SURE": ["c3", "c2"], "0%": ["c2"], "%": ["c2"], "%%": [],
            "_": ["c4"], "E_C": ["c4"], "\\": ["c6"], "\\s": ["c6"], "*": [],
            "äPFEL": ["c1"], "straße": ["c7"],
            "x" * 60_000: [],
        }  # fmt: skip
        for query, found in expected.items():
            assert await talk.chat_ids(query=query) == found, query[:20]

    async def test_pages_of_a_search_together_are_the_search(self, talk: Talk) -> None:
        for n in range(9):
            await talk.send(chat=f"c{n}", title="even" if n % 2 == 0 else "odd")
        found = await ids_of_pages(talk, query="EVEN", limit=2)
        assert sorted(found) == ["c0", "c2", "c4", "c6", "c8"]

    @pytest.mark.promise("owned")
    async def test_an_owner_cannot_see_the_chats_of_others(self, talk: Talk) -> None:
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
    async def test_an_invalid_page_token_is_refused(self, talk: Talk, more: str) -> None:
        await refused(InvalidRequest, talk.store.chats.page("ann", more=more))

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
            shown = [await talk.store.chats.snapshot(owner, chat) for chat, owner in others.items()]
            runs = await talk.store.operators.newest()
            return shown, [run for run in runs if run.chat_id in others]

        before = await state()
        claim = await talk.start("m1", answer_id="a1", **same)
        talk.clock.advance(1)
        steps: dict[str, Callable[[], Awaitable[object]]] = {
            "append": lambda: talk.append(claim, records(40, size=900)),
            "release": lambda: talk.store.runs.release([claim]),
            "claim": lambda: talk.claims(1),
            "seize": lambda: talk.store.runs.claim_run(claim.run.id, "w3", LEASE),
            "stop": lambda: talk.stop(claim.run.id),
            "edit": lambda: talk.answer("m2", place="edit", anchor="m1", answer_id="a2"),
            "show": lambda: talk.send("m1", shown=True, **same),
            "again": lambda: talk.answer(None, place="again", anchor="m1", answer_id="a3"),
            "rename": lambda: talk.store.chats.rename("ann", "c1", "Other"),
            "delete": lambda: talk.store.chats.delete("ann", "c1"),
        }
        for name, step in steps.items():
            await step()
            assert await state() == before, f"after {name}"
        await talk.crash()
        assert await state() == before, "after a crash"

    # --- rename and delete ---------------------------------------------------------------------

    async def test_a_chat_gets_another_title(self, talk: Talk) -> None:
        await talk.answer()
        before = await talk.chat()
        talk.clock.advance(5)
        chat = await talk.store.chats.rename("ann", "c1", 'New "title" ü')
        assert chat == structs.replace(before, title='New "title" ü'), "nothing else has changed"
        for _ in ("at once", "after a crash"):
            assert await talk.chat() == chat
            await talk.crash()

    @pytest.mark.promise("owned")
    async def test_a_foreign_chat_cannot_be_renamed_or_deleted(self, talk: Talk) -> None:
        await talk.answer()
        async with talk.unchanged():
            for owner, chat in (("bob", "c1"), ("ann", "c2")):
                await refused(ChatNotFound, talk.store.chats.rename(owner, chat, "Mine"))
                await refused(ChatNotFound, talk.store.chats.delete(owner, chat))

    @pytest.mark.promise("no-leak")
    async def test_a_deleted_chat_is_gone_with_all_it_had(self, talk: Talk) -> None:
        kept = await talk.answer(chat="c2", owner="bob")
        ended = await talk.answer("m1", key="k1")
        active = await talk.start("m2")
        waiting = (await talk.send("m3", queue=True)).run
        assert await talk.append(active, records(50, size=900))
        await talk.store.chats.delete("ann", "c1")
        for _ in ("at once", "after a crash"):
            for run_id in (ended.id, active.run.id, waiting.id):
                await refused(RunNotFound, talk.store.log.read(run_id, 0))
                await refused(ChatNotFound, talk.find(run_id))
            await refused(ChatNotFound, talk.snapshot())
            await refused(ChatNotFound, talk.store.chats.delete("ann", "c1"))
            assert await talk.chat_ids() == []
            assert await talk.store.operators.newest() == [kept]
            assert await talk.claims() == []
            assert await talk.store.runs.renew([active], LEASE) == [active]
            await talk.crash()

    async def test_a_chat_may_come_again_after_it_was_deleted(self, talk: Talk) -> None:
        old = await talk.start("m1", key="k1", content="x")
        assert await talk.append(old, records(9))
        await talk.store.chats.delete("ann", "c1")
        new = await talk.start("m1", key="k1", content="y", owner="bob")
        assert new.run.id != old.run.id
        assert await talk.append(new, records(1, mark="y"))
        await talk.crash()
        assert await talk.log(new.run.id) == records(1, mark="y")
        assert await talk.chat_ids() == []
