"""The session of one chat: its questions, and all their clients."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from durable_llm_streams.chunks import decode
from durable_llm_streams.model import Cursor

from .clients import ChatClient, Network
from .server import Site
from .workload import OWNERS, Action, Chat, Turn


class ChatSession:
    """A chat, as its owner's clients and a stranger use it.

    Args:
        network: how they reach the servers.
        site: where a log's length is read.
        chat: what is done.
    """

    def __init__(self, network: Network, site: Site, chat: Chat) -> None:
        self._network = network
        self._seen = network.observed
        self._site = site
        self._chat = chat
        self._kinds: dict[str, Callable[[Action, Turn, ChatClient], Awaitable[object]]] = {
            "ask": self._ask,
            "repeat": self._ask,
            "again": self._again,
            "edit": self._edit,
            "read": self._read,
            "wait": self._wait,
            "stop": self._stop,
            "rename": self._rename,
            "delete": self._delete,
            "trespass": self._trespass,
        }

    async def run(self) -> None:
        tasks: list[asyncio.Task[None]] = []
        for turn in self._chat.turns:
            begun = asyncio.Event()
            of_turn = [
                asyncio.create_task(self._act(action, turn, begun), name=action.name)
                for action in turn.actions
            ]
            tasks += of_turn
            await (asyncio.gather(*of_turn) if turn.patient else begun.wait())
        await asyncio.gather(*tasks)

    async def _act(self, action: Action, turn: Turn, begun: asyncio.Event) -> None:
        await asyncio.sleep(action.at)
        faults = self._network.faults
        if action.kind != "ask" and not faults.over and not faults.keeps(action.kind, action.name):
            return
        owner = self._chat.owner
        if action.kind == "trespass":
            owner = next(other for other in OWNERS if other != owner)
        client = ChatClient(self._network, action.name, owner, action.server)
        try:
            await self._kinds[action.kind](action, turn, client)
        finally:
            begun.set()

    async def _ask(self, action: Action, turn: Turn, client: ChatClient) -> None:
        sent = self._chat.sent(turn)
        await client.send(self._chat.name, self._chat.body(turn), sent.id, sent)

    async def _again(self, action: Action, turn: Turn, client: ChatClient) -> None:
        if (answer := self._answer_of(turn)) is not None:
            body = {"trigger": "regenerate-message", "messageId": answer, "model": turn.model}
            key = action.key or action.name
            await client.send(self._chat.name, body, key, idempotency_key=action.key or None)

    async def _edit(self, action: Action, turn: Turn, client: ChatClient) -> None:
        if self._is_accepted(turn):
            sent = self._chat.sent(turn, edited=True)
            await client.send(self._chat.name, self._chat.edit(turn), sent.id, sent)

    async def _read(self, action: Action, turn: Turn, client: ChatClient) -> None:
        await client.follow(self._chat.name, self._somewhere(action))

    async def _wait(self, action: Action, turn: Turn, client: ChatClient) -> None:
        known = [cursor for cursor in self._cursors() if cursor.seq]
        if known:
            newest = known[-1].run_id
            await client.follow(self._chat.name, max(c for c in known if c.run_id == newest))

    async def _stop(self, action: Action, turn: Turn, client: ChatClient) -> None:
        await client.stop(self._chat.name, self._site.length)

    async def _rename(self, action: Action, turn: Turn, client: ChatClient) -> None:
        if self._is_accepted(turn):
            await client.rename(self._chat.name, f"called by {action.name}")

    async def _delete(self, action: Action, turn: Turn, client: ChatClient) -> None:
        await client.delete(self._chat.name)

    async def _trespass(self, action: Action, turn: Turn, client: ChatClient) -> None:
        if self._is_accepted(turn):
            cursors = self._cursors()
            cursor = cursors[-1] if cursors else None
            await client.trespass(self._chat.name, cursor)

    def _is_accepted(self, turn: Turn) -> bool:
        sent = self._chat.sent(turn)
        return any(each == sent for each in self._seen.sent)

    def _cursors(self) -> list[Cursor]:
        """Where the readers of the chat are, in the order in which they came."""
        readings = [reading for reading in self._seen.readings if reading.chat == self._chat.name]
        return [reading.cursor for reading in readings if reading.cursor is not None]

    def _somewhere(self, action: Action) -> Cursor | None:
        """A place in a log that another reader of the chat has reached; often none."""
        rng = self._network.faults.rng(f"place of {action.name}")
        known = [r for r in self._seen.readings if r.chat == self._chat.name and r.frames]
        if not known or rng.random() < 0.5:
            return None
        return rng.choice(rng.choice(known).frames).cursor

    def _answer_of(self, turn: Turn) -> str | None:
        """The id of an answer to a question, as a client gets it: from its first event."""
        key = self._chat.sent(turn).id
        runs = {a.run_id for a in self._seen.accepted if (a.chat, a.key) == (self._chat.name, key)}
        for reading in self._seen.readings:
            if reading.run_id in runs and reading.frames:
                first = decode(reading.frames[0].data)
                if first["type"] == "start":
                    message: str = first["messageId"]
                    return message
        return None
