"""Random chats in a store, made through its contract, and all that a store returns of them."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from msgspec import structs

from durable_llm_streams.chunks import encode
from durable_llm_streams.errors import CursorLost
from durable_llm_streams.log import read_all
from durable_llm_streams.model import Chat, Claim, Message, Run, Status
from durable_llm_streams.store import Append, Ending, Order, Retention, Sent, Store
from tests.contract.harness import delete_some

OWNERS = ("ann", "bob", "zoë ☕")
TITLES = ("Trees", "100%", "ÄPFEL & Öl", "snow ☃ and 🦉", 'a "quote" | a pipe', "")
TEXTS = ("hello", "grüße 🌍", "line\nfeed", "\u2028 and \x00", "x" * 900)

DAY = 24 * 3600.0

Place = Literal["follow", "edit", "again"]
Outcome = Literal["finished", "failed", "stopped", "running", "queued", "given back"]


class Log(NamedTuple):
    """A run, and its records if they are still there."""

    run: Run
    records: list[bytes] | None


class Whole(NamedTuple):
    """All that a store returns: a run that was being written counts as waiting."""

    chats: dict[str, list[Chat]]
    messages: dict[str, list[Message]]
    versions: dict[str, Sequence[tuple[str, str | None, str]]]
    logs: dict[str, Log]


class Histories:
    """Writes chats.

    Args:
        store: where to.
        seed: the same makes the same chats, but for their times.

    Attributes:
        orders: all that was sent.
    """

    def __init__(self, store: Store, seed: int) -> None:
        self.store = store
        self.orders: list[Order] = []
        self.claims: dict[str, Claim] = {}
        self._rng = random.Random(seed)
        self._seed = seed
        self._now = time.time_ns() // 1_000_000

    async def write(self, chats: int) -> None:
        """Some chats of some owners with all that may happen in them."""
        owners = [self._rng.choice(OWNERS) for _ in range(chats)]
        asked: list[list[str]] = [[] for _ in range(chats)]
        for number in range(0, chats, 3):
            await self.turn(
                f"chat-{self._seed}-{number}", owners[number], questions=asked[number], old=True
            )
        # what has ended by now has lost its log
        while await delete_some(self.store, Retention(log=-1.0, chat=0)):
            pass
        for number, (owner, questions) in enumerate(zip(owners, asked, strict=True)):
            chat = f"chat-{self._seed}-{number}"
            for _ in range(self._rng.randint(1, 5)):
                place: Place = self._rng.choice(("follow", "follow", "edit", "again"))
                if not questions:
                    place = "follow"
                await self.turn(chat, owner, place, questions)
            for outcome in [*self._rng.choices(("running", "queued", "given back", ""), k=1), ""]:
                if outcome:
                    await self.turn(chat, owner, "follow", questions, outcome=outcome)
                    await self.turn(chat, owner, "follow", questions, outcome="queued")

    async def turn(
        self,
        chat: str,
        owner: str,
        place: Place = "follow",
        questions: list[str] | None = None,
        *,
        outcome: Any = None,
        old: bool = False,
        records: Sequence[bytes] | None = None,
    ) -> Run:
        """A question and what becomes of its answer."""
        number = len(self.orders) + 1
        questions = [] if questions is None else questions
        outcome = outcome or self._rng.choice(("finished", "finished", "failed", "stopped"))
        message = None if place == "again" else f"m{self._seed}-{number}"
        order = Order(
            owner=owner,
            chat_id=chat,
            place=place,
            anchor=self._rng.choice(questions) if place != "follow" else None,
            run_id=f"{self._seed}r{number:05d}",
            answer_id=f"a{self._seed}-{number}",
            model=self._rng.choice(("demo", "maker/große-1")),
            now=self._now - (round(3 * DAY * 1000) if old else self._rng.randint(0, 10**6)),
            message_id=message,
            body=b"" if message is None else encode({"id": message, "t": self._text()}),
            key=self._rng.choice((None, f"key {number} ü")),
            content=f"content-{number}",
            title=self._rng.choice(TITLES),
            queue=True,
            worker=None if outcome == "queued" else "w1",
            lease=0.001,
        )
        sent = await self.store.runs.send(order)
        self.orders.append(order)
        if message is not None:
            questions.append(message)
        claim = sent.claim
        if claim is None and sent.created and order.worker is not None:
            # It may wait for another owner's turn; behind a run of its own chat it stays.
            first = await self.store.runs.find(owner, chat)
            if first.id == sent.run.id:
                claim = await self.store.runs.claim_run(first.id, order.worker, order.lease)
        if claim is not None:
            await self._answer(claim, outcome, order.now, records)
        return sent.run

    async def _answer(
        self, claim: Claim, outcome: Outcome, now: int, records: Sequence[bytes] | None
    ) -> None:
        run_id, written = claim.run.id, 0
        for portion in [records] if records else [self._records() for _ in range(2)]:
            if written and self._rng.random() < 0.4:
                claim = await self.store.runs.claim_run(run_id, "w2", 0.001)
            assert await self.store.log.append([Append(run_id, claim.epoch, written + 1, portion)])
            written += len(portion)
        if outcome == "given back":
            await self.store.runs.release([claim])
        elif outcome in ("finished", "failed", "stopped"):
            body = encode({"answer": self._text(), "of": run_id})
            last = [encode({"type": "finish", "of": run_id})]
            await self.store.log.end(
                Ending(run_id, claim.epoch, written + 1, last, Status(outcome), body, now + 100)
            )
        self.claims[run_id] = claim

    def _records(self) -> list[bytes]:
        return [
            encode({"n": self._rng.random(), "t": self._text()})
            for _ in range(self._rng.randint(1, 30))
        ]

    def _text(self) -> str:
        return self._rng.choice(TEXTS)


async def whole(store: Store, orders: Sequence[Order]) -> Whole:
    """Ask a store for everything about what was once sent to it."""
    told = Whole({}, {}, {}, {})
    for owner in sorted({order.owner for order in orders}):
        page = await store.chats.page(owner, limit=7)
        told.chats[owner] = [*page.chats]
        while page.more is not None:
            page = await store.chats.page(owner, limit=7, more=page.more)
            told.chats[owner] += page.chats
        times = [chat.updated_at for chat in told.chats[owner]]
        assert times == sorted(times, reverse=True)
        told.chats[owner].sort(key=lambda chat: chat.id)
    for order in orders:
        branch = await store.chats.snapshot(order.owner, order.chat_id, order.answer_id)
        head = await store.chats.snapshot(order.owner, order.chat_id)
        told.versions[order.chat_id] = list(branch.versions)
        told.messages[order.answer_id] = list(branch.messages)
        told.messages[f"head of {order.chat_id}"] = list(head.messages)
        told.messages[f"thread of {order.run_id}"] = list(await store.chats.thread(order.run_id))
        run = await store.runs.find(order.owner, order.chat_id, order.run_id)
        if run.status is Status.RUNNING:
            run = structs.replace(run, status=Status.QUEUED)
        told.logs[order.run_id] = Log(run, await _log(store, order.run_id))
    return told


async def _log(store: Store, run_id: str) -> list[bytes] | None:
    try:
        return (await read_all(store.log, run_id))[0]
    except CursorLost:
        return None


async def repeated(store: Store, order: Order, **changes: Any) -> Sent:
    """The same order again, as a client repeats it: with other ids for what it would make."""
    again = {"run_id": f"{order.run_id}again", "answer_id": f"{order.answer_id}again", **changes}
    return await store.runs.send(structs.replace(order, **again))
