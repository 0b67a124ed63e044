"""The subscriber of an owner's live feed: it resumes at its position, and lists what it missed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from durable_llm_streams.chunks import decode
from durable_llm_streams.wire.sse import SSEParser

from .owner_evidence import FeedEvent, FeedReading
from .reader import SILENCE_SECONDS, Client, Interrupted, Request, Response
from .violation import Violation

#: Lists an owner's chats, by their ids.
Listing = Callable[[], Awaitable[dict[str, Any]]]

_PAUSE_SECONDS = 0.05


async def listed(client: Client) -> dict[str, Any]:
    """The chats that a client's list has."""
    rows: dict[str, Any] = {}
    before = ""
    while before is not None:
        answered = await client.call(Request("GET", f"/api/chats?limit=100{before}"))
        page = decode(answered.body)
        rows |= {row["id"]: row for row in page["chats"]}
        before = page["next"] and f"&before={page['next']}"
    return rows


class Subscriber:
    """Follows a feed until it is cancelled."""

    def __init__(self, client: Client, listing: Listing, feed: FeedReading) -> None:
        self._client = client
        self._listing = listing
        self._feed = feed

    async def follow(self) -> None:
        """Read, and come back after every cut. Ends by itself only where the protocol is broken."""
        feed = self._feed
        while feed.error is None:
            position = {"last-event-id": feed.position} if feed.position else {}
            request = Request("GET", "/api/events", headers=position)
            try:
                async with self._client.open(request) as response:
                    if response.status == 200:
                        await self._receive(response)
                    elif response.status != 503:
                        what = f"got HTTP {response.status} for the feed"
                        feed.error = Violation("feed", what)
            except Interrupted:
                pass
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _receive(self, response: Response) -> None:
        parser, loop = SSEParser(), asyncio.get_running_loop()
        since = loop.time()
        while True:
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    piece = await response.piece()
            except TimeoutError:
                return
            if not piece:
                return
            for event in parser.feed(piece):
                await self._take(FeedEvent(event.id, decode(event.data), loop.time(), since))
                if event.data.startswith('{"type":"open"'):
                    since = loop.time()  # what came while the chats were listed waited for that

    async def _take(self, event: FeedEvent) -> None:
        feed = self._feed
        if event.data["type"] == "open":
            feed.opens += 1
            if event.data["complete"] and event.position != feed.position:
                what = f"asked for {feed.position!r} and was opened at {event.position!r}"
                feed.error = Violation("feed", f"{feed.who} {what}, as if nothing was missed")
            feed.position = event.position
            if not event.data["complete"]:
                feed.missed += 1
                feed.events.clear()
                feed.listed = None
                began = asyncio.get_running_loop().time()
                feed.rows = await self._listing()
                feed.listed = began
            return
        feed.position = event.position
        feed.events.append(event)
        if event.data["type"] == "chat-deleted":
            feed.rows.pop(event.chat, None)
        else:
            feed.rows[event.chat] = event.data["chat"]
