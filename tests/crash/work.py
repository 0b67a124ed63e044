"""People who ask, read and stop; and what becomes of each chat."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import aiohttp

from durable_llm_streams.model import Cursor
from tests.app import JSON
from tests.crash.chronicle import Chronicle
from tests.crash.oracle import Case, Stop, Told, Violation, judge
from tests.crash.plan import ChatPlan, ReaderPlan
from tests.crash.reader import CampaignReader, delays
from tests.crash.stores import Place

#: An answer that is interrupted all the time has its end after so many seconds all the same.
ENDING_SECONDS = 240.0

#: What is asked by whoever must have an answer.
_ASK_SECONDS = 120.0
_PAUSE = 0.05


class Client(NamedTuple):
    """A visitor of a place.

    Attributes:
        http: his cookies and connections.
        names: the servers' names, in the order of `urls`.
        urls: what he connects to.
    """

    http: aiohttp.ClientSession
    names: Sequence[str]
    urls: Sequence[str]

    def turned(self, first: int) -> list[str]:
        """The servers, beginning with one of them."""
        return [*self.urls[first:], *self.urls[:first]]

    async def ask(self, method: str, path: str, first: int = 0) -> tuple[str, JSON]:
        """Ask one server after the other until one answers. Returns its name and its JSON.

        Raises:
            AssertionError: a server has answered what it may not.
            TimeoutError: none has answered.
        """
        turns = itertools.cycle(range(len(self.urls)))
        async with asyncio.timeout(_ASK_SECONDS):
            for turn in itertools.islice(turns, first, None):
                with contextlib.suppress(aiohttp.ClientError, ConnectionError):
                    async with self.http.request(method, self.urls[turn] + path) as response:
                        if response.status == 200:
                            return self.names[turn], await response.json()
                        assert response.status == 503, (response.status, await response.text())
                await asyncio.sleep(_PAUSE)
        raise AssertionError


class Chat:
    """One question, from the first send to the verdict.

    Args:
        name: its id.
        plan: what is done with it.
        place: where it lives.
        client: who asks.
        chronicle: is told what happens.
        attempts: how often an answer is tried.

    Attributes:
        began: when, in the chronicle's time.
        readers: everybody who reads or read it.
        case: what is known at its end; None before it.
    """

    def __init__(
        self,
        name: str,
        plan: ChatPlan,
        place: Place,
        client: Client,
        chronicle: Chronicle,
        attempts: int,
    ) -> None:
        self.name = name
        self.plan = plan
        self.place = place
        self.client = client
        self.began = chronicle.now
        self.readers: list[CampaignReader] = []
        self.case: Case | None = None
        self._chronicle = chronicle
        self._attempts = attempts
        self._stops: list[Stop] = []
        self._errors: dict[CampaignReader, str] = {}
        self._wrong: list[Violation] = []

    async def live(self) -> list[Violation]:
        """Ask, read, stop, and look at all of it. Returns what was wrong."""
        first = self._reader(f"the sender at {self.client.names[self.plan.first]}", self.plan.first)
        self._send(first)
        try:
            async with asyncio.timeout(ENDING_SECONDS):
                await self._everybody(first)
        except TimeoutError:
            what = f"After {ENDING_SECONDS:g} s somebody still waits: {self._waiting()}"
            return [Violation("honest-failure", what)]
        finally:
            for reader in self.readers:
                with contextlib.suppress(AssertionError):  # is in `_errors`
                    await reader.close()
        if not first.runs:
            return [Violation("compatible", f"{first.name}: {self._errors[first]}")]
        try:
            self.case = await self._look(next(iter(first.runs)))
        except (AssertionError, TimeoutError) as error:
            return [Violation("compatible", f"The chat cannot be read: {error!r}")]
        return [*self._wrong, *judge(self.case)]

    def forget(self) -> None:
        """Keep no more of it than what it is: there are thousands."""
        self.case = None
        self.readers.clear()

    async def _everybody(self, first: CampaignReader) -> None:
        async with asyncio.TaskGroup() as people:
            for number, plan in enumerate(self.plan.readers):
                people.create_task(self._read(number, plan, first))
            for server in self.plan.stop_by if self.plan.stop_at is not None else ():
                people.create_task(self._stop(server, first))
        await self._ended(first)
        if self.plan.comes_back:
            again = self._reader("the sender who came back", self.plan.first)
            self._send(again)
            await self._ended(again)

    # --- people --------------------------------------------------------------------------------

    def _reader(self, name: str, first: int, **how: Any) -> CampaignReader:
        urls = self.client.turned(first)
        reader = CampaignReader(name, self.client.http, self.name, urls, **how)
        self.readers.append(reader)
        return reader

    def _send(self, reader: CampaignReader) -> None:
        reader.ask(self.plan.model, message_id=f"{self.name}-m", model=self.plan.model)
        self._chronicle.counts["sends" if reader is self.readers[0] else "repeated sends"] += 1

    async def _read(self, number: int, plan: ReaderPlan, first: CampaignReader) -> None:
        await asyncio.sleep(plan.delay)
        start: Cursor | None = None
        if plan.kind in ("whole", "cursor"):
            await _reaches(first, 1)
            cursor = first.cursor
            if cursor is not None:
                start = cursor if plan.kind == "cursor" else _beginning(cursor)
        reader = self._reader(
            f"reader {number} ({plan.kind})",
            plan.first,
            start=start,
            slow=plan.slow,
            leaves=plan.leaves,
            rng=random.Random(f"{self.name} {number}"),
        )
        if plan.kind == "again":
            self._send(reader)
        else:
            reader.follow()
        await self._ended(reader, first if plan.kind == "plain" else None)

    async def _ended(self, reader: CampaignReader, first: CampaignReader | None = None) -> None:
        """Wait for the end of what somebody reads.

        Args:
            reader: who reads.
            first: who has the whole answer, for a reader of whatever the chat's answer is: if he
                has come too late to find it, he reads it from its beginning.
        """
        try:
            if first is not None:
                await self._ended(first)
                if not reader.frames and first.cursor is not None:
                    reader.begin_at(_beginning(first.cursor))
            await reader.ended
        except AssertionError as error:
            self._errors[reader] = str(error)

    async def _stop(self, server: int, first: CampaignReader) -> None:
        assert self.plan.stop_at is not None
        await _reaches(first, self.plan.stop_at)
        if first.cursor is None:
            return
        run_id = first.cursor.run_id
        try:
            path = f"/api/chat/{self.name}/stop?run={run_id}"
            name, _ = await self.client.ask("POST", path, server)
            log, status = await self.place.log(run_id)
        except (AssertionError, TimeoutError) as error:
            self._wrong.append(Violation("stop", f"It was not acknowledged: {error!r}"))
            return
        self._stops.append(Stop(name, len(log.records), status.ended))
        self._chronicle.note(f"{name} has stopped {run_id}", "stops acknowledged")

    # --- the verdict ---------------------------------------------------------------------------

    def _waiting(self) -> list[str]:
        return [
            f"{reader.name} at record {reader.last}, last told {reader.statuses[-3:]}"
            for reader in self.readers
            if not reader.has_ended
        ]

    async def _look(self, run_id: str) -> Case:
        """All that is known now."""
        run = await self.place.run(self.name, run_id)
        log, _ = await self.place.log(run_id)
        _, chat = await self.client.ask("GET", f"/api/chats/{self.name}", self.plan.first)
        late = delays(self.readers)
        return Case(
            run=run,
            log=log,
            stored=await self.place.stored(self.name),
            history=chat["messages"],
            active=chat["active_run"],
            attempts=self._attempts,
            readers=[self._told(reader, late.get(reader, 0.0)) for reader in self.readers],
            stops=self._stops,
        )

    def _told(self, reader: CampaignReader, delay: float) -> Told:
        return Told(
            name=reader.name,
            after=reader.start.seq if reader.start is not None else 0,
            frames=reader.frames,
            complete=reader.complete,
            runs=frozenset(reader.runs),
            error=self._errors.get(reader, ""),
            lost=reader.lost,
            delay=delay,
        )


async def _reaches(reader: CampaignReader, record: int) -> None:
    """Wait until a reader has a record, or the end."""
    while reader.last < record and not reader.has_ended:
        await asyncio.sleep(0.005)


def _beginning(cursor: Cursor) -> Cursor:
    """The place before the first record."""
    return Cursor(cursor.run_id, 0, "")
