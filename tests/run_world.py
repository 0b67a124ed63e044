"""A world for runs: one real store, any number of workers over it, in virtual time.

`World.ended` looks at every promise that can be seen at a run's end, in every test.
"""

from __future__ import annotations

import functools
import inspect
import json
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from itertools import count, groupby
from pathlib import Path
from typing import Any, Self

from msgspec import structs

from durable_llm_streams import chunks
from durable_llm_streams.fold import Fold
from durable_llm_streams.log import Flusher, follow, read_all
from durable_llm_streams.model import Claim, Cursor, Run, Status, token_at
from durable_llm_streams.runs import Limits, Worker
from durable_llm_streams.source import Source
from durable_llm_streams.store import Ending, Order, Pace, Store
from durable_llm_streams.stores import SQLiteStore

from .faulty_store import FaultyStore
from .oracle.evidence import Answer, Evidence, Frame, Log, Reading
from .oracle.invariants import violations
from .scripted_source import PROVIDER_TEXT, ScriptedSource
from .virtual_time import now, run_virtual
from .waiting import within as bounded

Chunk = dict[str, Any]

OWNER = "ann"


class World:
    """A store and what works on it. Everything is closed at the end."""

    def __init__(self, folder: Path) -> None:
        self.store = SQLiteStore(folder / "chats.db", now=now)
        self._stores: list[FaultyStore] = []
        self._workers: list[Worker] = []
        self._flushers: list[Flusher] = []
        self._ids = count(1)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for store in self._stores:
            store.thaw()
        for worker in self._workers:
            await worker.close()
        for flusher in self._flushers:
            await flusher.close()
        await self.store.close()

    def faulty(self, jitter: random.Random | None = None) -> FaultyStore:
        """Another way to the store, which can be spoiled. What is frozen thaws at the end."""
        self._stores.append(FaultyStore(self.store, jitter=jitter))
        return self._stores[-1]

    async def worker(
        self,
        source: Source,
        limits: Limits | None = None,
        *,
        store: Store | None = None,
        started: bool = True,
        system: str = "",
    ) -> Worker:
        """A worker at work."""
        worker = Worker(
            store or self.store,
            source,
            name=f"worker-{len(self._workers) + 1}",
            limits=limits,
            system=system,
            now=now,
            rng=random.Random(7),
        )
        self._workers.append(worker)
        if started:
            await worker.start()
        return worker

    async def answering(
        self, source: Source, said: str, limits: Limits | None = None, store: Store | None = None
    ) -> tuple[Worker, Run]:
        """A worker that has written so much of an answer."""
        worker = await self.worker(source, limits, store=store)
        run = await self.ask(worker)
        await self.said(run, said)
        return worker, run

    async def frozen(
        self, source: Source, said: str, limits: Limits | None = None
    ) -> tuple[Worker, FaultyStore, Run]:
        """A worker that is frozen in the middle of an answer."""
        store = self.faulty()
        worker, run = await self.answering(source, said, limits, store)
        store.freeze()
        return worker, store, run

    async def play(
        self, source: ScriptedSource, limits: Limits | None = None, store: Store | None = None
    ) -> Ended:
        """One run of a source, from the question to the end of the answer."""
        worker = await self.worker(source, limits, store=store)
        ended = await self.ended(await self.ask(worker))
        assert source.open == 0, f"{source.open} streams of the source are open behind the end"
        return ended

    def flusher(
        self, store: Store | None = None, core: Callable[[], float] = lambda: 0.0
    ) -> Flusher:
        """A flusher without a worker."""
        store = store or self.store
        self._flushers.append(Flusher(store.log, store.pace, core=core))
        return self._flushers[-1]

    def flushing(
        self, pace: Pace | None = None, core: Callable[[], float] = lambda: 0.0
    ) -> tuple[FaultyStore, Flusher]:
        """A store that can be spoiled, and a flusher over it."""
        store = self.faulty()
        store.pace = pace or store.pace
        return store, self.flusher(store, core)

    def order(self, chat: str = "chat", text: str = "Hello", *, queue: bool = True) -> Order:
        """An order for an answer in a chat."""
        number = next(self._ids)
        parts = [{"type": "text", "text": text}]
        body = {"id": f"user-{number}", "role": "user", "parts": parts}
        return Order(
            owner=OWNER,
            chat_id=chat,
            place="follow",
            run_id=f"run{number}",
            answer_id=f"answer-{number}",
            model="test/model",
            now=now(),
            message_id=f"user-{number}",
            body=json.dumps(body).encode(),
            title=text,
            queue=queue,
        )

    async def ask(self, worker: Worker, chat: str = "chat", text: str = "Hello") -> Run:
        """Send a message through a worker."""
        return (await worker.send(self.order(chat, text))).run

    async def queue(self, chat: str = "chat", text: str = "Hello") -> Run:
        """Send a message that no worker executes yet."""
        return (await self.store.runs.send(self.order(chat, text))).run

    async def claim(self, *, lease: float = 5.0) -> Claim:
        """A fresh run, claimed without a worker."""
        order = structs.replace(self.order(f"chat-{next(self._ids)}"), worker="nobody", lease=lease)
        claim = (await self.store.runs.send(order)).claim
        assert claim is not None, f"{order.run_id} was not claimed as it was sent"
        return claim

    async def end(self, claim: Claim) -> None:
        """End a run that no worker executes."""
        at = len(await self.records(claim.run)) + 1
        records = [b'{"type":"abort"}']
        await self.store.log.end(
            Ending(claim.run.id, claim.epoch, at, records, Status.STOPPED, b"{}", now())
        )

    async def find(self, run: Run) -> Run:
        """The run as it is now."""
        return await self.store.runs.find(OWNER, run.chat_id, run.id)

    async def records(self, run: Run) -> list[bytes]:
        """The log as it is now."""
        return (await read_all(self.store.log, run.id))[0]

    async def log(self, run: Run) -> list[Chunk]:
        """The log as it is now, decoded."""
        return [chunks.decode(record) for record in await self.records(run)]

    async def text(self, run: Run) -> str:
        """What a reader has seen by now."""
        return text_of(Fold.of(await self.records(run)))

    async def said(self, run: Run, beginning: str) -> None:
        """Wait until a reader has seen this much."""
        async with bounded(f"an answer that begins with {beginning!r}", seconds=600):
            async for _ in follow(self.store.log, Cursor.beginning(run.id), wait=60):
                if (await self.text(run)).startswith(beginning):
                    return
        raise AssertionError(f"The run ended without having said {beginning!r}.")

    async def ended(self, run: Run, *, within: float = 24 * 3600.0) -> Ended:
        """Follow a run to its end and look at the promises: one end, history is the fold."""
        records: list[bytes] = []
        async with bounded(f"the end of {run.id}", lambda: records[-3:], seconds=within):
            async for page in follow(self.store.log, Cursor.beginning(run.id), wait=60):
                assert page.first == len(records) + 1
                records += page.records
        return await self._checked(run, records)

    async def _checked(self, run: Run, followed: list[bytes]) -> Ended:
        """Judge a run that has ended, and what a reader has received of it."""
        found, log = await self.find(run), await self.records(run)
        page = await self.store.log.read(run.id, 0, max_bytes=1)
        frames = [
            Frame(Cursor(run.id, number, token_at(page.spans, number)), record)
            for number, record in enumerate(followed, 1)
        ]
        branch = await self.store.chats.snapshot(OWNER, run.chat_id, run.message_id)
        (body,) = [each.body for each in branch.messages if each.id == run.message_id]
        evidence = Evidence(
            answers={run.id: Answer(found, Log(log, page.spans), body)},
            readings=[Reading("the follower", run.chat_id, frames=frames, ended=True)],
            secrets=(PROVIDER_TEXT.encode(),),
        )
        assert violations(evidence) == []
        assert found.ended_at is not None, f"{found.id} is {found.status} and has no end"
        chat = (await self.store.chats.snapshot(OWNER, run.chat_id)).chat
        assert chat.updated_at >= found.ended_at, "the chat is older than its answer"
        return Ended(found, [chunks.decode(record) for record in log], Fold.of(log))


