"""The evidence of a history: what its store holds at the end, and what its clients saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from durable_llm_streams.chunks import decode
from durable_llm_streams.errors import NotFound
from durable_llm_streams.log import read_all
from durable_llm_streams.model import Message, Run
from durable_llm_streams.store import Store
from tests.oracle.evidence import Answer, Evidence, Log
from tests.oracle.owner_evidence import Node
from tests.oracle.reading_rules import delays

from .clients import ChatClient
from .injected_store import Ledger
from .question import Question


async def answers(store: Store, owners: Mapping[str, str]) -> tuple[list[Answer], dict[str, Any]]:
    """Every run that a store has, and the messages of every chat."""
    found: list[Answer] = []
    trees: dict[str, dict[str, Node]] = {}
    for run in await store.operators.newest(limit=10_000):
        whole = await store.operators.any_run(run.id)
        records, page = await read_all(store.log, run.id)
        answer = Answer(whole, Log(records, page.spans), b"")
        found.append(answer)
        try:
            snapshot = await store.chats.snapshot(owners[run.chat_id], run.chat_id, run.message_id)
        except NotFound:
            continue
        tree = trees.setdefault(run.chat_id, {})
        for message_id, parent, role in snapshot.versions:
            tree.setdefault(message_id, Node(parent, role))
        for message in snapshot.messages:
            if message.role == "user":
                tree[message.id] = tree[message.id]._replace(text=_text(message))
        _complete(answer, snapshot.messages, tree)
    return found, trees


def _complete(answer: Answer, messages: Sequence[Message], tree: Mapping[str, Node]) -> None:
    """Add the evidence from an answer's branch."""
    run: Run = answer.run
    bodies = {message.id: message.body for message in messages}
    answer.message = bodies.get(run.message_id, b"")
    ids = [{"id": message.id} for message in messages]
    answer.branch = [message["id"] for message in _up_to(ids, run.message_id)]
    text = tree[run.prompt_id].text if run.prompt_id in tree else None
    if text is not None:
        question = Question.parse(text)
        answer.question = question.name
        answer.expected = question.answer
        names = range(question.thoughts)
        answer.thoughts = "".join(f"{question.name}-thought-{number} " for number in names)


def _up_to(messages: Sequence[Any], last: str) -> list[Any]:
    """A branch, without what follows one of its messages."""
    ids = [message["id"] for message in messages]
    return list(messages[: ids.index(last) + 1]) if last in ids else list(messages)


def _text(message: Message) -> str:
    return "".join(part["text"] for part in decode(message.body)["parts"] if "text" in part)


@dataclass
class Served:
    """What servers return at the end.

    Attributes:
        lists: of each owner, the chats by id.
        branches: of each answer, the messages up to it.
        active: the active run of each chat, if a server names one.
        chats: each chat that is there, with its head's branch.
    """

    lists: dict[str, dict[str, Any]] = field(default_factory=dict)
    branches: dict[str, list[Any]] = field(default_factory=dict)
    active: dict[str, str] = field(default_factory=dict)
    chats: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    async def by(cls, clients: Mapping[str, ChatClient], owners: Mapping[str, str]) -> Served:
        """Ask for every list and for every answer's branch."""
        served = cls()
        for owner, client in clients.items():
            served.lists[owner] = await client.list()
        for chat, owner in owners.items():
            whole = await clients[owner].chat(chat)
            if whole is None:
                continue
            served.chats[chat] = whole
            if whole["active_run"] is not None:
                served.active[chat] = whole["active_run"]["id"]
            for version in whole["versions"]:
                if version["role"] == "assistant":
                    branch = await clients[owner].chat(chat, version["id"])
                    served.branches[version["id"]] = branch["messages"] if branch else []
        return served

    def complete(self, answer: Answer) -> None:
        shown = self.branches.get(answer.run.message_id)
        answer.history = None if shown is None else _up_to(shown, answer.run.message_id)
        answer.active = self.active.get(answer.run.chat_id)


def with_delays(evidence: Evidence, ledger: Ledger) -> Evidence:
    """The evidence with how long each reader waited."""
    late = delays(evidence.readings, ledger.committed, evidence.waited)
    for reading in evidence.readings:
        reading.delay = late.get(reading.who, 0.0)
    return replace(evidence, appended=ledger.appended, claims=ledger.claims, changes=ledger.changes)
