"""The workload: owners whose chats are asked, read, stopped and edited; and what comes of each."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import aiohttp

from durable_llm_streams.model import Cursor
from tests.crash.places import Place
from tests.crash.plan import ChatPlan, ReaderPlan
from tests.crash.provider import Model
from tests.crash.reader import Reader
from tests.crash.trace import Trace
from tests.oracle.evidence import Answer, Evidence, Stop
from tests.oracle.http import HttpTransport
from tests.oracle.invariants import violations
from tests.oracle.owner_evidence import Change, Node, Sent, Trespass
from tests.oracle.reader import Answered, Client, Request
from tests.oracle.reading_rules import delays
from tests.oracle.violation import Violation
from tests.waiting import until, within

#: An answer that is interrupted all the time has its end after so many seconds all the same.
ENDING_SECONDS = 240.0

#: A request that must be answered is answered after so many seconds.
_ASK_SECONDS = 120.0

#: Every status that is an answer, and does not mean "later".
_ANY = frozenset(range(200, 600)) - {409, 503}


class Owner(NamedTuple):
    """One visitor of a place."""

    name: str
    http: aiohttp.ClientSession
    names: Sequence[str]
    urls: Sequence[str]

    def turned(self, first: int) -> list[str]:
        """The servers, beginning with one of them."""
        return [*self.urls[first:], *self.urls[:first]]

    def client(self, first: int = 0) -> Client:
        """A client of the servers, beginning with one of them."""
        return Client(HttpTransport(self.http, self.urls), len(self.urls), first)

    async def ask(
        self, request: Request, first: int = 0, expected: Collection[int] = (200,)
    ) -> tuple[str, Any]:
        """Ask one server after the other until one answers. Returns its name and its JSON."""
        answered = await self.answered(request, first, expected)
        return self.names[answered.server], json.loads(answered.body)

    async def answered(
        self, request: Request, first: int = 0, expected: Collection[int] = (200,)
    ) -> Answered:
        """As `ask`, and the whole response."""
        async with within(f"an answer to {request.method} {request.path}", seconds=_ASK_SECONDS):
            return await self.client(first).call(request, expected)


class Chat:
    """One question, and perhaps another version of it, from the first send to the verdict.

    Attributes:
        began: when, in the trace's time.
        readers: all that read or have read it.
        evidence: what is known at its end.
        changes: what the owner's feed must bring.
    """

    def __init__(
        self,
        name: str,
        plan: ChatPlan,
        place: Place,
        owner: Owner,
        other: Owner,
        trace: Trace,
        attempts: int,
    ) -> None:
        self.name = name
        self.plan = plan
        self.place = place
        self.owner = owner
        self.began = trace.now
        self.readers: list[Reader] = []
        self.evidence = Evidence(attempts=attempts)
        self.changes: list[Change] = []
        self._other = other
        self._trace = trace
        self._answers: dict[str, Answer] = {}
        self._stops: list[Stop] = []
        self._sent: list[Sent] = []
        self._tree: dict[str, Node] = {}
        self._trespasses: list[Trespass] = []
        self._wrong: list[Violation] = []

    async def live(self) -> list[Violation]:
        """Ask, read, stop, edit, and look at all of it. Returns what was wrong."""
        first = f"{self.name}-m"
        try:
            async with within(f"the end of {self.name}", self._waiting, seconds=ENDING_SECONDS):
                await self._question(first)
                if self.plan.renames:
                    await self._rename(f"New name of {self.name}")
                if self.plan.edits:
                    await self._question(f"{self.name}-e", edits=first)
        except* AssertionError as errors:
            self._wrong += [Violation("honest-failure", str(e)) for e in errors.exceptions]
        finally:
            for reader in self.readers:
                await reader.close()
        self.evidence = self._collected()
        return [*self._wrong, *violations(self.evidence)]

    def forget(self) -> None:
        """Keep no more of it than what it is: there are thousands."""
        self.evidence = Evidence()
        self._answers.clear()
        self.readers.clear()

    async def _question(self, message: str, edits: str | None = None) -> None:
        plan, began = self.plan, asyncio.get_running_loop().time()
        sender = self._reader(f"the sender at {self.owner.names[plan.first]}", plan.first)
        self._send(sender, message, edits)
        async with asyncio.TaskGroup() as group:
            for number, each in enumerate(plan.readers):
                name = f"reader {number} of {message} ({each.kind})"
                group.create_task(self._read(name, each, sender, message, edits))
            for server in plan.stop_by if plan.stop_at is not None else ():
                group.create_task(self._stop(server, sender, plan.stop_at or 0))
            if plan.leaves_at is not None:
                group.create_task(self._leave(sender, plan.leaves_at))
            if plan.intrudes:
                group.create_task(self._intrude(sender))
            await sender.ended
        if plan.repeats:
            again = self._reader("the sender, once more", plan.first)
            self._send(again, message, edits)
            await again.ended
        if (run_id := sender.reading.run_id) is None:
            return
        self._sent.append(Sent(self.name, message, self._text(message), edits))
        accepted, ended = sender.accepted[0].at, asyncio.get_running_loop().time()
        if edits is None:
            self._changed("chat-created", "", accepted, began)
        self._changed("run-started", run_id, accepted, began)
        self._changed("run-ended", run_id, ended, began)
        await self._look(run_id, message)

    def _changed(self, kind: str, about: str, at: float, began: float) -> None:
        self.changes.append(Change(self.owner.name, kind, self.name, about, at, began))

    # --- what clients do ------------------------------------------------------------------------

    def _reader(self, name: str, first: int, **how: Any) -> Reader:
        urls = self.owner.turned(first)
        who = f"{name}, number {len(self.readers)}"
        reader = Reader(who, self.owner.http, self.name, urls, **how)
        self.readers.append(reader)
        return reader

    def _send(self, reader: Reader, message: str, edits: str | None) -> None:
        model = self.plan.model
        reader.ask(self._text(message), message_id=message, model=model, edits=edits)
        self._trace.counts["sends"] += 1

    def _text(self, message: str) -> str:
        return f"{self.plan.model} {message}"

    async def _rename(self, title: str) -> None:
        began = asyncio.get_running_loop().time()
        body = json.dumps({"title": title}).encode()
        await self.owner.ask(Request("PATCH", f"/api/chats/{self.name}", body))
        self._changed("chat-renamed", title, asyncio.get_running_loop().time(), began)

    async def _read(
        self, name: str, plan: ReaderPlan, sender: Reader, message: str, edits: str | None
    ) -> None:
        await asyncio.sleep(plan.delay)
        after: Cursor | None = None
        if plan.kind in ("whole", "cursor"):
            await sender.reaches(1)
            if (cursor := sender.reading.cursor) is not None:
                after = cursor if plan.kind == "cursor" else Cursor.beginning(cursor.run_id)
        reader = self._reader(
            name,
            plan.first,
            after=after,
            slow=plan.slow,
            leaves=plan.leaves,
            rng=random.Random(name),
        )
        if plan.kind == "again":
            self._send(reader, message, edits)
        else:
            reader.follow()
        if plan.kind == "plain":
            await sender.ended
            cursor = sender.reading.cursor
            if not reader.reading.frames and cursor is not None:  # it may have come too late
                await reader.leave()
                after = Cursor.beginning(cursor.run_id)
                reader = self._reader(f"{name}, late", plan.first, after=after).follow()
        await reader.ended

    async def _leave(self, sender: Reader, record: int) -> None:
        """Leave the answer without a reader until it has ended; then read the rest."""
        await sender.reaches(record)
        cursor = sender.reading.cursor
        if cursor is None or sender.has_ended:
            return
        await sender.leave()
        self._trace.counts["answers that nobody read"] += 1

        async def status() -> Any:
            return (await self.place.run(self.name, cursor.run_id)).status

        await until(status, lambda now: now.ended, f"{self.name} to end", seconds=ENDING_SECONDS)
        await self._reader("the sender, back", self.plan.first, after=cursor).follow().ended

    async def _stop(self, server: int, sender: Reader, record: int) -> None:
        await sender.reaches(record)
        if (run_id := sender.reading.run_id) is None:
            return
        request = Request("POST", f"/api/chat/{self.name}/stop?run={run_id}")
        name, answer = await self.owner.ask(request, server)
        log = await self.place.log(run_id)
        ended = (await self.place.run(self.name, run_id)).status.ended
        by_this = answer["stopped"] == run_id
        self._stops.append(Stop(self.name, run_id, len(log.records), ended, by_this, name))
        self._trace.note(f"{name} has acknowledged a stop of {run_id}", "stops acknowledged")

    async def _intrude(self, sender: Reader) -> None:
        """Another owner tries everything; a chat of others is one that does not exist."""
        await sender.reaches(1)
        path = f"/api/chat/{self.name}"
        # A new message would make a chat of their own, which has the same id.
        body = json.dumps({"id": self.name, "trigger": "regenerate-message"}).encode()
        for request, expected in (
            (Request("GET", f"/api/chats/{self.name}"), 404),
            (Request("GET", f"{path}/stream"), 204),
            (Request("GET", f"{path}/stream?after={sender.reading.cursor}"), 404),
            (Request("POST", f"{path}/stop?run={sender.reading.run_id}"), 404),
            (Request("POST", "/api/chat", body), 404),
            (Request("DELETE", f"/api/chats/{self.name}"), 404),
        ):
            answered = await self._other.answered(request, self.plan.first, _ANY)
            who = f"{self._other.name} with {request.method} {request.path}"
            allowed = frozenset({expected})
            self._trespasses.append(Trespass(who, answered.status, answered.body, allowed))
            self._trace.counts["requests of owners for chats of others"] += 1

    # --- the verdict ----------------------------------------------------------------------------

    def _waiting(self) -> list[tuple[str, int, list[int]]]:
        readings = [reader.reading for reader in self.readers if not reader.has_ended]
        return [(reading.who, reading.last, reading.statuses[-3:]) for reading in readings]

    async def _look(self, run_id: str, message: str) -> None:
        """Look at an answer: in the store, and as a server returns it."""
        run = await self.place.run(self.name, run_id)
        request = Request("GET", f"/api/chats/{self.name}")
        _, chat = await self.owner.ask(request, self.plan.first)
        active = chat["active_run"]
        self._answers[run_id] = Answer(
            run,
            await self.place.log(run_id),
            expected=expected_text(run.model),
            history=chat["messages"],
            branch=(message, run.message_id),
            active=active["id"] if active else None,
        )
        texts = {each["id"]: _text_of(each) for each in chat["messages"] if each["role"] == "user"}
        self._tree = {
            each["id"]: Node(each["parent"], each["role"], texts.get(each["id"]))
            for each in chat["versions"]
        }

    def _collected(self) -> Evidence:
        readings = [reader.reading for reader in self.readers]
        late = delays(readings)
        for reading in readings:
            reading.delay = late.get(reading.who, 0.0)
        return Evidence(
            answers=self._answers,
            readings=readings,
            accepted=[each.what for reader in self.readers for each in reader.accepted],
            stops=self._stops,
            attempts=self.evidence.attempts,
            seen=[
                Violation("idempotent-send", f"{each.who} was told of the runs {sorted(each.runs)}")
                for each in readings
                if len(each.runs) > 1
            ],
            trespasses=self._trespasses,
            sent=self._sent,
            trees={self.name: self._tree} if self._tree else {},
        )


def _text_of(message: Mapping[str, Any]) -> str:
    return "".join(part.get("text", "") for part in message["parts"])


def expected_text(model: str) -> str:
    """The whole answer of a model, without the marks of its words."""
    return "".join(f"{number} " for number in range(1, Model.parse(model).words + 1))
