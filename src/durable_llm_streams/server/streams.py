"""Streams of server-sent events as ASGI responses.

Theory of operation
===================
1. A response reads by cursor and writes one body message for each page. It holds one page at most,
   and the send waits while the client does not read: a slow client needs no more memory.
2. A page with many records means that a reader is catching up: adjacent deltas are merged. Live
   pages are small and are sent as they are.
3. When the store does not answer, the stream sends heartbeats for `store_timeout` seconds. Then the
   body ends cleanly, so that the client reconnects, perhaps to another process.
4. When the store has lost the client's last record (`log.Reader`), the stream ends. The client
   reconnects with its cursor and gets a 410.
5. A client's disconnect cancels the response, not the run. A shutdown of the server cancels it too.
   Then the last flushed records are sent, and the body ends cleanly without a terminal record. The
   client reconnects to another process and misses nothing that was written here.
6. When the reader has signed out everywhere, the stream ends cleanly: the client reconnects with a
   cookie that is no longer valid.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from durable_llm_streams.chunks import merge
from durable_llm_streams.errors import CursorLost, NotFound, StoreError, StoreUnavailable
from durable_llm_streams.log import Reader
from durable_llm_streams.model import token_at
from durable_llm_streams.store import Page
from durable_llm_streams.wire.sse import DONE, HEARTBEAT, FrameEncoder, opening

from .open_streams import OpenStreams, StreamVisitor
from .principal import Principal

#: Seconds without an event before a comment is sent.
HEARTBEAT_SECONDS = 15.0

_MERGE_FROM = 9
_OUTAGE_SECONDS = 0.5
_LAST_PAGE_SECONDS = 1.0
#: The key in an ASGI scope of the streams whose bodies `StreamingApp` sends.
DEFERRED = "durable_llm_streams.deferred"
#: The size of a page that is sent, and of a merged event: small enough for a slow connection.
PAGE_BYTES = 64 * 1024


class EventStream(Response, ABC):
    """A stream of server-sent events.

    Args:
        streams: the process's open streams.
        headers: of the response.
        owner: who asks.
    """

    def __init__(self, streams: OpenStreams, headers: Mapping[str, str], owner: str = "") -> None:
        super().__init__(headers=headers)
        self._owner = owner
        del self.headers["content-length"]
        self._streams = streams
        self._visitor: StreamVisitor | None = None

    @abstractmethod
    async def _pump(self, send: Send) -> None:
        """Send the body, except its last message.

        `NotFound`, `CursorLost` and `StoreError` end it cleanly: the client reconnects and gets the
        error.
        """

    async def _outage(self, send: Send, began: float | None) -> float:
        """Send a heartbeat, and wait before the next call of a store that does not answer.

        Args:
            send: to the client.
            began: what the last call in the same outage returned; None at its beginning.

        Raises:
            StoreUnavailable: it has lasted too long.
        """
        now = asyncio.get_running_loop().time()
        if began is None:
            began = now
        if now - began > self._streams.store_timeout:
            raise StoreUnavailable("The store has not answered for too long.")
        await send({"type": "http.response.body", "body": HEARTBEAT, "more_body": True})
        await asyncio.sleep(_OUTAGE_SECONDS)
        return began

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream (ASGI); inside a `StreamingApp` only its headers."""
        self._visitor = _visitor(scope)
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        self.raw_headers = []
        if DEFERRED in scope:
            scope[DEFERRED].append(self)
        else:
            await self.run(receive, send)

    async def run(self, receive: Receive, send: Send) -> None:
        """Send the body."""
        task = asyncio.current_task()
        assert task is not None
        self._streams.add(task, self._owner, self._visitor)
        watcher = asyncio.create_task(_cancel_on_disconnect(receive, task))
        try:
            if not self._streams.closing:
                await self._pump(send)
        except asyncio.CancelledError:
            if not (watcher.done() or self._streams.is_ending(task)):
                raise
            task.uncancel()
            if watcher.done():
                return  # the client has disconnected
        except (NotFound, CursorLost, StoreError):
            pass
        finally:
            self._streams.remove(task, self._owner)
            watcher.cancel()
        await send({"type": "http.response.body", "body": b""})


class RunStream(EventStream):
    """Follows a run to its end.

    Args:
        streams: the process's open streams.
        reader: at the client's cursor, or behind `page`.
        headers: of the response.
        page: what the reader has read already; None if nothing.
        owner: who asks.
    """

    def __init__(
        self,
        streams: OpenStreams,
        reader: Reader,
        headers: Mapping[str, str],
        page: Page | None = None,
        owner: str = "",
    ) -> None:
        super().__init__(streams, headers, owner)
        self._reader = reader
        self._page = page

    async def _pump(self, send: Send) -> None:
        with self._streams.following(self._reader.run_id):
            await self._follow(send)

    async def _follow(self, send: Send) -> None:
        reader = self._reader
        encoder = FrameEncoder(reader.run_id)
        page, self._page = self._page, None
        await send({"type": "http.response.body", "body": opening(), "more_body": True})
        closing = False
        outage: float | None = None
        while True:
            if page is not None and page.records:
                body = encode_page(encoder, page, reader.token)
                await send({"type": "http.response.body", "body": body, "more_body": True})
            elif page is not None and not (reader.ended or closing):
                await send({"type": "http.response.body", "body": HEARTBEAT, "more_body": True})
            if reader.ended or closing:
                break
            try:
                page = await reader.read(max_bytes=PAGE_BYTES, wait=HEARTBEAT_SECONDS)
                outage = None
            except StoreUnavailable:
                outage, page = await self._outage(send, outage), None
            except asyncio.CancelledError:
                page, closing = await self._last_page(), True
        if reader.ended:
            await send({"type": "http.response.body", "body": DONE, "more_body": True})

    async def _last_page(self) -> Page:
        """What was flushed since the last page, at a shutdown; else raises CancelledError."""
        if not self._streams.closing:
            raise asyncio.CancelledError
        try:
            async with asyncio.timeout(_LAST_PAGE_SECONDS):
                return await self._reader.read(max_bytes=PAGE_BYTES)
        except TimeoutError as error:
            raise StoreUnavailable("The store has not answered in time.") from error


def encode_page(encoder: FrameEncoder, page: Page, token: str) -> bytes:
    """A page's records as events; adjacent deltas are merged if there are many.

    Args:
        encoder: of the stream.
        page: with at least one record.
        token: of the epoch that wrote the last of them.
    """
    records, spans = page.records, page.spans
    if len(records) == 1:
        return encoder.frames(token, page.first, records)
    if spans[-1].first <= page.first:
        if len(records) < _MERGE_FROM:
            return encoder.frames(token, page.first, records)
        return encoder.merged(token, ((page.first + i, chunk) for i, chunk in merge(records)))
    merged = [(page.first + i, chunk) for i, chunk in merge(records)]
    return b"".join(encoder.merged(token_at(spans, pair[0]), (pair,)) for pair in merged)


def _visitor(scope: Scope) -> StreamVisitor | None:
    """Whose cookie opened a stream; None if it was no cookie."""
    state = scope.get("state", {})
    principal, signed_at = state.get("principal"), state.get("signed_at")
    if not isinstance(principal, Principal) or not isinstance(signed_at, float):
        return None
    return StreamVisitor(principal.owner, signed_at)


async def _cancel_on_disconnect(receive: Receive, task: asyncio.Task[None]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    task.cancel()
