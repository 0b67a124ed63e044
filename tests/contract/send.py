"""`RunStore.send`: chats, messages and runs come into being."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from durable_llm_streams.errors import (
    ChatBusy,
    ChatNotFound,
    Conflict,
    InvalidRequest,
    MessageConflict,
    MessageNotFound,
)
from durable_llm_streams.model import Epoch, Status
from durable_llm_streams.store import Sent
from tests.waiting import within

from .harness import LEASE, Talk


class SendContract:
    """A message makes one run, in its place."""

    async def test_the_first_message_makes_the_chat(self, talk: Talk) -> None:
        sent = await talk.send(title="Trees", body=b'{"q":1}', key="k1", model="big")
        run = sent.run
        assert (sent.created, sent.claim) == (True, None)
        assert (run.chat_id, run.prompt_id, run.message_id) == ("c1", "m1", "a1")
        assert (run.status, run.epoch, run.model, run.key) == (
            Status.QUEUED, Epoch(0, ""), "big", "k1",
        )  # fmt: skip
        assert run.created_at == talk.clock()
        chat, messages, versions, active, _ = await talk.store.snapshot("ann", "c1")
        assert (chat.owner, chat.title, chat.head) == ("ann", "Trees", "a1")
        assert chat.active_run == run.id
        assert chat.created_at == chat.updated_at == talk.clock()
        now = talk.clock()
        assert [(m.id, m.parent, m.role, m.body, m.run_id, m.created_at) for m in messages] == [
            ("m1", None, "user", b'{"q":1}', None, now),
            ("a1", "m1", "assistant", b"", run.id, now),
        ]
        assert versions == [("m1", None, "user"), ("a1", "m1", "assistant")]
        assert active == run

    @pytest.mark.promise("honest-failure")
    async def test_a_message_survives_a_crash(self, talk: Talk) -> None:
        await talk.send()
        before = await talk.store.snapshot("ann", "c1")
        await talk.crash()
        assert await talk.store.snapshot("ann", "c1") == before

    async def test_the_sender_may_claim_at_once(self, talk: Talk) -> None:
        sent = await talk.send(worker="w1", lease=LEASE)
        assert sent.claim is not None
        assert sent.claim == (sent.run, sent.run.epoch, 1)
        assert sent.run.status is Status.RUNNING
        assert sent.run.epoch.number == 1
        assert sent.run.spans == ((1, sent.run.epoch),)
        assert await talk.store.claim("w2", 10, LEASE) == []
        talk.clock.advance(LEASE + 1)
        assert len(await talk.store.claim("w2", 10, LEASE)) == 1

    @pytest.mark.promise("idempotent-send")
    async def test_a_repetition_gets_the_first_run(self, talk: Talk) -> None:
        first = await talk.start(key="k1", content="x")
        before = await talk.store.snapshot("ann", "c1")
        talk.clock.advance(9)
        again = await talk.send("m1", key="k1", content="x", worker="w2", lease=LEASE)
        assert again == Sent(first.run, created=False, claim=None)
        assert await talk.store.snapshot("ann", "c1") == before
        ended = await talk.end(first)
        assert (await talk.send("m1", key="k1", content="x")).run == ended
        assert len(await talk.store.runs()) == 1

    async def test_a_repetition_shows_its_branch_if_that_is_asked_for(self, talk: Talk) -> None:
        first = await talk.answer("m1", key="k1", content="x")
        await talk.answer("m2", key="k2", content="x")
        edited = await talk.answer("m3", place="edit", anchor="m1", key="k3", content="x")
        before = (await talk.store.snapshot("ann", "c1")).chat
        talk.clock.advance(5)
        assert await talk.branch() == ["m3", "a3"]
        for shown, branch in ((False, ["m3", "a3"]), (True, ["m1", "a1", "m2", "a2"])):
            sent = await talk.send("m1", key="k1", content="x", shown=shown)
            assert sent == Sent(first, created=False, claim=None)
            assert await talk.branch() == branch
        await talk.crash()
        assert await talk.branch() == ["m1", "a1", "m2", "a2"]
        assert (await talk.send("m3", key="k3", content="x", shown=True)).run == edited
        assert (await talk.store.snapshot("ann", "c1")).chat == before

    async def test_a_repetition_on_the_branch_that_is_shown_leaves_it_so(self, talk: Talk) -> None:
        await talk.answer("m1", key="k1", content="x")
        await talk.answer("m2")
        await talk.answer("m3", anchor="a1")
        await talk.send("m1", key="k1", content="x", shown=True)
        assert await talk.branch() == ["m1", "a1", "m3", "a3"]

    async def test_asking_for_an_answer_on_another_branch_shows_it_if_asked(
        self, talk: Talk
    ) -> None:
        await talk.answer("m1")
        active = await talk.start("m2", place="edit", anchor="m1")
        await talk.send("m3", place="edit", anchor="m1", queue=True)
        assert await talk.branch() == ["m3", "a3"]
        sent = await talk.send(None, place="again", anchor="m2", shown=True)
        assert sent == Sent(active.run, created=False, claim=None)
        assert await talk.branch() == ["m2", "a2"]

    @pytest.mark.promise("idempotent-send")
    async def test_of_many_repetitions_at_once_one_makes_the_run(self, talk: Talk) -> None:
        orders = [talk.order(key="k1", content="x", worker="w1", lease=LEASE) for _ in range(10)]
        async with within("all duplicates of one message"):
            sent = await asyncio.gather(*map(talk.store.send, orders))
        assert Counter(one.created for one in sent) == {True: 1, False: 9}
        assert len({one.run.id for one in sent}) == 1
        assert len(await talk.store.runs()) == 1

    @pytest.mark.promise("idempotent-send")
    async def test_a_repetition_is_recognised_after_a_crash(self, talk: Talk) -> None:
        run = (await talk.send(key="k1", content="x")).run
        await talk.crash()
        assert await talk.send(key="k1", content="x") == Sent(run, created=False, claim=None)

    @pytest.mark.promise("idempotent-send")
    async def test_the_same_key_with_other_content_is_a_conflict(self, talk: Talk) -> None:
        await talk.answer(key="k1", content="x")
        before = await talk.store.snapshot("ann", "c1")
        with pytest.raises(MessageConflict):
            await talk.send("m2", key="k1", content="y")
        assert await talk.store.snapshot("ann", "c1") == before

    @pytest.mark.promise("idempotent-send", "owned")
    @pytest.mark.parametrize("place", ["follow", "edit", "again"])
    @pytest.mark.parametrize("owner", ["ann", "bob"])
    async def test_a_key_is_known_in_its_own_chat_only(
        self, talk: Talk, owner: str, place: str
    ) -> None:
        """A new chat and one with messages; a message, an edit and a regeneration."""
        asked: dict[str, Any] = {
            "place": place,
            "anchor": None if place == "follow" else "m1",
            "key": "k1",
        }
        message = None if place == "again" else "m2"
        for chat, whose in (("c1", "ann"), ("c2", owner)):
            await talk.answer("m1", chat, owner=whose)
        first = await talk.answer(message, **asked, content="x")
        sent = await talk.start(message, "c2", **asked, owner=owner, content="y")
        assert sent.run.chat_id == "c2"
        assert (await talk.send(chat="c3", key="k1", content="z")).created
        before = await talk.store.snapshot("ann", "c1")
        for chat, whose, content, run in (
            ("c1", "ann", "x", first), ("c2", owner, "y", sent.run),
        ):  # fmt: skip
            found = await talk.send(message, chat, **asked, owner=whose, content=content)
            assert found == Sent(run, created=False, claim=None)
            with pytest.raises(MessageConflict):
                await talk.send(message, chat, **asked, owner=whose, content="other")
        assert await talk.store.snapshot("ann", "c1") == before

    async def test_without_a_key_nothing_is_a_repetition(self, talk: Talk) -> None:
        await talk.answer("m1", content="x")
        assert (await talk.send("m2", content="x")).created

    async def test_a_taken_message_id_is_a_conflict(self, talk: Talk) -> None:
        await talk.answer()
        before = await talk.store.snapshot("ann", "c1")
        for taken in ("m1", "a1"):
            with pytest.raises(MessageConflict):
                await talk.send(taken, key="k2")
        assert await talk.store.snapshot("ann", "c1") == before
        assert (await talk.send("m1", chat="c2")).created, "but it may stand in another chat"

    @pytest.mark.promise("owned")
    async def test_nobody_sends_into_a_foreign_chat(self, talk: Talk) -> None:
        await talk.answer(key="k1", content="x")
        before = await talk.store.snapshot("ann", "c1")
        for order in (
            talk.order("m2", owner="bob"),
            talk.order("m1", owner="bob", key="k1", content="x"),
            talk.order("m2", owner="bob", place="edit", anchor="m1"),
            talk.order(None, owner="bob", place="again"),
        ):
            with pytest.raises(ChatNotFound):
                await talk.store.send(order)
        assert await talk.store.snapshot("ann", "c1") == before

    async def test_only_a_new_message_makes_a_chat(self, talk: Talk) -> None:
        for order in (
            talk.order("m1", place="edit", anchor="m0"),
            talk.order(None, place="again", anchor="m0"),
            talk.order(None, place="again"),
        ):
            with pytest.raises(ChatNotFound):
                await talk.store.send(order)
        assert await talk.chat_ids() == []

    async def test_while_an_answer_is_written_the_chat_is_busy(self, talk: Talk) -> None:
        run = (await talk.send()).run
        before = await talk.store.snapshot("ann", "c1")
        for _ in range(2):
            with pytest.raises(ChatBusy) as caught:
                await talk.send("m2", key="k2", content="y")
            assert caught.value.run_id == run.id
            assert await talk.store.snapshot("ann", "c1") == before
            await talk.store.claim("w1", 1, LEASE)
            before = await talk.store.snapshot("ann", "c1")
        await talk.stop(run.id)
        assert (await talk.send("m2", key="k2", content="x")).created, "the refused key is free"

    async def test_a_run_may_wait_behind_another(self, talk: Talk) -> None:
        first = await talk.start("m1")
        sent = await talk.send("m2", queue=True, worker="w1", lease=LEASE)
        assert sent.created
        assert sent.claim is None
        assert sent.run.status is Status.QUEUED
        chat = (await talk.store.snapshot("ann", "c1")).chat
        assert (chat.active_run, chat.head) == (first.run.id, "a2")
        assert await talk.branch() == ["m1", "a1", "m2", "a2"]
        with pytest.raises(ChatBusy) as caught:
            await talk.send("m3")
        assert caught.value.run_id == first.run.id

    async def test_a_run_that_may_wait_but_need_not_is_claimed(self, talk: Talk) -> None:
        assert (await talk.send(queue=True, worker="w1", lease=LEASE)).claim is not None

    async def test_a_message_goes_behind_its_anchor(self, talk: Talk) -> None:
        await talk.answer("m1")
        await talk.answer("m2")
        await talk.answer("m3", anchor="a1")
        assert await talk.branch() == ["m1", "a1", "m3", "a3"]
        assert await talk.branch("a2") == ["m1", "a1", "m2", "a2"]

    async def test_a_message_without_a_known_anchor_goes_behind_the_head(self, talk: Talk) -> None:
        await talk.answer("m1", anchor="nowhere")
        await talk.answer("m2", anchor=None)
        await talk.answer("m3", anchor="nowhere")
        await talk.answer("m1", chat="c2")
        await talk.answer("m4", anchor="m1", chat="c2")
        assert await talk.branch() == ["m1", "a1", "m2", "a2", "m3", "a3"]
        assert await talk.branch(chat="c2") == ["m1", "m4", "a5"]

    @pytest.mark.promise("versions")
    async def test_an_edit_stands_beside_what_it_edits(self, talk: Talk) -> None:
        await talk.answer("m1")
        await talk.answer("m2")
        await talk.answer("m3", place="edit", anchor="m2")
        assert await talk.branch() == ["m1", "a1", "m3", "a3"]
        await talk.answer("m4", place="edit", anchor="m1")
        assert await talk.branch() == ["m4", "a4"]
        versions = (await talk.store.snapshot("ann", "c1")).versions
        parents = {id_: parent for id_, parent, _ in versions}
        assert parents == {
            "m1": None, "a1": "m1", "m2": "a1", "a2": "m2", "m3": "a1", "a3": "m3",
            "m4": None, "a4": "m4",
        }  # fmt: skip

    async def test_only_a_users_message_that_is_there_can_be_edited(self, talk: Talk) -> None:
        await talk.answer()
        before = await talk.store.snapshot("ann", "c1")
        with pytest.raises(InvalidRequest):
            await talk.send("m2", place="edit", anchor="a1")
        for anchor in ("nowhere", None):
            with pytest.raises(MessageNotFound):
                await talk.send("m2", place="edit", anchor=anchor)
        assert await talk.store.snapshot("ann", "c1") == before

    @pytest.mark.promise("versions")
    @pytest.mark.parametrize("anchor", [None, "m1", "a1"])
    async def test_asking_again_adds_an_answer(self, talk: Talk, anchor: str | None) -> None:
        await talk.answer("m1")
        run = await talk.answer(None, place="again", anchor=anchor)
        assert run.prompt_id == "m1"
        assert await talk.branch() == ["m1", "a2"]
        assert (await talk.store.snapshot("ann", "c1")).versions == [
            ("m1", None, "user"), ("a1", "m1", "assistant"), ("a2", "m1", "assistant"),
        ]  # fmt: skip

    @pytest.mark.promise("versions")
    async def test_asking_again_further_up_starts_a_branch_there(self, talk: Talk) -> None:
        await talk.answer("m1")
        await talk.answer("m2")
        await talk.answer(None, place="again", anchor="a1")
        assert await talk.branch() == ["m1", "a3"]
        await talk.answer("m3")
        assert await talk.branch() == ["m1", "a3", "m3", "a4"]

    @pytest.mark.promise("owned")
    async def test_a_message_of_another_chat_is_neither_edited_nor_asked_again(
        self, talk: Talk
    ) -> None:
        await talk.answer("m1")
        await talk.answer("m2", chat="c2", owner="bob")
        with pytest.raises(MessageNotFound):
            await talk.send("m3", place="edit", anchor="m2")
        for anchor in ("m2", "a2"):
            with pytest.raises(MessageNotFound):
                await talk.send(None, place="again", anchor=anchor)
            with pytest.raises(MessageNotFound):
                await talk.store.snapshot("ann", "c1", anchor)

    async def test_only_what_is_there_can_be_asked_again(self, talk: Talk) -> None:
        await talk.answer()
        with pytest.raises(MessageNotFound):
            await talk.send(None, place="again", anchor="nowhere")

    @pytest.mark.promise("idempotent-send")
    @pytest.mark.parametrize("anchor", [None, "m1", "a1"])
    async def test_asking_for_an_answer_that_is_being_written_gets_it(
        self, talk: Talk, anchor: str | None
    ) -> None:
        claim = await talk.start()
        before = await talk.store.snapshot("ann", "c1")
        for queue in (False, True):
            again = await talk.send(
                None, place="again", anchor=anchor, queue=queue, worker="w2", lease=LEASE
            )
            assert again == Sent(claim.run, created=False, claim=None)
        assert await talk.store.snapshot("ann", "c1") == before

    async def test_asking_for_another_answer_while_one_is_written_is_refused(
        self, talk: Talk
    ) -> None:
        await talk.answer("m1")
        await talk.start("m2")
        with pytest.raises(ChatBusy):
            await talk.send(None, place="again", anchor="a1")
        sent = await talk.send(None, place="again", anchor="a1", queue=True)
        assert sent.created
        assert sent.run.prompt_id == "m1"

    async def test_a_message_changes_the_chats_time(self, talk: Talk) -> None:
        await talk.answer()
        talk.clock.advance(60)
        await talk.send("m2")
        chat = (await talk.store.snapshot("ann", "c1")).chat
        assert chat.updated_at == talk.clock()
        assert chat.created_at == talk.clock() - 60_000
        assert chat.title == "About c1", "the title is for a chat that does not exist yet"
        await talk.send("m3", queue=True, now=talk.clock() - 5000)
        assert (await talk.store.snapshot("ann", "c1")).chat.updated_at == talk.clock()

    async def test_what_is_refused_changes_nothing(self, talk: Talk) -> None:
        """Of several that come at once, one gets in and the rest leave no trace."""
        orders = [talk.order(f"m{n}") for n in range(8)]
        async with within("all messages to one chat"):
            results = await asyncio.gather(*map(talk.store.send, orders), return_exceptions=True)
        (won,) = [result for result in results if isinstance(result, Sent)]
        assert sum(isinstance(result, Conflict) for result in results) == 7
        snapshot = await talk.store.snapshot("ann", "c1")
        assert len(snapshot.versions) == 2
        assert await talk.store.runs() == [won.run]
