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
    KeyConflict,
    MessageConflict,
    MessageNotFound,
)
from durable_llm_streams.model import Epoch, Run, Status
from durable_llm_streams.store import Sent
from tests.waiting import within

from .harness import LEASE, Talk, refused

KEYED: dict[str, Any] = {"key": "k1", "content": "x"}


def found(run: Run) -> Sent:
    """What a repetition gets."""
    return Sent(run, created=False, claim=None)


class SendContract:
    """A message makes one run, in its place."""

    @pytest.mark.promise("honest-failure")
    async def test_the_first_message_makes_the_chat(self, talk: Talk) -> None:
        sent = await talk.send(title="Trees", body=b'{"q":1}', key="k1", model="big")
        run, now = sent.run, talk.clock()
        assert (sent.created, sent.claim) == (True, None)
        assert (run.chat_id, run.prompt_id, run.message_id) == ("c1", "m1", "a1")
        assert (run.status, run.epoch, run.model, run.key, run.created_at) == (
            Status.QUEUED, Epoch(0, ""), "big", "k1", now,
        )  # fmt: skip
        chat, messages, versions, active, _ = snapshot = await talk.snapshot()
        assert (chat.owner, chat.title, chat.head) == ("ann", "Trees", "a1")
        assert (chat.active_run, chat.created_at, chat.updated_at) == (run.id, now, now)
        assert [(m.id, m.parent, m.role, m.body, m.run_id, m.created_at) for m in messages] == [
            ("m1", None, "user", b'{"q":1}', None, now),
            ("a1", "m1", "assistant", b"", run.id, now),
        ]
        assert versions == [("m1", None, "user"), ("a1", "m1", "assistant")]
        assert active == run
        await talk.crash()
        assert await talk.snapshot() == snapshot

    async def test_the_sender_may_claim_at_once(self, talk: Talk) -> None:
        sent = await talk.send(worker="w1", lease=LEASE, queue=True)
        assert sent.claim == (sent.run, sent.run.epoch, 1)
        assert (sent.run.status, sent.run.epoch.number) == (Status.RUNNING, 1)
        assert sent.run.spans == ((1, sent.run.epoch),)
        assert await talk.claims() == []
        talk.clock.advance(LEASE + 1)
        assert len(await talk.claims()) == 1

    @pytest.mark.promise("idempotent-send")
    async def test_a_duplicate_gets_the_first_run(self, talk: Talk) -> None:
        first = await talk.start(**KEYED)
        talk.clock.advance(9)
        async with talk.unchanged():
            assert await talk.send(**KEYED, worker="w2", lease=LEASE) == found(first.run)
        ended = await talk.end(first)
        async with talk.unchanged():
            assert await talk.send(**KEYED) == found(ended)
            await talk.crash()
            assert await talk.send(**KEYED) == found(ended)
            await refused(KeyConflict, talk.send("m2", key="k1", content="y"))
        assert (await talk.send("m2", content="x")).created, "without a key nothing is repeated"

    async def test_a_duplicate_shows_its_branch_if_requested(self, talk: Talk) -> None:
        first = await talk.answer("m1", **KEYED)
        await talk.answer("m2", key="k2", content="x")
        edited = await talk.answer("m3", place="edit", anchor="m1", key="k3", content="x")
        before = await talk.chat()
        talk.clock.advance(5)
        assert await talk.branch() == ["m3", "a3"]
        for shown, branch in ((False, ["m3", "a3"]), (True, ["m1", "a1", "m2", "a2"])):
            assert await talk.send(**KEYED, shown=shown) == found(first)
            assert await talk.branch() == branch
        await talk.crash()
        assert await talk.branch() == ["m1", "a1", "m2", "a2"]
        assert (await talk.send("m3", key="k3", content="x", shown=True)).run == edited
        assert await talk.chat() == before

    async def test_a_duplicate_on_the_shown_branch_changes_nothing(self, talk: Talk) -> None:
        await talk.answer("m1", **KEYED)
        await talk.answer("m2", key="k2", content="x")
        await talk.answer("m3", anchor="a1")
        for key in ("k2", "k1"):  # the newest message below the first answer is another one
            await talk.send(key=key, content="x", shown=True)
            assert await talk.branch() == ["m1", "a1", "m2", "a2"]

    async def test_a_regeneration_on_another_branch_shows_it_if_requested(self, talk: Talk) -> None:
        await talk.answer("m1")
        active = await talk.start("m2", place="edit", anchor="m1")
        await talk.send("m3", place="edit", anchor="m1", queue=True)
        assert await talk.branch() == ["m3", "a3"]
        assert await talk.send(None, place="again", anchor="m2", shown=True) == found(active.run)
        assert await talk.branch() == ["m2", "a2"]

    @pytest.mark.promise("idempotent-send")
    async def test_one_of_many_concurrent_duplicates_creates_the_run(self, talk: Talk) -> None:
        orders = [talk.order(**KEYED, worker="w1", lease=LEASE) for _ in range(10)]
        async with within("all duplicates of one message"):
            sent = await asyncio.gather(*map(talk.store.runs.send, orders))
        assert Counter(one.created for one in sent) == {True: 1, False: 9}
        assert {one.run.id for one in sent} == {
            run.id for run in await talk.store.operators.newest()
        }
        assert len(await talk.store.operators.newest()) == 1

    @pytest.mark.promise("idempotent-send")
    @pytest.mark.parametrize("place", ["follow", "edit", "again"])
    async def test_an_order_that_is_executed_twice_makes_one_run(
        self, talk: Talk, place: str
    ) -> None:
        """Without a key, and also when its run has ended: a call may arrive twice, and late."""
        await talk.answer("m0")
        anchor = {"follow": None, "edit": "m0", "again": "m0"}[place]
        message = None if place == "again" else "m1"
        order = talk.order(message, place=place, anchor=anchor, worker="w1", lease=LEASE)
        sent = await talk.store.runs.send(order)
        assert sent.claim is not None
        assert await talk.store.runs.send(order) == found(sent.run)
        ended = await talk.end(sent.claim)
        async with talk.unchanged():
            assert await talk.store.runs.send(order) == found(ended)

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
        async with talk.unchanged():
            for chat, whose, content, run in (
                ("c1", "ann", "x", first), ("c2", owner, "y", sent.run),
            ):  # fmt: skip
                asked |= {"owner": whose}
                assert await talk.send(message, chat, **asked, content=content) == found(run)
                await refused(KeyConflict, talk.send(message, chat, **asked, content="other"))

    async def test_a_taken_message_id_is_a_conflict(self, talk: Talk) -> None:
        await talk.answer()
        async with talk.unchanged():
            for taken in ("m1", "a1"):
                await refused(MessageConflict, talk.send(taken, key="k2"))
        assert (await talk.send("m1", chat="c2")).created, "but it may stand in another chat"

    async def test_only_a_new_message_makes_a_chat(self, talk: Talk) -> None:
        for order in (
            talk.order("m1", place="edit", anchor="m0"),
            talk.order(None, place="again", anchor="m0"),
            talk.order(None, place="again"),
        ):
            await refused(ChatNotFound, talk.store.runs.send(order))
        assert await talk.chat_ids() == []

    async def test_while_an_answer_is_written_the_chat_is_busy(self, talk: Talk) -> None:
        run = (await talk.send()).run
        for _ in ("it waits", "it runs"):
            async with talk.unchanged():
                busy = await refused(ChatBusy, talk.send("m2", key="k2", content="y"))
                assert busy.run_id == run.id
            await talk.claims()
        await talk.stop(run.id)
        assert (await talk.send("m2", key="k2", content="x")).created, "the refused key is free"

    async def test_a_run_may_wait_behind_another(self, talk: Talk) -> None:
        first = await talk.start("m1")
        sent = await talk.send("m2", queue=True, worker="w1", lease=LEASE)
        assert (sent.created, sent.claim, sent.run.status) == (True, None, Status.QUEUED)
        chat = await talk.chat()
        assert (chat.active_run, chat.head) == (first.run.id, "a2")
        assert await talk.branch() == ["m1", "a1", "m2", "a2"]
        assert (await refused(ChatBusy, talk.send("m3"))).run_id == first.run.id

    async def test_a_message_goes_behind_its_anchor_or_the_head(self, talk: Talk) -> None:
        await talk.answer("m1", anchor="nowhere")
        await talk.answer("m2", anchor=None)
        await talk.answer("m3", anchor="a1")
        await talk.answer("m4", anchor="nowhere")
        await talk.answer("m1", chat="c2")
        await talk.answer("m4", anchor="m1", chat="c2")
        assert await talk.branch() == ["m1", "a1", "m3", "a3", "m4", "a4"]
        assert await talk.branch("a2") == ["m1", "a1", "m2", "a2"]
        assert await talk.branch(chat="c2") == ["m1", "m4", "a6"]

    @pytest.mark.promise("versions")
    async def test_an_edit_is_a_sibling_of_the_edited_message(self, talk: Talk) -> None:
        await talk.answer("m1")
        await talk.answer("m2")
        await talk.answer("m3", place="edit", anchor="m2")
        assert await talk.branch() == ["m1", "a1", "m3", "a3"]
        await talk.answer("m4", place="edit", anchor="m1")
        assert await talk.branch() == ["m4", "a4"]
        parents = {id_: parent for id_, parent, _ in (await talk.snapshot()).versions}
        assert parents == {
            "m1": None, "a1": "m1", "m2": "a1", "a2": "m2", "m3": "a1", "a3": "m3",
            "m4": None, "a4": "m4",
        }  # fmt: skip

    @pytest.mark.promise("owned")
    async def test_only_messages_of_the_chat_can_be_edited_or_regenerated(self, talk: Talk) -> None:
        await talk.answer("m1")
        await talk.answer("m2", chat="c2", owner="bob")
        async with talk.unchanged():
            await refused(InvalidRequest, talk.send("m3", place="edit", anchor="a1"))
            for anchor in ("nowhere", "m2", "a2"):
                edit = talk.send("m3", place="edit", anchor=anchor)
                again = talk.send(None, place="again", anchor=anchor)
                for call in (edit, again, talk.snapshot(anchor)):
                    await refused(MessageNotFound, call)
            await refused(MessageNotFound, talk.send("m3", place="edit", anchor=None))

    @pytest.mark.promise("versions")
    @pytest.mark.parametrize("anchor", [None, "m1", "a1"])
    async def test_asking_again_adds_an_answer(self, talk: Talk, anchor: str | None) -> None:
        await talk.answer("m1")
        run = await talk.answer(None, place="again", anchor=anchor)
        assert run.prompt_id == "m1"
        assert await talk.branch() == ["m1", "a2"]
        assert (await talk.snapshot()).versions == [
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

    @pytest.mark.promise("idempotent-send")
    @pytest.mark.parametrize("anchor", [None, "m1", "a1"])
    async def test_asking_for_an_answer_that_is_being_written_gets_it(
        self, talk: Talk, anchor: str | None
    ) -> None:
        claim = await talk.start()
        again: dict[str, Any] = {"place": "again", "worker": "w2", "lease": LEASE}
        async with talk.unchanged():
            for queue in (False, True):
                sent = await talk.send(None, anchor=anchor, queue=queue, **again)
                assert sent == found(claim.run)

    async def test_asking_for_another_answer_while_one_is_written_is_refused(
        self, talk: Talk
    ) -> None:
        await talk.answer("m1")
        await talk.start("m2")
        await refused(ChatBusy, talk.send(None, place="again", anchor="a1"))
        sent = await talk.send(None, place="again", anchor="a1", queue=True)
        assert (sent.created, sent.run.prompt_id) == (True, "m1")

    async def test_a_message_changes_the_chats_time(self, talk: Talk) -> None:
        await talk.answer()
        talk.clock.advance(60)
        await talk.send("m2")
        chat = await talk.chat()
        assert (chat.updated_at, chat.created_at) == (talk.clock(), talk.clock() - 60_000)
        assert chat.title == "About c1", "the title is for a chat that does not exist yet"
        await talk.send("m3", queue=True, now=talk.clock() - 5000)
        assert (await talk.chat()).updated_at == talk.clock()

    async def test_of_several_messages_at_once_one_gets_in(self, talk: Talk) -> None:
        """The rest leave no trace."""
        orders = [talk.order(f"m{n}") for n in range(8)]
        async with within("all messages to one chat"):
            results = await asyncio.gather(
                *map(talk.store.runs.send, orders), return_exceptions=True
            )
        (won,) = [result for result in results if isinstance(result, Sent)]
        assert sum(isinstance(result, Conflict) for result in results) == 7
        assert len((await talk.snapshot()).versions) == 2
        assert await talk.store.operators.newest() == [won.run]
