"""Owners: each has chats of their own, whatever the ids; nobody else's can be reached."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec import structs

from durable_llm_streams.errors import (
    ChatNotFound,
    KeyConflict,
    MessageNotFound,
    RunNotFound,
)
from durable_llm_streams.model import Run
from durable_llm_streams.store import Store

from .harness import Talk, records, refused

#: Who asks for what is Ann's. Some look like her, or like a key of hers.
OTHERS = ["bob", "", "ann/c1", "ann/", "/ann", "an", "ANN", "ann ", "*", "%", "c1", "~/hook:ann"]
KEYED: dict[str, Any] = {"key": "k1", "content": "x"}


def reaching(store: Store, owner: str, run: Run) -> dict[str, Callable[[], Awaitable[object]]]:
    """Every operation that names an owner, about a chat and a run of Ann's."""
    chat, answer = run.chat_id, run.message_id
    return {
        "find the active run": lambda: store.runs.find(owner, chat),
        "find a run": lambda: store.runs.find(owner, chat, run.id),
        "snapshot": lambda: store.chats.snapshot(owner, chat),
        "snapshot of a branch": lambda: store.chats.snapshot(owner, chat, answer),
        "rename": lambda: store.chats.rename(owner, chat, "Taken"),
        "delete": lambda: store.chats.delete(owner, chat),
    }


class OwnersContract:
    """A chat is named by its owner and its id."""

    @pytest.mark.promise("owned")
    @pytest.mark.parametrize("owner", OTHERS)
    @pytest.mark.parametrize("own", [False, True], ids=["none-of-their-own", "one-of-their-own"])
    async def test_no_operation_reaches_a_chat_of_another_owner(
        self, talk: Talk, owner: str, own: bool
    ) -> None:
        """Also not through a chat of their own that has the same id."""
        ended = await talk.answer("m1", **KEYED)
        active = (await talk.start("m2")).run
        before = await talk.snapshot(), await talk.chat_ids()
        theirs = await talk.answer("m9", owner=owner) if own and owner else None
        for run in (ended, active):
            for what, call in reaching(talk.store, owner, run).items():
                if theirs is not None:
                    await talk.store.chats.rename(owner, "c1", "Theirs")
                    await self._reaches_only(call, theirs, what)
                    if what == "delete":
                        theirs = await talk.answer("m9", owner=owner)
                else:
                    await refused(ChatNotFound, call())
        assert (await talk.snapshot(), await talk.chat_ids()) == before
        assert await talk.chat_ids(owner) == ([] if theirs is None else ["c1"])
        if not owner:
            with pytest.raises(ValueError, match="needs an owner"):
                talk.order(owner=owner)

    async def _reaches_only(
        self, call: Callable[[], Awaitable[Any]], theirs: Run, what: str
    ) -> None:
        """The operation finds something of their own, or nothing."""
        try:
            found = await call()
        except (RunNotFound, MessageNotFound):
            return
        for value in (found, getattr(found, "chat", None)):
            assert getattr(value, "owner", theirs.owner) == theirs.owner, what

    @pytest.mark.promise("owned", "idempotent-send")
    async def test_an_id_is_free_for_every_owner_and_tells_nothing(self, talk: Talk) -> None:
        """The same chat id, message id and idempotency key: each owner has a chat of their own."""
        runs = {
            owner: (await talk.start("m1", owner=owner, **KEYED)).run
            for owner in ("ann", "bob", "acme/ann", "/ann")
        }
        assert len({run.id for run in runs.values()}) == len(runs)
        for owner, run in runs.items():
            again = await talk.send("m1", owner=owner, **KEYED)
            assert (again.run, again.created) == (run, False)
            await refused(KeyConflict, talk.send("m1", owner=owner, key="k1", content="other"))
            assert await talk.store.runs.find(owner, "c1") == run
            chat = (await talk.store.chats.snapshot(owner, "c1")).chat
            assert (chat.owner, chat.active_run) == (owner, run.id)
            assert await talk.chat_ids(owner) == ["c1"]
        await talk.store.chats.delete("ann", "c1")
        await refused(RunNotFound, talk.store.log.read(runs["ann"].id, 0))
        for owner in ("bob", "acme/ann", "/ann"):
            assert await talk.store.runs.find(owner, "c1") == runs[owner]

    @pytest.mark.promise("owned")
    async def test_a_message_to_anothers_chat_is_one_to_a_chat_of_ones_own(
        self, talk: Talk
    ) -> None:
        """As if the other chat did not exist: only `follow` makes one."""
        await talk.answer("m1", **KEYED)
        before = await talk.snapshot()
        for order in (
            talk.order("m2", owner="bob", place="edit", anchor="m1"),
            talk.order(None, owner="bob", place="again"),
        ):
            await refused(ChatNotFound, talk.store.runs.send(order))
        fresh = talk.order("m2", owner="bob", anchor="a1", **KEYED)
        sent = await talk.store.runs.send(fresh)
        assert sent.created
        theirs = await talk.store.chats.snapshot("bob", "c1")
        assert [message.id for message in theirs.messages] == ["m2", fresh.answer_id]
        assert await talk.snapshot() == before
        again = structs.replace(fresh, run_id="r0999", answer_id="a999")
        assert (await talk.store.runs.send(again)).run == sent.run

    @pytest.mark.promise("owned")
    async def test_chats_of_one_id_are_written_and_ended_side_by_side(self, talk: Talk) -> None:
        claims = {owner: await talk.start(owner=owner) for owner in ("ann", "bob")}
        logs = {owner: records(3, mark=owner) for owner in claims}
        for owner, claim in claims.items():
            assert await talk.append(claim, logs[owner])
        await talk.crash()
        for owner, claim in claims.items():
            snapshot = await talk.store.chats.snapshot(owner, "c1")
            assert snapshot.log is not None
            assert list(snapshot.log.records) == logs[owner]
            taken = await talk.store.runs.claim_run(claim.run.id, "w3", 5)
            ended = await talk.end(taken, body=f'{{"of":"{owner}"}}'.encode())
            assert await talk.store.runs.find(owner, "c1", claim.run.id) == ended
        for owner in claims:
            last = (await talk.store.chats.snapshot(owner, "c1")).messages[-1]
            assert last.body == f'{{"of":"{owner}"}}'.encode()
        await talk.expire(chat_age=0)
        assert (await talk.chat_ids("ann"), await talk.chat_ids("bob")) == (["c1"], ["c1"])
