"""Those who use the chat: they ask, read, stop; and come back after every cut, as clients do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from durable_llm_streams.chunks import decode
from durable_llm_streams.model import Cursor
from durable_llm_streams.wire.sse import DONE_DATA, SSEParser

from .exchange import Cut, Exchange
from .faults import Faults
from .server import Server, headers
from .trace import Trace

TERMINAL: Final = frozenset({"finish", "error", "abort"})

_SILENCE_SECONDS: Final = 40.0  # heartbeats come every 15
_PAUSE_SECONDS: Final = 0.05
_TIMEOUT_SECONDS: Final = 30.0


class Broken(Exception):
    """A promise is broken.

    Args:
        promise: which.
        how: for people.
    """

    def __init__(self, promise: str, how: str) -> None:
        super().__init__(f"{promise}: {how}")


class Frame(NamedTuple):
    """An event as it came."""

    cursor: Cursor
    data: bytes


@dataclass
class Reading:
    """What one reader has of one answer since it began from its beginning.

    Attributes:
        who: the reader.
        chat: the chat.
        after: the place where it began to read.
        frames: the events, in order.
        ended: whether it has the whole answer.
        lost: whether it was told to start over.
    """

    who: str
    chat: str
    after: Cursor | None = None
    frames: list[Frame] = field(default_factory=list)
    ended: bool = False
    lost: bool = False

    @property
    def cursor(self) -> Cursor | None:
        """The last record that it has."""
        return self.frames[-1].cursor if self.frames else self.after

    @property
    def has_end(self) -> bool:
        return bool(self.frames) and decode(self.frames[-1].data)["type"] in TERMINAL

    def take(self, event_id: str, data: str) -> None:
        """An event. Raises Broken for what no reader may ever get."""
        if data == DONE_DATA:
            if not self.has_end:
                raise Broken(
                    "one-end", f"{self.who} is told that the answer is over, without its end"
                )
            self.ended = True
            return
        cursor, before = Cursor.parse(event_id), self.cursor
        if before is not None and cursor.run_id != before.run_id:
            raise Broken("prefix", f"{self.who} reads run {before.run_id[-4:]} and gets {cursor}")
        if before is not None and cursor.seq <= before.seq:
            raise Broken(
                "prefix", f"{self.who} has record {before.seq} and gets {cursor.seq} after it"
            )
        if self.has_end:
            raise Broken("one-end", f"{self.who} gets {data} after the end of the answer")
        self.frames.append(Frame(cursor, data.encode()))


class Asked(NamedTuple):
    """What `POST /api/chat` answered: it was accepted, as this run."""

    chat: str
    key: str
    run_id: str


class Stopped(NamedTuple):
    """A stop that was acknowledged.

    Attributes:
        run_id: the run that it ended, None when there was nothing to stop.
        length: of the run's log at that moment, None when nobody could look.
    """

    chat: str
    run_id: str | None
    length: int | None


class Town:
    """All who live here, and what they have seen.

    Args:
        servers: whom they ask.
        faults, trace: of the history.
    """

    def __init__(self, servers: Sequence[Server], faults: Faults, trace: Trace) -> None:
        self.servers = servers
        self.faults = faults
        self.trace = trace
        self.readings: list[Reading] = []
        self.asked: list[Asked] = []
        self.stopped: list[Stopped] = []
        self.deleted: set[str] = set()
        self.tails_lost = 0


class Person:
    """One client of one owner.

    Args:
        town: where it lives.
        name: unique.
        owner: whose chats it sees.
        first: the number of the server that it asks first.
    """

    def __init__(self, town: Town, name: str, owner: str, first: int) -> None:
        self.town = town
        self.name = name
        self.owner = owner
        self._turn = first
        self._requests = 0

    async def ask(self, chat: str, body: Mapping[str, Any], key: str) -> Reading:
        """Ask for an answer until that is accepted, then read it to its end.

        Args:
            chat: where.
            body: of the request, but for the chat.
            key: what makes repetitions recognisable.
        """
        reading = self._reading(chat)
        data = json.dumps({"id": chat, **body}).encode()
        more = {} if "message" in body else {"idempotency-key": key}
        while chat not in self.town.deleted:
            exchange = await self._try("POST", "/api/chat", data, more)
            if exchange is None:
                continue
            if exchange.status == 200:
                run_id = exchange.headers["x-run-id"]
                self.town.asked.append(Asked(chat, key, run_id))
                self._tell(f"asks {key} in {chat}: run {run_id[-4:]}")
                await self._receive(exchange, reading)
                return await self._read_on(reading, run_id)
            gone = exchange.status in {404, 410} and (
                chat in self.town.deleted or self.town.tails_lost > 0
            )
            await self._not_now(exchange, {404, 409, 410} if gone else {409})
            if gone:
                return reading  # what it refers to is not there any more
        return reading

    async def follow(self, chat: str, after: Cursor | None = None) -> Reading:
        """Read what is being answered in a chat, from a place on, to its end."""
        reading = self._reading(chat, after)
        return await self._read_on(reading, None)

    async def stop(self, chat: str) -> Stopped:
        """Stop what is being answered in a chat."""
        while True:
            exchange = await self._try("POST", f"/api/chat/{chat}/stop", b"{}")
            if exchange is None:
                continue
            if exchange.status in {200, 404}:
                try:
                    answer = json.loads(await exchange.whole())
                except Cut:
                    continue
                run_id = answer.get("stopped")
                self._tell(f"stops {chat}: {'run ' + run_id[-4:] if run_id else 'nothing'}")
                return Stopped(chat, run_id, None)
            await self._not_now(exchange, set())

    async def delete(self, chat: str) -> None:
        """Delete a chat."""
        self.town.deleted.add(chat)
        while True:
            exchange = await self._try("DELETE", f"/api/chats/{chat}")
            if exchange is None:
                continue
            if exchange.status in {204, 404}:
                self._tell(f"deletes {chat}")
                return
            await self._not_now(exchange, set())

    # --- reading -----------------------------------------------------------------------------

    async def _read_on(self, reading: Reading, run_id: str | None) -> Reading:
        while not reading.ended:
            headers = {"last-event-id": str(reading.cursor)} if reading.cursor else {}
            path = f"/api/chat/{reading.chat}/stream"
            exchange = await self._try("GET", path, more=headers)
            if exchange is None:
                continue
            if exchange.status == 200:
                await self._receive(exchange, reading)
            elif exchange.status == 204:
                if reading.cursor is None and run_id is None:
                    return reading  # nothing is being answered now
                if reading.frames and not reading.has_end:
                    raise Broken(
                        "prefix", f"{self.name} is told that nothing is missing, without an end"
                    )
                reading.ended = True
            elif exchange.status in (404, 410):
                self._told_that_it_is_gone(exchange.status, reading, run_id)
                return reading
            else:
                await self._not_now(exchange, set())
        return reading

    def _told_that_it_is_gone(self, status: int, reading: Reading, run_id: str | None) -> None:
        reading.lost = True
        if self.town.tails_lost:
            self._tell("is told to start over")
        elif reading.chat in self.town.deleted:
            return  # also where a message that is sent again has made the chat anew
        elif status == 410:
            raise Broken(
                "lost-tail-is-told", f"{self.name} is told that its cursor {reading.cursor} is lost"
            )
        elif run_id is not None and reading.chat not in self.town.deleted:
            raise Broken("honest-failure", f"{self.name} is told that {reading.chat} is not there")

    async def _receive(self, exchange: Exchange, reading: Reading) -> None:
        """Read a stream until it ends, however that is."""
        parser, slow = SSEParser(), self.town.faults.strikes("slow-reader", self.name)
        try:
            while True:
                async with asyncio.timeout(_SILENCE_SECONDS):
                    data = await exchange.data()
                if data is None:
                    return
                for event in parser.feed(data):
                    reading.take(event.id, event.data)
                if slow:
                    await asyncio.sleep(slow.choice((0.01, 0.5)) * slow.random())
        except (Cut, TimeoutError):
            return
        finally:
            exchange.leave()

    # --- asking ------------------------------------------------------------------------------

    async def _try(
        self, method: str, path: str, body: bytes = b"", more: Mapping[str, str] | None = None
    ) -> Exchange | None:
        """One request, to the next server; None when it came to nothing."""
        servers = self.town.servers
        server = servers[self._turn % len(servers)]
        self._turn += 1
        self._requests += 1
        exchange = Exchange(
            server,
            self.town.faults,
            f"of {self.name} no. {self._requests}",
            method,
            path,
            headers(self.owner, more),
            body,
        )
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                await exchange.begin()
        except (Cut, TimeoutError):
            exchange.leave()
            await asyncio.sleep(_PAUSE_SECONDS)
            return None
        return exchange

    async def _not_now(self, exchange: Exchange, expected: set[int]) -> None:
        """An answer that means: try again."""
        try:
            text = (await exchange.whole()).decode()
        except Cut:
            text = "(cut off)"
        if exchange.status not in {503, *expected}:
            raise Broken("honest-failure", f"{self.name} gets HTTP {exchange.status}: {text}")
        await asyncio.sleep(float(exchange.headers.get("retry-after", "0.2")))

    def _reading(self, chat: str, after: Cursor | None = None) -> Reading:
        reading = Reading(self.name, chat, after)
        self.town.readings.append(reading)
        return reading

    def _tell(self, what: str) -> None:
        self.town.trace.add(self.name, what)