@dataclass
class Ended:
    """What a run came to."""

    run: Run
    log: list[Chunk]
    fold: Fold

    @property
    def status(self) -> Status:
        return self.run.status

    @property
    def text(self) -> str:
        """The text of the message in the history."""
        return text_of(self.fold)

    @property
    def parts(self) -> list[tuple[str, str]]:
        """The (kind, text) of its parts behind `step-start`."""
        return [(part["type"], part.get("text", "")) for part in self.fold.parts[1:]]

    @property
    def kinds(self) -> list[str]:
        """The types of the log's chunks; neighbouring deltas count once."""
        groups = groupby(chunk["type"] for chunk in self.log)
        return [k for kind, same in groups for k in ([kind] if "-delta" in kind else same)]

    @property
    def resets(self) -> int:
        """How often a step was begun again."""
        return self.kinds.count("reset-step")

    @property
    def notices(self) -> list[dict[str, Any]]:
        """The data of its `data-run` chunks."""
        return [chunk["data"] for chunk in self.log if chunk["type"] == "data-run"]

    @property
    def rungs(self) -> str:
        """How the model was asked, attempt by attempt."""
        return " ".join(asked["rung"] for asked in self.fold.ladder)

    @property
    def metadata(self) -> dict[str, Any]:
        """The message's metadata."""
        assert self.fold.metadata is not None
        return self.fold.metadata


def in_world(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Decorate an async test that takes a `world`: it gets a new one and runs in virtual time."""
    signature = inspect.signature(test)
    others = [given for given in signature.parameters.values() if given.name != "world"]

    def run(tmp_path: Path, **given: Any) -> None:
        async def body() -> None:
            async with World(tmp_path) as world:
                await test(world=world, **given)

        run_virtual(body())

    folder = inspect.Parameter("tmp_path", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    functools.update_wrapper(run, test)
    del run.__wrapped__  # type: ignore[attr-defined]  # pytest looks at the signature here
    run.__signature__ = signature.replace(parameters=[folder, *others])  # type: ignore[attr-defined]
    return run


def record(number: int) -> bytes:
    """A record that differs from others."""
    return b'{"type":"data-n","data":%d}' % number


def text_of(fold: Fold) -> str:
    """The text of a message."""
    return "".join(part["text"] for part in fold.parts if part["type"] == "text")
