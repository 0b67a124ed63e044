"""The clients of a history: tabs and devices of the owners, over connections that are cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from durable_llm_streams.chunks import decode, encode
from durable_llm_streams.model import Cursor
from tests.oracle.evidence import Accepted, Reading, Stop
from tests.oracle.feed import Subscriber, listed
from tests.oracle.owner_evidence import FeedReading, Sent, Trespass
from tests.oracle.reader import TIMEOUT_SECONDS, Client, Interrupted, Pace, Request

from .exchange import Exchange
from .faults import Faults
from .server import Server, headers
from .trace import Trace


@dataclass
class Observed:
    """What the clients of a history saw, for the evidence.

    Attributes:
        tails_lost: how often the store was made to lose its last writes.
    """

    readings: list[Reading] = field(default_factory=list)
    accepted: list[Accepted] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)
    deleted: set[str] = field(default_factory=set)
    feeds: list[FeedReading] = field(default_factory=list)
    trespasses: list[Trespass] = field(default_factory=list)
    tails_lost: int = 0


class Network:
    """How clients reach the servers."""

    def __init__(self, servers: Sequence[Server], faults: Faults, trace: Trace) -> None:
        self.servers = servers
        self.faults = faults
        self.trace = trace
        self.observed = Observed()


class _Connection:
    """The transport of one client."""

    def __init__(self, network: Network, name: str, owner: str) -> None:
        self._network = network
        self._name = name
        self._owner = owner
        self._requests = 0

    @asynccontextmanager
    async def open(self, server: int, request: Request) -> AsyncGenerator[Exchange, None]:
        network = self._network
        self._requests += 1
        exchange = Exchange(
            network.servers[server],
            network.faults,
            f"of {self._name} no. {self._requests}",
            request.method,
            request.path,
            headers(self._owner, request.headers),
            request.body,
        )
        try:
            try:
                async with asyncio.timeout(TIMEOUT_SECONDS):
                    await exchange.begin()
            except TimeoutError as error:
                raise Interrupted("no response") from error
            yield exchange
        finally:
            exchange.leave()


class ChatClient:
    """One client of one owner."""

    def __init__(self, network: Network, name: str, owner: str, first: int) -> None:
        self.name = name
        self.owner = owner
        self._network = network
        self._seen = network.observed
        transport = _Connection(network, name, owner)
        self._client = Client(transport, len(network.servers), first)

    async def send(
        self,
        chat: str,
        body: Mapping[str, Any],
        key: str,
        sent: Sent | None = None,
        idempotency_key: str | None = None,
    ) -> Reading:
        """Send a message until it is accepted, then read its answer to the end.

        Args:
            chat: the chat.
            body: of the request, without the chat.
            key: what makes it the same message.
            sent: the user's message in it, where there is one.
            idempotency_key: the request's header.
        """
        reading = self._reading(chat)
        named = {"idempotency-key": idempotency_key} if idempotency_key else {}
        first = Request("POST", "/api/chat", encode({"id": chat, **body}), named)

        def accepted(run_id: str) -> None:
            self._seen.accepted.append(Accepted(chat, key, run_id))
            if sent is not None:
                self._seen.sent.append(sent)
            self._note(f"sends {key} to {chat}: run {run_id[-4:]}")

        return await self._client.read(
            reading, first, pace=self._pace(), gone=self._is_gone(chat), accepted=accepted
        )

    async def follow(self, chat: str, after: Cursor | None = None) -> Reading:
        """Read what is being answered in a chat, from a place on, to its end."""
        return await self._client.read(self._reading(chat, after), pace=self._pace())

    async def stop(self, chat: str, length: Callable[[str], int | None]) -> None:
        """Stop what is being answered in a chat."""
        request = Request("POST", f"/api/chat/{chat}/stop", b"{}")
        answered = await self._client.call(request, (200, 404))
        run_id = decode(answered.body).get("stopped") if answered.status == 200 else None
        known = None if run_id is None else length(run_id)
        self._seen.stops.append(Stop(chat, run_id, known, server=self._server(answered.server)))
        self._note(f"stops {chat}: {'run ' + run_id[-4:] if run_id else 'nothing'}")

    async def delete(self, chat: str) -> None:
        self._seen.deleted.add(chat)
        await self._client.call(Request("DELETE", f"/api/chats/{chat}"), (204, 404))
        self._note(f"deletes {chat}")

    async def rename(self, chat: str, title: str) -> None:
        body = encode({"title": title})
        await self._client.call(Request("PATCH", f"/api/chats/{chat}", body), (200, 204, 404))
        self._note(f"renames {chat}: {title}")

    async def trespass(self, chat: str, cursor: Cursor | None) -> None:
        """Try everything with another owner's chat."""
        stream = f"/api/chat/{chat}/stream"
        tries: list[tuple[Request, set[int]]] = [
            (Request("GET", f"/api/chats/{chat}"), {404}),
            (Request("GET", stream), {204}),
            (Request("POST", f"/api/chat/{chat}/stop", b"{}"), {404}),
            (Request("PATCH", f"/api/chats/{chat}", b'{"title":"mine"}'), {404}),
            (Request("DELETE", f"/api/chats/{chat}"), {404}),
        ]
        # A new message would make a chat of the stranger's own, which has the same id.
        again = encode({"id": chat, "trigger": "regenerate-message"})
        tries.append((Request("POST", "/api/chat", again), {404}))
        if cursor is not None:
            resumed = Request("GET", stream, headers={"last-event-id": str(cursor)})
            tries.append((resumed, {404, 410}))
        for request, allowed in tries:
            answered = await self._client.call(request, range(200, 500))
            what = f"{self.name} ({self.owner}): {request.method} {request.path}"
            trespass = Trespass(what, answered.status, answered.body, frozenset(allowed))
            self._seen.trespasses.append(trespass)

    async def subscribe(self) -> None:
        feed = FeedReading(self.name, self.owner)
        self._seen.feeds.append(feed)
        await Subscriber(self._client, self.list, feed).follow()

    async def list(self) -> dict[str, Any]:
        return await listed(self._client)

    async def chat(self, chat: str, leaf: str = "") -> dict[str, Any] | None:
        """A chat, as a server returns it; None where it is not there."""
        shown = f"?leaf={leaf}" if leaf else ""
        answered = await self._client.call(Request("GET", f"/api/chats/{chat}{shown}"), (200, 404))
        found: dict[str, Any] = decode(answered.body)
        return found if answered.status == 200 else None

    def _reading(self, chat: str, after: Cursor | None = None) -> Reading:
        reading = Reading(self.name, chat, after)
        self._seen.readings.append(reading)
        return reading

    def _pace(self) -> Pace | None:
        slow = self._network.faults.strikes("slow-reader", self.name)
        if slow is None:
            return None
        self._seen.readings[-1].slow = True

        async def pace(_: bytes) -> bool:
            await asyncio.sleep(slow.choice((0.01, 0.5)) * slow.random())
            return True

        return pace

    def _is_gone(self, chat: str) -> Callable[[int], bool]:
        return lambda status: chat in self._seen.deleted or self._seen.tails_lost > 0

    def _server(self, number: int) -> str:
        return self._network.servers[number].name

    def _note(self, what: str) -> None:
        self._network.trace.add(self.name, what)
