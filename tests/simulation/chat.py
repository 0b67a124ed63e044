"""The life of one chat: its questions, and all who have to do with them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from durable_llm_streams.chunks import decode
from durable_llm_streams.model import Cursor

from .people import Person, Reading, Town
from .server import Site
from .workload import Plan, Turn


class ChatLife:
    """A chat, as its owner's tabs and devices live with it.

    Args:
        town: where they are.
        site: tells how long a log is.
        name: the chat's id.
        turns: what is asked.
    """

    def __init__(self, town: Town, site: Site, name: str, turns: Sequence[Turn]) -> None:
        self._town = town
        self._site = site
        self._name = name
        self._turns = turns

    async def live(self) -> None:
        """All of it, to the last answer's end. Raises Broken."""
        everybody: list[asyncio.Task[None]] = []
        for turn in self._turns:
            begun = asyncio.Event()
            tasks = [
                asyncio.create_task(self._act(plan, turn, begun), name=plan.name)
                for plan in turn.plans
            ]
            everybody += tasks
            await (asyncio.gather(*tasks) if turn.patient else begun.wait())
        await asyncio.gather(*everybody)

    async def _act(self, plan: Plan, turn: Turn, begun: asyncio.Event) -> None:
        await asyncio.sleep(plan.at)
        faults = self._town.faults
        if plan.kind != "ask" and not faults.over and not faults.keeps(plan.kind, plan.name):
            return
        person = Person(self._town, plan.name, f"owner-{self._name}", plan.server)
        try:
            await self._do(plan, turn, person)
        finally:
            begun.set()

    async def _do(self, plan: Plan, turn: Turn, person: Person) -> None:
        if plan.kind in ("ask", "repeat"):
            await person.ask(self._name, turn.body(), turn.question.name)
        elif plan.kind == "read":
            await person.follow(self._name, self._somewhere(plan))
        elif plan.kind == "stop":
            stopped = await person.stop(self._name)
            if stopped.run_id is not None:
                length = self._site.length(stopped.run_id)
                self._town.stopped.append(stopped._replace(length=length))
        elif plan.kind == "delete":
            await person.delete(self._name)
        elif (answer := self._answer_of(turn)) is not None:
            body = {"trigger": "regenerate-message", "messageId": answer, "model": turn.model}
            await person.ask(self._name, body, plan.name)

    def _somewhere(self, plan: Plan) -> Cursor | None:
        """A place in a log that another reader of the chat has reached; often none."""
        rng = self._town.faults.rng(f"place of {plan.name}")
        known = [r for r in self._town.readings if r.chat == self._name and r.frames]
        if not known or rng.random() < 0.5:
            return None
        reading: Reading = rng.choice(known)
        return rng.choice(reading.frames).cursor

    def _answer_of(self, turn: Turn) -> str | None:
        """The id of an answer to a question, as a client knows it: from its first event."""
        runs = {a.run_id for a in self._town.asked if a.key == turn.question.name}
        for reading in self._town.readings:
            if reading.frames and reading.after is None:
                first = decode(reading.frames[0].data)
                if reading.frames[0].cursor.run_id in runs and first["type"] == "start":
                    message: str = first["messageId"]
                    return message
        return None
